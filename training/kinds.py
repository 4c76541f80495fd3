"""The kinds of work: one table that says of each what it is called, which module does it, what it
is given, how its result is taken in, and who may cancel it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from storage.errors import RuleBroken
from storage.settings import Settings
from storage.types import Job, JobKind, Role, User
from training.chores import chore, freezes, importing, scanning
from training.draft import drafts
from training.exits import exports
from training.launch import methods, probes, runs
from training.lifecycle import checks
from training.proving import comparisons
from training.records import results
from training.records.record import JsonRecord, written
from training.records.results import Ended
from training.records.tasks import TaskHead
from training.scans import meaning
from training.tuning import trackers
from training.work import jobs

R = TypeVar("R")

_LEADS = frozenset({Role.LEAD})
_EVERYONE = frozenset({Role.EXPERT, Role.REVIEWER, Role.LEAD})


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """What is true of all jobs of one kind."""

    title: str
    """The work in plain words."""
    module: Callable[[TaskHead], str | None]
    """The module whose `main` does the work of a task, by name: only a job's process imports it."""
    prepare: Callable[[Session, Job, Path, Settings], JsonRecord]
    """Writes the input files and returns the task for the process."""
    result: type[R]
    """How it ended, and what it measured."""
    ingest: Callable[[Session, User, Job, Path, R], None]
    """Takes what a finished job wrote into the database."""
    identity: tuple[str, ...] = ()
    """Keys of the spec by which two jobs are the same work; without any, every two are."""
    rivals: frozenset[JobKind] = frozenset()
    """Other kinds that may not wait or run at the same time in a project."""
    cancelled_by: frozenset[Role] = _EVERYONE
    """Roles that may cancel it."""
    batch_size: Callable[[Job], int | None] = lambda _job: None
    """Rows of a step, where several accelerators may share them."""
    memory_mb: Callable[[Job], float | None] = lambda _job: None
    """The RAM that its process was estimated to need; None where that is not known."""
    environment: Callable[[], Mapping[str, str]] = dict
    """What its process is given of the server's environment, besides what every one is."""
    light: bool = False
    """Whether it needs no memory of an accelerator: it then goes on beside other work, one such at
    a time."""
    tidy: Callable[[Engine, Settings, Job], None] = lambda _engine, _settings, _job: None
    """Removes what it needed, and what it left where it was cut off, in its own transactions."""


def _always(module: str) -> Callable[[TaskHead], str]:
    return lambda _task: module


def _answering(task: TaskHead) -> str:
    remote = task.endpoint is not None
    return f"training.proving.{'evaluate_remote' if remote else 'evaluate'}"


def _chore(
    title: str,
    module: str,
    result: type[Ended],
    tidy: Callable[[Engine, Settings, Job], None] = lambda _engine, _settings, _job: None,
) -> Kind[Any]:
    """A long verb of curation; what follows is true of all of them."""
    return Kind(
        title,
        _always(f"training.chores.{module}"),
        chore.prepare,
        result,
        chore.ingest,
        environment=chore.environment,
        light=True,
        tidy=tidy,
    )


KINDS: Mapping[JobKind, Kind[Any]] = {
    JobKind.SCAN: Kind(
        "personal-data scan",
        _always("training.chores.scanning"),
        scanning.prepare,
        results.PersonalScanResult,
        chore.ingest,
        rivals=frozenset({JobKind.MEANING}),
        environment=chore.environment,
    ),
    JobKind.MEANING: Kind(
        "comparison of meanings",
        _always("training.scans.meaning"),
        meaning.prepare,
        results.MeaningResult,
        meaning.ingest,
        rivals=frozenset({JobKind.SCAN}),
    ),
    JobKind.DRAFT: Kind(
        "drafting",
        _always("training.draft.drafting"),
        drafts.prepare,
        results.DraftResult,
        drafts.ingest,
    ),
    JobKind.TRAIN: Kind(
        "training run",
        methods.module,
        runs.prepare,
        results.TrainResult,
        runs.ingest,
        identity=("version_id", "base", "settings", "share", "resumed_from"),
        cancelled_by=_LEADS,
        batch_size=runs.shared_batch,
        memory_mb=runs.expected_memory,
        environment=trackers.passed,
    ),
    JobKind.EVALUATE: Kind(
        "comparison",
        _answering,
        comparisons.prepare,
        dict,  # its rates bear the names of output fields
        comparisons.ingest,
        identity=("version_id", "base", "adapter", "best_prompt"),
    ),
    JobKind.PROBE: Kind(
        "probe of the settings",
        _always("training.launch.probing"),
        runs.prepare,
        results.ProbeResult,
        probes.ingest,
        batch_size=runs.shared_batch,
    ),
    JobKind.EXPORT: Kind(
        "export",
        _always("training.exits.merging"),
        exports.prepare,
        results.MergeResult,
        exports.ingest,
    ),
    JobKind.CHECK: Kind(
        "check before promotion",
        _always("training.lifecycle.check"),
        checks.prepare,
        results.CheckResult,
        checks.ingest,
    ),
    JobKind.IMPORT: _chore("import", "importing", results.IntakeResult, importing.tidy),
    JobKind.LAYOUT: _chore("export of a version", "delivering", results.DeliveryResult),
    JobKind.EVERYWHERE: _chore("decision in all pairs", "everywhere", results.EverywhereResult),
    JobKind.REOPEN: _chore("sending back of a group", "reopening", results.ReopenResult),
    JobKind.SWEEP: _chore("comparison of all pairs", "sweeps", results.SweepResult),
    JobKind.FREEZE: _chore("freezing of a version", "freezes", results.FreezeResult, freezes.tidy),
}


def module(task: TaskHead) -> str | None:
    """The module whose `main` does the work of a task; None where it is of no known kind."""
    return KINDS[JobKind(task.kind)].module(task) if task.kind in set(JobKind) else None


def queue(
    session: Session,
    actor: User,
    project_id: int,
    kind: JobKind,
    spec: JsonRecord,
    job_id: str | None = None,
) -> Job:
    """Queue a job, for verbs that have checked their own rules and roles. Runs and comparisons
    wait for one another; other work of one kind is asked for once. With an id, its folder exists.

    Raises:
        RuleBroken: the same work is going on in this project, or waits to.
    """
    wanted = written(spec)
    for job in jobs.listing(session, project_id):
        if job.state.final or not _clashes(job, kind, wanted):
            continue
        if kind is JobKind.TRAIN:
            raise RuleBroken(
                "This run, with the same pairs, base model and settings, is already waiting or "
                "running. Change a setting, or wait for it."
            )
        raise RuleBroken(f"A {job.kind} job is already going on. Wait for it, or cancel it first.")
    return jobs.queue(session, actor, project_id, kind, wanted, job_id)


def ahead(session: Session, waiting: Job) -> list[Job]:
    """The jobs that a queued one waits for: those of its lane."""
    light = KINDS[waiting.kind].light
    return [job for job in jobs.ahead(session, waiting) if KINDS[job.kind].light is light]


def going(session: Session, project_id: int, kind: JobKind) -> bool:
    """Whether a job of a kind, or one that may not go on beside it, waits or runs in a project."""
    either = KINDS[kind].rivals | {kind}
    return any(
        job.kind in either and not job.state.final for job in jobs.listing(session, project_id)
    )


def _clashes(job: Job, kind: JobKind, spec: Mapping[str, object]) -> bool:
    """Whether a job is what someone asks for, or may not go on beside it."""
    if job.kind is kind:
        return all(job.spec.get(key) == spec.get(key) for key in KINDS[kind].identity)
    return job.kind in KINDS[kind].rivals
