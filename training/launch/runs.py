"""Training runs: what may be launched, with what, and how a finished one becomes an adapter."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from curation.gate import readiness
from curation.overlap import ledger
from curation.personal import model_files
from curation.versions import archive
from storage import events, pairs, people
from storage.errors import RuleBroken, Unavailable
from storage.settings import Settings, current
from storage.tables import AdapterRow
from storage.types import Job, JobKind, JobState, Split, User, Version, VersionRow
from training.hosted import provider_record, remote, terms
from training.launch import lineage, probes
from training.records.parts import BaseModel, Consent
from training.records.record import written
from training.settings import Local, Lora, Method, Preference, Tuning
from training.settings import read as read_settings
from training.tuning import checkpoints, preferred, trackers
from training.work import evidence, rows


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What to launch."""

    version_id: int
    name: str
    base: BaseModel = field(default_factory=lambda: BaseModel("packaged"))
    settings: Tuning = field(default_factory=Lora)
    share: float = 1.0
    """Share of the train rows it learns from; less than all only to see what rows are worth."""
    consent: Consent | None = None
    """For a run at an endpoint: that its rows may leave the house."""


def request(session: Session, wish: RunPlan) -> tuple[int, dict[str, Any]]:
    """The project and the spec of a run that the gate lets through.

    Raises:
        RuleBroken: a readiness line blocks, there is nothing to learn preferences from, or rows
            would leave the house without consent.
        NotFound: preference tuning names no adapter of the project.
        Unavailable: the version's rows are not the ones that were frozen.
    """
    version = archive.verify(session, wish.version_id)
    signals = readiness.require(session, version.project_id, version)
    chosen = _chosen(session, version, wish)
    base = BaseModel.from_dict(chosen["base"])
    estimate = probes.estimate(session, version, base, wish.settings)
    outside = terms.agreed(session, version, wish.settings, wish.consent, current().data)
    if outside and wish.share != 1.0:
        raise RuleBroken("A run at an endpoint is agreed to for all rows of its version. Send all.")
    return version.project_id, {
        "name": " ".join(wish.name.split())[:80] or f"version {version.number}",
        **chosen,
        "estimate": written(estimate) if estimate is not None and wish.share == 1 else None,
        "gate": [
            {"key": s.key, "name": s.name, "met": s.met, "measured": s.measured, "waiver": s.waiver}
            for s in signals
        ],
        **(msgspec.to_builtins(outside) if outside else {}),
    }


def request_probe(session: Session, wish: RunPlan) -> tuple[int, dict[str, Any]]:
    """The project and the spec of a probe; the gate is not asked, since nothing is kept.

    Raises:
        RuleBroken: the method trains elsewhere, or there is nothing to learn preferences from.
        NotFound: preference tuning names no adapter of the project.
        Unavailable: the version's rows are not the ones that were frozen.
    """
    version = archive.verify(session, wish.version_id)
    if not isinstance(wish.settings, Local):
        raise RuleBroken("This method trains elsewhere; there is nothing to try on this machine.")
    chosen = _chosen(session, version, replace(wish, share=1.0))
    base = BaseModel.from_dict(chosen["base"])
    return version.project_id, {**chosen, "key": probes.key(version, base, wish.settings)}


def _chosen(session: Session, version: Version, wish: RunPlan) -> dict[str, Any]:
    """What decides how a run trains."""
    before = _going_on(session, version, wish)
    return {
        "version_id": version.id,
        "version_number": version.number,
        "version_sha256": version.sha256,
        "base": before.card["base"] if before else wish.base.to_dict(),
        "settings": wish.settings.to_dict(),
        "started_from": lineage.started_from(before) if before else None,
        "share": wish.share,
    }


def _going_on(session: Session, version: Version, wish: RunPlan) -> AdapterRow | None:
    """The adapter that preference tuning goes on from, which has the base model with it; None for
    every other method.
    """
    if not isinstance(wish.settings, Preference):
        return None
    adapter = lineage.going_on(session, version, wish.settings.adapter_id)
    taught = _taught(archive.opened(session, version.id), {"share": wish.share})
    preferred.require(session, version, taught)
    return adapter


