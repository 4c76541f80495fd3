"""Training runs: what may be launched, with what, and how a finished one becomes an adapter."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import cast

from msgspec import structs
from sqlalchemy.orm import Session

from curation.gate import readiness
from curation.overlap import ledger
from curation.personal import model_files
from curation.versions import archive
from storage import events, pairs, people, synced
from storage.blank import trim
from storage.errors import RuleBroken, Unavailable
from storage.settings import Settings
from storage.tables import AdapterRow
from storage.types import Job, JobKind, JobState, Split, User, Version, VersionRow
from training.hosted import provider_record, remote, terms
from training.launch import lineage, probes
from training.records import results, specs
from training.records.cards import AdapterCard, CardVersion
from training.records.parts import (
    BaseModel,
    Consent,
    GateLine,
    PassedOver,
    ResumedFrom,
)
from training.records.record import read, written
from training.records.results import TrainResult
from training.records.specs import ProbeSpec, Training, TrainSpec
from training.records.tasks import TrainTask
from training.settings import Local, Lora, Method, MethodSettings, Preference, Provider, Tuning
from training.tuning import checkpoints, preferred, trackers
from training.work import evidence, machine, rows


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


def request(session: Session, wish: RunPlan) -> tuple[int, TrainSpec]:
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
    estimate = probes.estimate(session, version, chosen.base, wish.settings)
    outside = terms.agreed(session, version, wish.settings, wish.consent)
    if outside and wish.share != 1.0:
        raise RuleBroken(
            "A run at an endpoint is agreed to for all pairs of its version. Send all."
        )
    spec = TrainSpec(
        **structs.asdict(chosen),
        name=trim(" ".join(wish.name.split()))[:80] or f"version {version.number}",
        estimate=estimate if wish.share == 1 else None,
        gate=tuple(
            GateLine(key=s.key, name=s.name, met=s.met, measured=s.measured, waiver=s.waiver)
            for s in signals
        ),
    )
    return version.project_id, structs.replace(spec, **structs.asdict(outside)) if outside else spec


def request_probe(session: Session, wish: RunPlan) -> tuple[int, ProbeSpec]:
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
    key = probes.key(version, chosen.base, wish.settings)
    return version.project_id, ProbeSpec(**structs.asdict(chosen), key=key)


def _chosen(session: Session, version: Version, wish: RunPlan) -> Training:
    """What decides how a run trains."""
    before = _going_on(session, version, wish)
    return Training(
        version_id=version.id,
        version_number=version.number,
        version_sha256=version.sha256,
        base=read(AdapterCard, before.card).base if before else wish.base,
        settings=cast("MethodSettings", wish.settings),
        started_from=lineage.started_from(before) if before else None,
        share=wish.share,
    )


def _going_on(session: Session, version: Version, wish: RunPlan) -> AdapterRow | None:
    """The adapter that preference tuning goes on from, which has the base model with it; None for
    every other method.
    """
    if not isinstance(wish.settings, Preference):
        return None
    adapter = lineage.going_on(session, version, wish.settings.adapter_id)
    taught = _taught(archive.opened(session, version.id), wish.share)
    preferred.require(session, version, taught)
    return adapter


def resumable(job: Job, directory: Path) -> checkpoints.Checkpoint | None:
    """The checkpoint that a run could go on from, by a quick look; None where it could not. For a
    run at an endpoint: what is known of it there.
    """
    if _why_not(job):
        return None
    return _offered_remote(directory) if is_remote(job) else checkpoints.offered(directory)


def request_resumed(session: Session, job: Job, directory: Path) -> tuple[int, TrainSpec]:
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
    before = specs.train(job)
    wish = RunPlan(before.version_id, before.name, before.base, before.settings, before.share)
    project_id, spec = request(session, wish)
    content = _rows(session, archive.opened(session, wish.version_id), before)
    now = checkpoints.RunIdentity(
        rows_sha256=hashlib.sha256(content).hexdigest(),
        settings=before.settings.to_dict(),
        libraries=checkpoints.libraries(),
    )
    checkpoints.check(checkpoint, checkpoints.verify(checkpoint).run, now)
    return project_id, structs.replace(
        spec,
        experiment=before.experiment,
        estimate=None,  # it was for the whole run
        resumed_from=ResumedFrom(
            job=job.id,
            step=checkpoint.step,
            sha256=checkpoint.sha256,
            refused=tuple(PassedOver(step=rejected.step, why=rejected.why) for rejected in refused),
            before=before.resumed_from,
        ),
    )


def is_remote(job: Job) -> bool:
    """Whether a run is an endpoint's, not this machine's."""
    method = job.spec.get("settings", {}).get("method")  # also of a spec that cannot be read
    return job.kind is JobKind.TRAIN and method == Method.PROVIDER


def shared_batch(job: Job) -> int | None:
    """Rows of a step of a run or probe on this machine; None where an endpoint trains."""
    settings = specs.train(job).settings
    return settings.batch_size if isinstance(settings, Local) else None


def expected_memory(job: Job) -> float | None:
    """MB of RAM that a run was estimated to need; None without an estimate, and where it was one of
    an accelerator's memory.
    """
    estimate = specs.train(job).estimate
    return estimate.memory_mb if estimate is not None and not machine.accelerators() else None


def _offered_remote(directory: Path) -> checkpoints.Checkpoint | None:
    remote_run = remote.read(directory)
    if remote_run is None or not remote_run.resumable:
        return None
    return checkpoints.Checkpoint(remote_run.step, remote.sha256(directory), 0, directory)


def _resumed_remote(session: Session, job: Job, directory: Path) -> tuple[int, TrainSpec]:
    """The same for a run at an endpoint, which goes on there whatever became of its process here;
    the consent it was begun with still holds, as the rows are the same.
    """
    checkpoint = _offered_remote(directory)
    if checkpoint is None:
        raise RuleBroken("Nothing of this run goes on at its endpoint. Launch a new run.")
    before = specs.train(job)
    if before.consent is None:
        raise RuleBroken("Nobody agreed that pairs of this run leave the house. Launch a new run.")
    consent = structs.replace(before.consent, given_by=None, at=None)
    wish = RunPlan(before.version_id, before.name, settings=before.settings, consent=consent)
    project_id, spec = request(session, wish)
    resumed = ResumedFrom(
        job=job.id,
        step=checkpoint.step,
        sha256=checkpoint.sha256,
        before=before.resumed_from,
    )
    return project_id, structs.replace(spec, resumed_from=resumed)


def _why_not(job: Job) -> str | None:
    """Why a run cannot go on from a checkpoint, whatever lies in its folder."""
    if job.kind is not JobKind.TRAIN:
        return "Only a training run can go on from a checkpoint. Start this job again."
    result = results.train(job)
    stopped = job.state is JobState.FINISHED and result.stopped_by_request
    if not (stopped or job.state in (JobState.LOST, JobState.FAILED)):
        return f"This run is {job.state}; only one that was lost, failed or stopped can go on."
    if result.diverged:
        return (
            "This run diverged, and with the same settings it would diverge again. Launch one with "
            "a lower learning rate."
        )
    return None


def _taught(opened: archive.Opened, share: float) -> list[VersionRow]:
    """The rows that a run trains on and those that it watches, in the version's order."""
    train = nested(opened.part(Split.TRAIN), share, opened.version.seed)
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


