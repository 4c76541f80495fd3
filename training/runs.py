"""Training runs: what may be launched, with what, and how a finished one becomes an adapter."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from curation import ledger, readiness, versions
from storage import events, pairs, people
from storage.errors import Unavailable
from storage.settings import Settings
from storage.tables import AdapterRow
from storage.types import Job, Split, User, VersionRow
from training import base_models, evidence
from training.settings import Lora


@dataclass(frozen=True, slots=True)
class Wish:
    """What to launch."""

    version_id: int
    name: str
    base: base_models.Base = field(default_factory=lambda: base_models.Base("packaged"))
    settings: Lora = field(default_factory=Lora)


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
    """Write the training and validation rows of the verified version; test rows stay away."""
    version = versions.verify(session, job.spec["version_id"])
    frozen = [row for row in versions.rows(session, version.id) if row.split is not Split.TEST]
    taught = ledger.rows(session, job.project_id, frozen)
    ledger.check(session, job.project_id, taught, "freeze a new version")
    content = rows_jsonl(frozen)
    evidence.write_bytes(directory / "rows.jsonl", content)
    return {
        "rows_path": "rows.jsonl",
        "rows_sha256": hashlib.sha256(content).hexdigest(),
        "version_sha256": version.sha256,
        "tested_sha256": ledger.digests(session, job.project_id),
        "system_message": version.manifest["system_message"],
        "base": job.spec["base"],
        "settings": job.spec["settings"],
        "data_dir": str(settings.data),
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