def resumable(job: Job, directory: Path) -> checkpoints.Checkpoint | None:
    """The checkpoint that a run could go on from, by a quick look; None where it could not. For a
    run at an endpoint: what is known of it there.
    """
    if _why_not(job):
        return None
    return _offered_remote(directory) if is_remote(job) else checkpoints.offered(directory)


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
    if is_remote(job):
        return _resumed_remote(session, job, directory)
    checkpoint, refused = checkpoints.newest(directory)
    if checkpoint is None:
        why_refused = f" {refused[0].why}" if refused else ""
        raise Unavailable(f"No checkpoint of this run verifies.{why_refused} Launch a new run.")
    base, chosen = (
        BaseModel.from_dict(job.spec["base"]),
        read_settings(job.spec["settings"]),
    )
    wish = RunPlan(job.spec["version_id"], job.spec["name"], base, chosen, _share(job.spec))
    project_id, spec = request(session, wish)
    if "experiment" in job.spec:
        spec["experiment"] = job.spec["experiment"]
    now = {
        "rows_sha256": hashlib.sha256(
            _rows(session, archive.opened(session, wish.version_id), job.spec)
        ).hexdigest(),
        "settings": chosen.to_dict(),
        "libraries": checkpoints.libraries(),
    }
    checkpoints.check(checkpoint, checkpoints.verify(checkpoint)["run"], now)
    before = job.spec.get("resumed_from")
    spec["estimate"] = None  # it was for the whole run
    spec["resumed_from"] = {
        "job": job.id,
        "step": checkpoint.step,
        "sha256": checkpoint.sha256,
        "refused": [{"step": rejected.step, "why": rejected.why} for rejected in refused],
        "before": before,
    }
    return project_id, spec


def is_remote(job: Job) -> bool:
    """Whether a run is an endpoint's, not this machine's."""
    method = job.spec.get("settings", {}).get("method")
    return job.kind is JobKind.TRAIN and method == Method.PROVIDER


def shared_batch(job: Job) -> int | None:
    """Rows of a step of a run or probe on this machine; None where an endpoint trains."""
    settings = job.spec["settings"]
    return None if settings.get("method") == Method.PROVIDER else settings.get("batch_size")


def _offered_remote(directory: Path) -> checkpoints.Checkpoint | None:
    remote_run = remote.read(directory)
    if remote_run is None or not remote_run.resumable:
        return None
    return checkpoints.Checkpoint(remote_run.step, remote.sha256(directory), 0, directory)


