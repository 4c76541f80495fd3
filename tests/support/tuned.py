"""Stories that get somewhere: a frozen version, a finished run, a finished comparison, a trial.

Everything goes through the verbs. Only the worker is left out where a test is not about it:
`finished` leaves the files that a worker would have left, and `reconcile.tick` takes them in.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from curation.gate import readiness
from curation.personal import model_files
from curation.policy import eras
from curation.review.ops import BallotOp
from curation.versions import archive, freezing
from storage import pairs, settings
from storage.engine import reading, writing
from storage.tables import JobRow
from storage.types import (
    Adapter,
    Arm,
    Choice,
    Comparison,
    Job,
    JobState,
    Project,
    Role,
    Split,
    Trial,
    User,
    Version,
)
from tests.support import copies, curated, stories
from training import asks, reconcile
from training.launch import runs
from training.models import adapters
from training.proving import blind, comparisons
from training.records.parts import BaseModel
from training.settings import Lora
from training.work import evidence, jobs


@dataclass(frozen=True, slots=True)
class Frozen:
    """A project with a version, and the lead who froze it."""

    lead: User
    project: Project
    version: Version


def frozen(engine: Engine, rows: int = 20, name: str = "Desk") -> Frozen:
    """A project with `rows` approved rows and its first version; nothing is waived yet."""
    return copies.once(engine, lambda: _frozen(engine, rows, name), "frozen", rows, name)


def _frozen(engine: Engine, rows: int, name: str) -> Frozen:
    desk = stories.project(engine, name)
    curated.approved(engine, desk, rows)
    curated.compared(engine, desk)
    lead = stories.person(engine, "lena", Role.LEAD)
    with writing(engine) as session:
        return Frozen(lead, desk, freezing.freeze(session, lead, desk.id))


def waive(engine: Engine, lead: User, desk: Project) -> None:
    """Waive every line that a small project cannot meet."""
    until = datetime.now(UTC).date() + timedelta(days=7)
    with writing(engine) as session:
        for signal in readiness.unmet(readiness.report(session, desk.id)):
            readiness.waive(session, lead, desk.id, signal.key, "A test of the loop.", until)


def running(engine: Engine, job: Job) -> Path:
    """The job as it stands once its process was asked for; returns its folder."""
    directory = jobs.folder(settings.current(), job.id)
    directory.mkdir(parents=True, exist_ok=True)
    evidence.write_json(directory / "spec.json", {"kind": job.kind.value})
    with writing(engine) as session:
        row = session.get(JobRow, job.id)
        assert row is not None
        row.state = JobState.RUNNING
    return directory


def finished(engine: Engine, job: Job, files: Mapping[str, bytes], result: dict[str, Any]) -> Job:
    """The job after a worker left these files and this result, and `tick` took them in."""
    directory = running(engine, job)
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    evidence.finish(directory, "finished", "Done.", result)
    reconcile.tick(engine, settings.current(), wait=False)
    with reading(engine) as session:
        return jobs.get(session, job.id)


def launched(engine: Engine, story: Frozen, name: str = "First run") -> Job:
    """A queued training run, with every line waived that can be."""
    waive(engine, story.lead, story.project)
    with writing(engine) as session:
        wish = runs.RunPlan(story.version.id, name, settings=Lora(epochs=1))
        return asks.launch(session, story.lead, wish)


def trained(engine: Engine, story: Frozen, name: str = "First run") -> Adapter:
    """The adapter of a finished run."""
    return saved(engine, launched(engine, story, name))


def saved(engine: Engine, job: Job, rows: int = 12, loss: float = 0.3) -> Adapter:
    """The adapter that a queued run leaves."""
    files = {
        "adapter_config.json": b'{"peft_type": "LORA"}',
        "adapter_model.safetensors": f"weights of {job.id}".encode(),
        "chat_template.jinja": b"{{ messages }}",
    }
    hashes = {key: hashlib.sha256(content).hexdigest() for key, content in files.items()}
    lines = [
        {"at": evidence.now(), "step": step, "total": 10, "loss": 2.0 / step}
        for step in range(1, 11)
    ]
    lines.append({"at": evidence.now(), "step": 10, "total": 10, "eval_loss": loss})
    told = "".join(json.dumps(line) + "\n" for line in lines).encode()
    result = {
        "steps": 10,
        "seed": 0,
        "rows": {"train": rows, "validation": 4},
        "seconds": 60.0,
        "train_loss": 0.2,
        "first_train_loss": 2.0,
        "validation_loss": loss,
        "batches": "joined",
        "libraries": {"torch": "2.13.0"},
        "took": {"seconds": 30.0, "peak_memory_mb": 1320.0},
        "base": {"name": "SmolLM2-135M-Instruct", "sha256": "0" * 64},
        "adapter_files": hashes,
        "adapter_sha256": model_files.names_sha256(hashes),
    }
    inside = {f"adapter/{key}": content for key, content in files.items()}
    finished(engine, job, {**inside, "events.jsonl": told}, result)
    with reading(engine) as session:
        return next(a for a in adapters.listing(session, job.project_id) if a.job_id == job.id)


def evaluated(
    engine: Engine,
    story: Frozen,
    adapter: Adapter | None,
    *,
    base_right: Sequence[int] = (),
    tuned_wrong: Sequence[int] = (),
    personal: Sequence[int] | None = None,
) -> Comparison:
    """A finished comparison. Rows are named by their place among the test rows.

    `personal` names those whose base answer holds a person's name; None where no scan looked.
    """
    with writing(engine) as session:
        job = asks.evaluate(
            session,
            story.lead,
            story.version.id,
            BaseModel("packaged"),
            adapter.id if adapter else None,
        )
    return answered(engine, job, base_right=base_right, tuned_wrong=tuned_wrong, personal=personal)


def answered(
    engine: Engine,
    job: Job,
    *,
    base_right: Sequence[int] = (),
    tuned_wrong: Sequence[int] = (),
    personal: Sequence[int] | None = None,
) -> Comparison:
    """What a queued comparison leaves; see `evaluated`."""
    with reading(engine) as session:
        held = archive.rows(session, job.spec["version_id"], Split.TEST)
    lines = []
    for i, row in enumerate(held):
        lines.append(_line(row.pair_id, Arm.BASE, row.response, right=i in base_right))
        if job.spec["adapter"] is not None:
            lines.append(_line(row.pair_id, Arm.TUNED, row.response, right=i not in tuned_wrong))
    if personal is not None:
        told = {held[i].pair_id for i in personal}
        for line in lines:
            base = line["arm"] == Arm.BASE.value
            line["personal"] = ["PERSON"] if base and line["pair_id"] in told else []
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    finished(engine, job, {"outputs.jsonl": content}, {"n": len(held)})
    with reading(engine) as session:
        return comparisons.listing(session, job.project_id)[0]


def _line(pair_id: int, arm: Arm, expected: str, *, right: bool) -> dict[str, Any]:
    wrong = "Please call the bank." if arm is Arm.BASE else '{"team": "nobody"}'
    text = expected if right else wrong
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return {
        "pair_id": pair_id,
        "arm": arm.value,
        "text": text,
        "valid": right,
        "correct": right,
        "sha256": sha256,
    }


def compared(
    engine: Engine, rows: int = 40, base_right: Sequence[int] = ()
) -> tuple[Frozen, Comparison]:
    """A comparison in which the tuned model is right everywhere but on the first test row."""
    right = tuple(base_right)
    return copies.once(engine, lambda: _compared(engine, rows, right), "compared", rows, right)


def _compared(engine: Engine, rows: int, base_right: tuple[int, ...]) -> tuple[Frozen, Comparison]:
    story = frozen(engine, rows)
    adapter = trained(engine, story)
    return story, evaluated(engine, story, adapter, base_right=base_right, tuned_wrong=(0,))


def of_two_eras(engine: Engine) -> Comparison:
    """The same with 8 test rows: two of the era "old", three of "new", three without one."""
    story = frozen(engine, 40)
    with writing(engine) as session:
        old, new = (
            eras.add(session, story.lead, story.project.id, name, date(year, 1, 1)).id
            for name, year in (("old", 2020), ("new", 2024))
        )
        held = archive.rows(session, story.version.id, Split.TEST)
        for row, era_id in zip(held, (old, old, new, new, new, None, None, None), strict=True):
            pairs.row_of(session, row.pair_id).era_id = era_id
    adapter = trained(engine, story)
    return evaluated(engine, story, adapter, base_right=(0, 3), tuned_wrong=(0,))


def planned(engine: Engine, story: Frozen, of: Comparison, items: int = 4) -> Trial:
    """An open trial."""
    with writing(engine) as session:
        return blind.plan(session, story.lead, of.id, items)


def press(engine: Engine, who: User, trial: Trial, choice: Choice, item: str | None = None) -> str:
    """One vote on the next item, or on this one; returns the op."""
    op = str(uuid.uuid4())
    with writing(engine) as session:
        if item is None:
            item = blind.ballots(session, who, trial.id)[0].item
        blind.vote(session, who, trial.id, BallotOp(op, item, choice, None))
    return op


def prefer(engine: Engine, who: User, trial: Trial, *, json_side: bool = True) -> None:
    """Judge every item: always for the answer that is JSON, or always for the other."""
    with reading(engine) as session:
        ballots = blind.ballots(session, who, trial.id, limit=1000)
    for ballot in ballots:
        left = ballot.left.startswith("{") is json_side
        press(engine, who, trial, Choice.LEFT if left else Choice.RIGHT, ballot.item)