def _rows(session: Session, opened: archive.Opened, spec: Training) -> bytes:
    """What a run is taught, as a worker reads it: rows, or the preference pairs in them."""
    taught = _taught(opened, spec.share)
    if isinstance(spec.settings, Preference):
        return preferred.lines(session, taught)
    return rows.written(taught)


def tidy(job: Job, directory: Path, state: JobState, *, stopped: bool) -> None:
    """Remove what an ended run no longer needs: everything that one learnt which was cancelled, all
    checkpoints of one that ran to its end, half-written files of every one.
    """
    if job.kind is not JobKind.TRAIN or not directory.is_dir():
        return
    ended = state is JobState.FINISHED and not stopped
    checkpoints.tidy(directory, keep=not (ended or state is JobState.CANCELLED))
    if state is JobState.CANCELLED:
        shutil.rmtree(directory / "adapter", ignore_errors=True)


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> TrainTask:
    """Write the training and validation rows of the verified version; test rows stay away. A run
    that goes on gets its checkpoint and the progress lines up to there.
    """
    spec = specs.train(job)
    opened = archive.opened(session, spec.version_id)
    version, content = opened.version, _rows(session, opened, spec)
    taught = ledger.rows(session, job.project_id, _taught(opened, spec.share))
    ledger.check(session, job.project_id, taught, "freeze a new version")
    synced.write(directory / "rows.jsonl", content)
    resumed, before = spec.resumed_from, spec.started_from
    if resumed is not None:
        source = directory.with_name(resumed.job)
        if spec.remote:
            remote.adopt(source, resumed.sha256, directory)
        else:
            checkpoints.adopt(source, resumed.step, resumed.sha256, directory)
        evidence.copy_events(source, directory, resumed.step)
    return TrainTask(
        rows_path="rows.jsonl",
        rows_sha256=hashlib.sha256(content).hexdigest(),
        version_sha256=version.sha256,
        tested_sha256=tuple(ledger.digests(session, job.project_id)),
        system_message=version.manifest.system_message,
        base=spec.base,
        settings=spec.settings,
        data_dir=str(settings.data),
        resumed_from=resumed,
        name=spec.name,
        trackers=tuple(trackers.chosen()) if job.kind is JobKind.TRAIN else (),
        endpoint=spec.endpoint,
        started_from=before,
        adapter_path=str(settings.jobs / before.job / "adapter") if before else None,
        precision=before.precision if before else None,
    )