def _resumed_remote(session: Session, job: Job, directory: Path) -> tuple[int, dict[str, Any]]:
    """The same for a run at an endpoint, which goes on there whatever became of its process here;
    the consent it was begun with still holds, as the rows are the same.
    """
    checkpoint = _offered_remote(directory)
    if checkpoint is None:
        raise RuleBroken("Nothing of this run goes on at its endpoint. Launch a new run.")
    agreed = msgspec.convert(job.spec["consent"], Consent)
    consent = msgspec.structs.replace(agreed, given_by=None, at=None)
    chosen = read_settings(job.spec["settings"])
    wish = RunPlan(job.spec["version_id"], job.spec["name"], settings=chosen, consent=consent)
    project_id, spec = request(session, wish)
    before = job.spec.get("resumed_from")
    spec["resumed_from"] = {
        "job": job.id,
        "step": checkpoint.step,
        "sha256": checkpoint.sha256,
        "refused": [],
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


def _share(spec: Mapping[str, Any]) -> float:
    """The share of the train rows that a run learns from; all where its spec is older than that."""
    return float(spec.get("share", 1.0))


def _taught(opened: archive.Opened, spec: Mapping[str, Any]) -> list[VersionRow]:
    """The rows that a run trains on and those that it watches, in the version's order."""
    train = nested(opened.part(Split.TRAIN), _share(spec), opened.version.seed)
    train_ids = {row.pair_id for row in train}
    both = opened.part(Split.TRAIN, Split.VALIDATION)
    return [row for row in both if row.split is Split.VALIDATION or row.pair_id in train_ids]


def nested(rows: Sequence[VersionRow], share: float, seed: int) -> list[VersionRow]:
    """A random part of the rows in their order, with groups whole; a smaller share is part of a
    larger one.
    """
    if share >= 1:
        return list(rows)
    sizes = Counter(row.group for row in rows)
    drawn = sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    reached = accumulate(sizes[group] for group in drawn)
    wanted = share * len(rows)
    groups = {
        group for group, n in zip(drawn, reached, strict=True) if n - sizes[group] / 2 < wanted
    }
    return [row for row in rows if row.group in groups]


def _rows(session: Session, opened: archive.Opened, spec: Mapping[str, Any]) -> bytes:
    """What a run is taught, as a worker reads it: rows, or the preference pairs in them."""
    taught = _taught(opened, spec)
    if spec["settings"].get("method") == Method.PREFERENCE:
        return preferred.lines(session, taught)
    return rows.written(taught)


def tidy(job: Job, directory: Path, state: JobState, result: Mapping[str, Any]) -> None:
    """Remove what an ended run no longer needs: everything that one learnt which was cancelled, all
    checkpoints of one that ran to its end, half-written files of every one.
    """
    if job.kind is not JobKind.TRAIN or not directory.is_dir():
        return
    ended = state is JobState.FINISHED and not result.get("stopped_by_request")
    checkpoints.tidy(directory, keep=not (ended or state is JobState.CANCELLED))
    if state is JobState.CANCELLED:
        shutil.rmtree(directory / "adapter", ignore_errors=True)


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> dict[str, Any]:
    """Write the training and validation rows of the verified version; test rows stay away. A run
    that goes on gets its checkpoint and the progress lines up to there.
    """
    opened = archive.opened(session, job.spec["version_id"])
    version, content = opened.version, _rows(session, opened, job.spec)
    taught = ledger.rows(session, job.project_id, _taught(opened, job.spec))
    ledger.check(session, job.project_id, taught, "freeze a new version")
    evidence.write_bytes(directory / "rows.jsonl", content)
    resumed = job.spec.get("resumed_from")
    if resumed is not None:
        source = directory.with_name(resumed["job"])
        if is_remote(job):
            remote.adopt(source, resumed["sha256"], directory)
        else:
            checkpoints.adopt(source, resumed["step"], resumed["sha256"], directory)
        evidence.copy_events(source, directory, resumed["step"])
    return {
        "rows_path": "rows.jsonl",
        "rows_sha256": hashlib.sha256(content).hexdigest(),
        "version_sha256": version.sha256,
        "tested_sha256": ledger.digests(session, job.project_id),
        "system_message": version.manifest.system_message,
        "base": job.spec["base"],
        "settings": job.spec["settings"],
        "data_dir": str(settings.data),
        "resumed_from": resumed,
        "name": job.spec.get("name", ""),
        "trackers": trackers.chosen() if job.kind is JobKind.TRAIN else [],
        **({"endpoint": job.spec["endpoint"]} if is_remote(job) else {}),
        **_adapter(job.spec.get("started_from"), settings),
    }


def _adapter(before: Mapping[str, Any] | None, settings: Settings) -> dict[str, Any]:
    """What a worker must know of the adapter that a run goes on from."""
    if before is None:
        return {}
    return {
        "started_from": dict(before),
        "adapter_path": str(settings.jobs / before["job"] / "adapter"),
        "precision": before["precision"],
    }


def ingest(
    session: Session, actor: User, job: Job, directory: Path, result: Mapping[str, Any]
) -> None:
    """Register the adapter that a finished run saved.

    Raises:
        Unavailable: its files are not the ones the run recorded.
    """
    sha256 = _sha256(job, directory, result)
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
        session,
        actor,
        "adapter",
        "adapter",
        row.id,
        project_id=job.project_id,
        sha256=sha256,
        version=job.spec["version_sha256"],
        job=job.id,
    )


def _sha256(job: Job, directory: Path, result: Mapping[str, Any]) -> str:
    """What a run made, by its files, or by its names where an endpoint keeps the files."""
    if not is_remote(job):
        return model_files.folder_sha256(directory / "adapter")
    endpoint = job.spec["settings"]["endpoint"]
    return provider_record.identity(endpoint, result["remote_job"], result["fine_tuned_model"])


def _kind(job: Job) -> str:
    """What was made: "lora" for an adapter, "full" for a whole model, "provider" for one that an
    endpoint keeps.
    """
    method = job.spec["settings"].get("method", Method.LORA)
    return str(method) if method in (Method.FULL, Method.PROVIDER) else "lora"


def _card(session: Session, job: Job, result: Mapping[str, Any]) -> dict[str, Any]:
    """The lineage that is known when a run ends; evaluations and votes are added when read."""
    version = archive.get(session, job.spec["version_id"])
    names = people.names(session)
    ids = [row.pair_id for row in archive.rows(session, version.id)]
    approvals: dict[str, int] = {}
    for user_id in pairs.approvers(session, ids).values():
        name = names.get(user_id, "someone")
        approvals[name] = approvals.get(name, 0) + 1
    return {
        "kind": _kind(job),
        **{key: job.spec[key] for key in ("consent", "price") if key in job.spec},
        "run": job.id,
        "launched_by": names.get(job.requested_by, "someone"),
        "version": {
            "number": version.number,
            "sha256": version.sha256,
            "seed": version.seed,
            "counts": version.counts,
            "origins": version.manifest.origins,
            "approvals": approvals,
        },
        "gate": job.spec["gate"],
        "base": job.spec["base"],
        "settings": job.spec["settings"],
        "started_from": job.spec.get("started_from"),
        "share": _share(job.spec),
        "experiment": job.spec.get("experiment"),
        "result": {key: value for key, value in result.items() if key != "message"},
    }
