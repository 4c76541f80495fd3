"""A small project that gets somewhere, for tests: rows that people approved, a version, finished jobs.

Everything goes through the verbs. Only the worker is left out where a test is not about it:
`finished` leaves the files that a worker would have left, and `jobs.tick` takes them in.
"""

import hashlib
import json
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from curation import overlaps, readiness, review, versions
from curation.ops import Op
from storage import pairs, projects, settings
from storage.engine import reading, writing
from storage.tables import JobRow
from storage.types import (
    Action,
    Adapter,
    Arm,
    Evaluation,
    Job,
    JobState,
    Origin,
    Project,
    Split,
    User,
    Version,
)
from training import adapters, evaluations, evidence, jobs, runs, vetting
from training.settings import Lora

TEAMS = ("cards", "loans", "fraud", "online")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"team": {"enum": list(TEAMS)}},
    "required": ["team"],
    "additionalProperties": False,
}
_WORDS = (
    "parcel lantern bridge copper violin harbour meadow timber saddle anchor pepper window basket "
    "marble garden button ladder pillow rocket silver candle feather hammer island jacket kettle "
    "lemon mirror needle orange pencil quarry ribbon shovel teapot umbrella valley walnut yellow "
    "zipper acorn barrel cactus dagger engine falcon goblet helmet insect jigsaw"
).split()


@dataclass(frozen=True, slots=True)
class Frozen:
    """A project with a version, and the lead who froze it."""

    lead: User
    project: Project
    version: Version


def project(engine: Engine, lead: User, name: str = "Desk") -> Project:
    """A project whose output is one of four teams."""
    with writing(engine) as session:
        return projects.create(
            session,
            lead,
            name,
            "Say which team takes the message.",
            "You route messages. Answer with JSON.",
            output_schema=SCHEMA,
            label_field="team",
            two_people=False,
        )


def message(number: int, of: str = "Desk") -> str:
    """A message like no other: fourteen words drawn by its number."""
    draw = random.Random(f"{of} {number}")
    return " ".join(draw.sample(_WORDS, 14))


def answer(number: int) -> str:
    """The expected output of a message."""
    return json.dumps({"team": TEAMS[number % len(TEAMS)]})


def waiting(engine: Engine, inside: Project, rows: int) -> list[int]:
    """Imported rows that wait for a person."""
    with writing(engine) as session:
        return [
            pairs.add(
                session, inside.id, message(i, inside.name), answer(i), Origin.IMPORT
            ).id
            for i in range(rows)
        ]


def approve(engine: Engine, reviewer: User, inside: Project) -> int:
    """Approve every waiting row, one decision at a time; returns how many there were."""
    done = 0
    with writing(engine) as session:
        while cards := review.lease(session, reviewer, inside.id):
            for card in cards:
                op = Op(
                    op=str(uuid.uuid4()),
                    row=card.pair.id,
                    version=card.pair.version,
                    fence=card.fence,
                    action=Action.APPROVE,
                    prompt=None,
                    response=None,
                    reason=None,
                    target=None,
                )
                review.decide(session, reviewer, op)
                done += 1
    return done


def frozen(engine: Engine, lead: User, rows: int = 20, name: str = "Desk") -> Frozen:
    """A project with `rows` approved rows and its first version; nothing is waived yet."""
    inside = project(engine, lead, name)
    waiting(engine, inside, rows)
    approve(engine, lead, inside)
    with writing(engine) as session:
        overlaps.sweep(session, lead, inside.id)
        return Frozen(lead, inside, versions.freeze(session, lead, inside.id))


def waive(engine: Engine, lead: User, inside: Project) -> None:
    """Set aside every line that a small project cannot meet."""
    until = datetime.now(UTC).date() + timedelta(days=7)
    with writing(engine) as session:
        for signal in readiness.unmet(readiness.report(session, inside.id)):
            readiness.waive(session, lead, inside.id, signal.key, "A test of the loop.", until)


def finished(engine: Engine, job: Job, files: Mapping[str, bytes], result: dict[str, Any]) -> Job:
    """The job after a worker left these files and this result, and `tick` took them in."""
    here = settings.current()
    directory = jobs.folder(here, job.id)
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    directory.mkdir(parents=True, exist_ok=True)
    evidence.write_json(directory / "spec.json", {"kind": job.kind.value})
    evidence.finish(directory, "finished", "Done.", result)
    with writing(engine) as session:
        row = session.get(JobRow, job.id)
        assert row is not None
        row.state = JobState.RUNNING
    jobs.tick(engine, here, wait=False)
    with reading(engine) as session:
        return jobs.get(session, job.id)


def trained(engine: Engine, story: Frozen, name: str = "First run") -> Adapter:
    """The adapter of a finished run."""
    waive(engine, story.lead, story.project)
    with writing(engine) as session:
        wish = runs.Wish(story.version.id, name, settings=Lora(epochs=1))
        job = jobs.launch(session, story.lead, wish)
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
    lines.append({"at": evidence.now(), "step": 10, "total": 10, "eval_loss": 0.3})
    told = "".join(json.dumps(line) + "\n" for line in lines).encode()
    result = {
        "steps": 10,
        "seed": 0,
        "rows": {"train": 12, "validation": 4},
        "train_loss": 0.2,
        "first_train_loss": 2.0,
        "validation_loss": 0.3,
        "libraries": {"torch": "2.13.0"},
        "base": {"name": "SmolLM2-135M-Instruct", "sha256": "0" * 64},
        "adapter_files": hashes,
        "adapter_sha256": vetting.names_sha256(hashes),
    }
    inside = {f"adapter/{key}": content for key, content in files.items()}
    finished(engine, job, {**inside, "events.jsonl": told}, result)
    with reading(engine) as session:
        return next(a for a in adapters.listing(session, story.project.id) if a.job_id == job.id)


def evaluated(
    engine: Engine,
    story: Frozen,
    adapter: Adapter | None,
    *,
    base_right: Sequence[int] = (),
    tuned_wrong: Sequence[int] = (),
) -> Evaluation:
    """A finished comparison. Rows are named by their place among the test rows."""
    with writing(engine) as session:
        job = jobs.evaluate(
            session,
            story.lead,
            story.version.id,
            {"kind": "packaged"},
            adapter.id if adapter else None,
        )
        held = versions.rows(session, story.version.id, Split.TEST)
    lines = []
    for i, row in enumerate(held):
        lines.append(_line(row.pair_id, Arm.BASE, row.response, right=i in base_right))
        if adapter is not None:
            lines.append(_line(row.pair_id, Arm.TUNED, row.response, right=i not in tuned_wrong))
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    finished(engine, job, {"outputs.jsonl": content}, {"n": len(held)})
    with reading(engine) as session:
        return evaluations.listing(session, story.project.id)[0]


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
