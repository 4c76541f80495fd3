"""Adapters that were trained elsewhere: vetted before anything is loaded, then kept like others.

Nothing of the folder that came along is used but the numbers of its matrices and a few settings,
written anew. No torch here: what is refused is refused before a model library has seen it. How it
was trained, and on what, is not known, and its card says so.
"""

import json
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.personal import model_files
from curation.versions import archive
from storage import events, synced
from storage.access import allowed
from storage.errors import RuleBroken, Unavailable
from storage.settings import Settings
from storage.tables import AdapterRow, JobRow
from storage.types import Adapter, JobKind, JobState, Role, User, Version
from training.lifecycle import adapter_vetting, incoming
from training.lifecycle.adapter_vetting import Vetted
from training.models import adapters, base_models, verdicts, vetting
from training.records.parts import BaseModel
from training.records.record import written
from training.records.specs import ImportSpec
from training.work import evidence

LIMITS = (
    "It was trained elsewhere: on which pairs is not known, and held-out pairs may be among them.",
)


@dataclass(frozen=True, slots=True)
class ImportedFiles:
    """An adapter's files that were looked through and lie where those of a run would."""

    job_id: str
    base: BaseModel
    base_folder: Path
    base_sha256: str
    vetted: Vetted
    sha256: str


@allowed(Role.LEAD)
def look_through(
    session: Session,
    actor: User,  # noqa: ARG001 - whose role was asked for
    project_id: int,
    source: Path,
    base: BaseModel,
    settings: Settings,
) -> ImportedFiles:
    """Look through an adapter in a folder or a zip, for a base model that is on this machine, and
    keep its files for `take`. Of the database it only reads: large files take their time, in which
    others must be able to write.

    Raises:
        BadInput: it is refused; says why.
        RuleBroken: the project has no version yet.
        Unavailable: the base model is not here.
    """
    _version(session, project_id)
    at = base_models.at_hand(base, settings.data)
    if at is None:
        raise Unavailable(
            "The base model is not on this server yet. Launch a run on it, or compare it, first."
        )
    verdicts.require(at, settings.data, again=False)
    job_id = str(uuid.uuid4())
    final = settings.jobs / job_id / "adapter"
    settings.jobs.mkdir(parents=True, exist_ok=True)
    try:
        vetted = keep(source, at, final, base)
        sha256 = model_files.folder_sha256(final)
        return ImportedFiles(job_id, base, at, model_files.folder_sha256(at), vetted, sha256)
    except BaseException:
        shutil.rmtree(final.parent, ignore_errors=True)
        raise


@allowed(Role.LEAD)
def take(
    session: Session,
    actor: User,
    project_id: int,
    files: ImportedFiles,
    name: str,
    settings: Settings,
) -> Adapter:
    """Take in an adapter that was looked through. It is judged on the held-out rows of the
    project's newest version. Where it is refused its files go.

    Raises:
        RuleBroken: the project has no version, or an adapter of the same files.
    """
    try:
        version = _version(session, project_id)
        _refuse_twice(session, project_id, files.sha256)
        return _registered(session, actor, version, " ".join(name.split())[:80], files)
    except BaseException:
        shutil.rmtree(settings.jobs / files.job_id, ignore_errors=True)
        raise


def _version(session: Session, project_id: int) -> Version:
    version = next(iter(archive.listing(session, project_id)), None)
    if version is None:
        raise RuleBroken("Freeze a version first: the adapter is judged on its held-out pairs.")
    return version


def keep(source: Path, base: Path, final: Path, named: BaseModel) -> Vetted:
    """Vet what came and write the adapter's own folder `final`, whole or not at all; returns what
    it is.

    Raises:
        BadInput: it is refused; says why.
    """
    record = model_files.readable(base, "assay.json")
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=final.parent.parent) as unpacked:
        came = Path(unpacked)
        incoming.unpack(source, came)
        vetted = adapter_vetting.vet(came, base)
        final.parent.mkdir(parents=True)
        making = final.with_name(".adapter-making")
        making.mkdir()
        (came / "adapter_model.safetensors").rename(making / "adapter_model.safetensors")
        config = vetted.config(str(record.get("name") or named.where.rpartition("/")[2]))
        (making / "adapter_config.json").write_text(json.dumps(config, indent=2))
        (making / "chat_template.jinja").write_text(vetting.template(base) or "", encoding="utf-8")
        synced.sync_all(making)
        evidence.publish(making, final)
    return vetted


def _refuse_twice(session: Session, project_id: int, sha256: str) -> None:
    query = select(AdapterRow).where(
        AdapterRow.project_id == project_id, AdapterRow.sha256 == sha256
    )
    existing = session.scalars(query.limit(1)).first()
    if existing is not None:
        raise RuleBroken(f"These very files are here already, as adapter {existing.name}.")


def _registered(
    session: Session, actor: User, version: Version, name: str, files: ImportedFiles
) -> Adapter:
    """The rows: a finished job that is no run, and the adapter with a card that says what it is."""
    job_id = files.job_id
    full_name = f"{name or 'imported'} · {job_id[:8]}"
    spec = ImportSpec(imported={"sha256": files.sha256}, name=name, version_id=version.id)
    now = datetime.now(UTC)
    session.add(
        JobRow(
            id=job_id,
            project_id=version.project_id,
            kind=JobKind.EXPORT,
            state=JobState.FINISHED,
            requested_by=actor.id,
            spec=written(spec),
            result={"state": "finished", "adapter_sha256": files.sha256},
            message="Taken in from elsewhere.",
            ended_at=now,
        )
    )
    session.flush()
    row = AdapterRow(
        project_id=version.project_id,
        name=full_name,
        job_id=job_id,
        version_id=version.id,
        sha256=files.sha256,
        card=_card(actor, version, files),
    )
    session.add(row)
    session.flush()
    events.record(
        session,
        actor,
        "import",
        "adapter",
        row.id,
        project_id=version.project_id,
        sha256=files.sha256,
        job=job_id,
    )
    return adapters.get(session, row.id)


def _card(actor: User, version: Version, files: ImportedFiles) -> dict[str, Any]:
    vetted, base = files.vetted, files.base_folder
    record = model_files.readable(base, "assay.json")
    return {
        "kind": "lora",
        "origin": "imported",
        "imported": {"by": actor.name, "named_base": vetted.named_base, "limits": list(LIMITS)},
        "launched_by": actor.name,
        "version": {
            "number": version.number,
            "sha256": version.sha256,
            "seed": version.seed,
            "counts": version.counts,
            "origins": {},
            "approvals": {},
        },
        "gate": [],
        "base": files.base.to_dict(),
        "settings": {
            "method": "lora",
            "r": vetted.r,
            "alpha": vetted.alpha,
            "dropout": vetted.dropout,
            "targets": list(vetted.targets),
            "rslora": vetted.rslora,
            "dora": vetted.dora,
        },
        "result": {
            "base": {
                "name": str(record.get("name", base.name)),
                "sha256": files.base_sha256,
                "licence": str(record.get("licence", "see the folder")),
                "revision": record.get("revision"),
            },
        },
    }
