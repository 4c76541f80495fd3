"""Training runs: what may be launched, with what, and how a finished one becomes an adapter."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from curation import ledger, readiness, versions
from storage import events, pairs, people
from storage.errors import RuleBroken, Unavailable
from storage.settings import Settings
from storage.tables import AdapterRow
from storage.types import Job, JobKind, JobState, Split, User, VersionRow
from training import base_models, checkpoints, evidence
from training.settings import Lora, Tuning
from training.settings import read as read_settings


@dataclass(frozen=True, slots=True)
class Wish:
    """What to launch."""

    version_id: int
    name: str
    base: base_models.Base = field(default_factory=lambda: base_models.Base("packaged"))
    settings: Tuning = field(default_factory=Lora)


def request(session: Session, wish: Wish) -> tuple[int, dict[str, Any]]:
    """The project and the spec of a run that the gate lets through.

    Raises:
        RuleBroken: a readiness line blocks.
        Unavailable: the version's rows are not the ones that were frozen.
    """
    version = versions.verify(session, wish.version_id)
    signals = readiness.require(session, version.project_id, version)
    return version.project_id, {
        "name": " ".join(wish.name.split())[:80] or f"version {version.number}",
        "version_id": version.id,
        "version_number": version.number,
        "version_sha256": version.sha256,
        "base": wish.base.to_dict(),
        "settings": wish.settings.to_dict(),
        "gate": [
            {"key": s.key, "name": s.name, "met": s.met, "measured": s.measured,
             "waiver": s.waiver}
            for s in signals
        ],
    }  # fmt: skip


def resumable(job: Job, directory: Path) -> checkpoints.Checkpoint | None:
    """The checkpoint that a run could go on from, by a quick look; None where it could not."""
    return None if _why_not(job) else checkpoints.offered(directory)


def request_resumed(session: Session, job: Job, directory: Path) -> tuple[int, dict[str, Any]]:
    """The project and the spec of a run that goes on where another was interrupted.

    Raises:
        RuleBroken: the run has nothing to go on with, a readiness line blocks, or rows, settings or
            libraries are no longer as they were.
        Unavailable: no checkpoint verifies.
    """
    why = _why_not(job)
    if why:
        raise RuleBroken(why)
    found, refused = checkpoints.newest(directory)
    if found is None:
        told = f" {refused[0].why}" if refused else ""
        raise Unavailable(f"No checkpoint of this run verifies.{told} Launch a new run.")
    base, chosen = (
        base_models.Base.from_dict(job.spec["base"]),
        read_settings(job.spec["settings"]),
    )
    wish = Wish(job.spec["version_id"], job.spec["name"], base, chosen)
    project_id, spec = request(session, wish)
    now = {
        "rows_sha256": hashlib.sha256(_rows(versions.opened(session, wish.version_id))).hexdigest(),
        "settings": chosen.to_dict(),
        "libraries": checkpoints.libraries(),
    }
    checkpoints.check(found, checkpoints.verify(found)["run"], now)
    before = job.spec.get("resumed_from")
    spec["resumed_from"] = {
        "job": job.id,
        "step": found.step,
        "sha256": found.sha256,
        "refused": [{"step": one.step, "why": one.why} for one in refused],
        "before": before,
    }
    return project_id, spec


def _why_not(job: Job) -> str | None:
    """Why a run cannot go on from a checkpoint, whatever lies in its folder."""
    result = job.result or {}
    stopped = job.state is JobState.FINISHED and result.get("stopped_by_request")
    if job.kind is not JobKind.TRAIN:
        return "Only a training run can go on from a checkpoint. Start this job again."
    if not (stopped or job.state in (JobState.LOST, JobState.FAILED)):
        return f"This run is {job.state}; only one that was lost, failed or stopped can go on."
    if result.get("diverged"):
        return (
            "This run diverged, and with the same settings it would diverge again. Launch one with "
            "a lower learning rate."
        )
    return None


def _rows(opened: versions.Opened) -> bytes:
    """The training and validation rows of a version, as a worker reads them."""
    return rows_jsonl(opened.part(Split.TRAIN, Split.VALIDATION))


def tidy(one: Job, directory: Path, state: JobState, result: Mapping[str, Any]) -> None:
    """Remove what an ended run no longer needs: everything that one learnt which was cancelled, all
    checkpoints of one that ran to its end, half-written files of every one.
    """
    if one.kind is not JobKind.TRAIN or not directory.is_dir():
        return
    ended = state is JobState.FINISHED and not result.get("stopped_by_request")
    checkpoints.tidy(directory, keep=not (ended or state is JobState.CANCELLED))
    if state is JobState.CANCELLED:
        shutil.rmtree(directory / "adapter", ignore_errors=True)


def rows_jsonl(frozen: list[VersionRow]) -> bytes:
    """The lines a worker reads: pair_id, split, prompt, response."""
    lines = (
        {
            "pair_id": row.pair_id,
            "split": row.split.value,
            "prompt": row.prompt,
            "response": row.response,
        }
        for row in frozen
    )
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> dict[str, Any]:
    """Write the training and validation rows of the verified version; test rows stay away. A run
    that goes on gets its checkpoint and the progress lines up to there.
    """
    opened = versions.opened(session, job.spec["version_id"])
    version, content = opened.version, _rows(opened)
    taught = ledger.rows(session, job.project_id, opened.part(Split.TRAIN, Split.VALIDATION))
    ledger.check(session, job.project_id, taught, "freeze a new version")
    evidence.write_bytes(directory / "rows.jsonl", content)
    resumed = job.spec.get("resumed_from")
    if resumed is not None:
        source = directory.with_name(resumed["job"])
        checkpoints.adopt(source, resumed["step"], resumed["sha256"], directory)
        evidence.copy_events(source, directory, resumed["step"])
    return {
        "rows_path": "rows.jsonl",
        "rows_sha256": hashlib.sha256(content).hexdigest(),
        "version_sha256": version.sha256,
        "tested_sha256": ledger.digests(session, job.project_id),
        "system_message": version.manifest["system_message"],
        "base": job.spec["base"],
        "settings": job.spec["settings"],
        "data_dir": str(settings.data),
        "resumed_from": resumed,
    }


def ingest(
    session: Session, actor: User, job: Job, directory: Path, result: Mapping[str, Any]
) -> None:
    """Register the adapter that a finished run saved.

    Raises:
        Unavailable: its files are not the ones the run recorded.
    """
    sha256 = base_models.folder_sha256(directory / "adapter")
    if sha256 != result["adapter_sha256"]:
        raise Unavailable("The saved adapter differs from what the run recorded. Launch again.")
    row = AdapterRow(
        project_id=job.project_id,
        name=f"{job.spec['name']} · {job.id[:8]}",
        job_id=job.id,
        version_id=job.spec["version_id"],
        sha256=sha256,
        card=_card(session, job, result),
    )
    session.add(row)
    session.flush()
    events.record(
        session, actor, "adapter", "adapter", row.id, project_id=job.project_id, sha256=sha256,
        version=job.spec["version_sha256"], job=job.id,
    )  # fmt: skip


def _card(session: Session, job: Job, result: Mapping[str, Any]) -> dict[str, Any]:
    """The lineage that is known when a run ends; evaluations and votes are added when read."""
    version = versions.get(session, job.spec["version_id"])
    names = people.names(session)
    ids = [row.pair_id for row in versions.rows(session, version.id)]
    approvals: dict[str, int] = {}
    for user_id in pairs.approvers(session, ids).values():
        name = names.get(user_id, "someone")
        approvals[name] = approvals.get(name, 0) + 1
    return {
        "run": job.id,
        "launched_by": names.get(job.requested_by, "someone"),
        "version": {
            "number": version.number,
            "sha256": version.sha256,
            "seed": version.seed,
            "counts": version.counts,
            "origins": version.manifest["origins"],
            "approvals": approvals,
        },
        "gate": job.spec["gate"],
        "base": job.spec["base"],
        "settings": job.spec["settings"],
        "result": {key: value for key, value in result.items() if key != "message"},
    }