def ingest(session: Session, actor: User, job: Job, directory: Path, result: TrainResult) -> None:
    """Register the adapter that a finished run saved.

    Raises:
        Unavailable: its files are not the ones the run recorded.
    """
    spec = specs.train(job)
    sha256 = _sha256(spec, directory, result)
    if sha256 != result.adapter_sha256:
        raise Unavailable("The saved adapter differs from what the run recorded. Launch again.")
    row = AdapterRow(
        project_id=job.project_id,
        name=f"{spec.name} · {job.id[:8]}",
        job_id=job.id,
        version_id=spec.version_id,
        sha256=sha256,
        card=written(_card(session, job, spec, result)),
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
        version=spec.version_sha256,
        job=job.id,
    )


def _sha256(spec: TrainSpec, directory: Path, result: TrainResult) -> str:
    """What a run made, by its files, or by its names where an endpoint keeps the files."""
    if not isinstance(spec.settings, Provider):
        return model_files.folder_sha256(directory / "adapter")
    job, model = result.remote_job or "", result.fine_tuned_model or ""
    return provider_record.identity(spec.settings.endpoint, job, model)


def _card(session: Session, job: Job, spec: TrainSpec, result: TrainResult) -> AdapterCard:
    """The lineage that is known when a run ends; evaluations and votes are added when read."""
    version = archive.get(session, spec.version_id)
    names = people.names(session)
    ids = [row.pair_id for row in archive.rows(session, version.id)]
    approvals = Counter(
        names.get(user_id, "someone") for user_id in pairs.approvers(session, ids).values()
    )
    method = spec.settings.METHOD
    return AdapterCard(
        kind=method.value if method in (Method.FULL, Method.PROVIDER) else "lora",
        consent=spec.consent,
        price=spec.price,
        run=job.id,
        launched_by=names.get(job.requested_by, "someone"),
        version=CardVersion(
            number=version.number,
            sha256=version.sha256,
            seed=version.seed,
            counts=version.counts,
            origins=version.manifest.origins,
            approvals=dict(approvals),
        ),
        gate=spec.gate,
        base=spec.base,
        settings=spec.settings.to_dict(),
        started_from=spec.started_from,
        share=spec.share,
        experiment=spec.experiment,
        result=structs.replace(result, message=None),
    )
