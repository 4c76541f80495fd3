"""Jobs: long work in processes of their own, whose state is decided from evidence on disk.

A job is a row first, then a directory, then a detached process. Killing the server at any point
leaves a state that the next `tick` makes true: a result on disk ends the job, a held lock means it
runs, neither means it is lost.
"""

import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from curation import meanings
from storage import events, people
from storage.access import allowed
from storage.engine import reading, writing
from storage.errors import AssayError, NotFound, RuleBroken
from storage.settings import ROOT, Settings
from storage.tables import AdapterRow, JobRow
from storage.types import Job, JobKind, JobState, Role, User
from training import meaning, scanning
from training.draft import drafts
from training.exits import exports
from training.hosted import remote
from training.launch import preflight, probes, runs
from training.lifecycle import adapters, checks
from training.proving import evaluations
from training.tuning import trackers
from training.work import evidence, spawning

log = logging.getLogger(__name__)

START_SECONDS = 60.0
"""A process that has not reported by then never started."""
CANCEL_SECONDS = 20.0
"""A worker has so long to stop at a step boundary before it is terminated."""
TERM_SECONDS = 10.0
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES",
                "LD_LIBRARY_PATH", "HF_HOME", "OMP_NUM_THREADS")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Kind:
    prepare: Callable[[Session, Job, Path, Settings], dict[str, Any]]
    """Writes the input files and returns the spec."""
    ingest: Callable[[Session, User, Job, Path, Mapping[str, Any]], None]
    """Takes what a finished job wrote into the database."""


_KINDS = {
    JobKind.SCAN: _Kind(scanning.prepare, scanning.ingest),
    JobKind.DRAFT: _Kind(drafts.prepare, drafts.ingest),
    JobKind.TRAIN: _Kind(runs.prepare, runs.ingest),
    JobKind.EVALUATE: _Kind(evaluations.prepare, evaluations.ingest),
    JobKind.EXPORT: _Kind(exports.prepare, exports.ingest),
    JobKind.PROBE: _Kind(runs.prepare, probes.ingest),
    JobKind.CHECK: _Kind(checks.prepare, checks.ingest),
}


_SAME = {
    JobKind.TRAIN: ("version_id", "base", "settings", "share", "resumed_from"),
    JobKind.EVALUATE: ("version_id", "base", "adapter"),
}
"""What makes two jobs of a kind the same work; of any other kind, any two are."""


def job(row: JobRow) -> Job:
    """The value of a row."""
    return Job(
        id=row.id,
        project_id=row.project_id,
        kind=row.kind,
        state=row.state,
        requested_by=row.requested_by,
        spec=row.spec,
        result=row.result,
        message=row.message,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )


def get(session: Session, job_id: str) -> Job:
    """One job.

    Raises:
        NotFound: there is no such job.
    """
    row = session.get(JobRow, job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    return job(row)


def listing(session: Session, project_id: int, kind: JobKind | None = None) -> list[Job]:
    """The jobs of a project, newest first."""
    query = select(JobRow).where(JobRow.project_id == project_id).order_by(JobRow.created_at.desc())
    if kind is not None:
        query = query.where(JobRow.kind == kind)
    return [job(row) for row in session.scalars(query)]


def ahead(session: Session, waiting: Job) -> list[Job]:
    """The jobs that a queued one waits for, in the order they run: one job runs at a time."""
    query = select(JobRow).where(
        JobRow.id != waiting.id,
        (JobRow.state == JobState.RUNNING)
        | ((JobRow.state == JobState.QUEUED) & (JobRow.created_at < waiting.created_at)),
    )
    found = [job(row) for row in session.scalars(query.order_by(JobRow.created_at))]
    return sorted(found, key=lambda one: one.state is not JobState.RUNNING)


def queue(
    session: Session, actor: User, project_id: int, kind: JobKind, spec: Mapping[str, Any]
) -> Job:
    """Queue a job, for verbs that have checked their own rules and roles. Runs and comparisons wait
    for one another; other work of one kind is asked for once.

    Raises:
        RuleBroken: the same work is going on in this project, or waits to.
    """
    same = _SAME.get(kind, ())
    for going in listing(session, project_id, kind):
        if going.state.final or any(going.spec.get(key) != spec.get(key) for key in same):
            continue
        if kind is JobKind.TRAIN:
            raise RuleBroken(
                "This run, with the same rows, base model and settings, is already waiting or "
                "running. Change a setting, or wait for it."
            )
        raise RuleBroken(f"A {kind} job is already going on. Wait for it, or cancel it first.")
    row = JobRow(
        id=str(uuid.uuid4()),
        project_id=project_id,
        kind=kind,
        state=JobState.QUEUED,
        requested_by=actor.id,
        spec=dict(spec),
    )
    session.add(row)
    session.flush()
    events.record(session, actor, "queue", "job", row.id, project_id=project_id, kind=kind.value)
    return job(row)


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def scan(session: Session, actor: User, project_id: int) -> Job:
    """Ask for a personal-data scan of the rows whose text has none."""
    return queue(session, actor, project_id, JobKind.SCAN, scanning.request(session, project_id))


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def compare_meanings(
    session: Session,
    actor: User,
    project_id: int,
    settings: Settings,
    least: float = meanings.LEAST,
) -> Job:
    """Ask for a comparison of what the rows ask, by a model of this server."""
    spec = meaning.request(session, project_id, settings, least)
    return queue(session, actor, project_id, JobKind.SCAN, spec)


@allowed(Role.EXPERT, Role.LEAD)
def draft(session: Session, actor: User, project_id: int, wish: drafts.Wish) -> Job:
    """Ask a model for drafts; they wait for people."""
    spec = drafts.request(session, project_id, wish)
    return queue(session, actor, project_id, JobKind.DRAFT, spec)


@allowed(Role.LEAD)
def launch(session: Session, actor: User, wish: runs.Wish) -> Job:
    """Launch a training run, once the gate lets it.

    Raises:
        RuleBroken: a readiness line blocks, the run could only fail (`preflight`), this very run
            already waits or trains, or rows would leave the house without consent.
    """
    project_id, spec = runs.request(session, wish)
    preflight.require(session, wish)
    if "consent" in spec:
        spec["consent"] |= {"given_by": actor.name, "at": datetime.now(UTC).isoformat()}
    made = queue(session, actor, project_id, JobKind.TRAIN, spec)
    if "consent" in spec:
        agreed = {key: spec["consent"][key] for key in ("endpoint", "rows", "version_sha256")}
        events.record(
            session, actor, "consent", "job", made.id, project_id=project_id, **agreed,
            price=spec["price"]["amount"], currency=spec["price"]["currency"],
        )  # fmt: skip
    return made


@allowed(Role.LEAD)
def probe(session: Session, actor: User, wish: runs.Wish) -> Job:
    """Try a few steps of a run and throw them away, to know what it will take; the gate is not
    asked.

    Raises:
        RuleBroken: a probe is going on, or the method trains elsewhere.
    """
    project_id, spec = runs.request_probe(session, wish)
    return queue(session, actor, project_id, JobKind.PROBE, spec)


@allowed(Role.LEAD)
def evaluate(
    session: Session, actor: User, version_id: int, base: Mapping[str, Any], adapter_id: int | None
) -> Job:
    """Ask for answers to the held-out rows: the base's alone, or base and tuned."""
    project_id, spec = evaluations.request(session, version_id, base, adapter_id)
    return queue(session, actor, project_id, JobKind.EVALUATE, spec)


@allowed(Role.LEAD)
def merge(session: Session, actor: User, adapter_id: int, settings: Settings) -> Job:
    """Ask for base and adapter as one model, checked against the two."""
    project_id, spec = exports.request(session, adapter_id, settings)
    return queue(session, actor, project_id, JobKind.EXPORT, spec)


@allowed(Role.LEAD)
def check(session: Session, actor: User, adapter_id: int) -> Job:
    """Ask base and tuned model the general tasks and red-team prompts of the promotion gate."""
    project_id, spec = checks.request(adapters.get(session, adapter_id))
    return queue(session, actor, project_id, JobKind.CHECK, spec)


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def cancel(session: Session, actor: User, job_id: str, settings: Settings) -> None:
    """Ask a job to stop at its next step; `tick` sees to it that it does.

    Raises:
        RuleBroken: the job has ended, or is a run and the person no lead.
    """
    row = session.get(JobRow, job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    if row.state.final:
        raise RuleBroken(f"This job is already {row.state}.")
    if row.kind is JobKind.TRAIN and Role.LEAD not in people.get(session, actor.id).roles:
        raise RuleBroken("Only a lead can cancel a training run.")
    directory = folder(settings, job_id)
    directory.mkdir(parents=True, exist_ok=True)
    evidence.request_cancel(directory)
    events.record(session, actor, "cancel", "job", job_id, project_id=row.project_id)


@allowed(Role.LEAD)
def stop(session: Session, actor: User, job_id: str, settings: Settings) -> None:
    """Ask a run to stop at its next step and keep what it learnt.

    Raises:
        RuleBroken: the job is no run, has not begun, or has ended.
    """
    one = get(session, job_id)
    if one.state.final:
        raise RuleBroken(f"This job is already {one.state}.")
    if one.kind is not JobKind.TRAIN or one.state is not JobState.RUNNING:
        raise RuleBroken("Only a run that has begun has something to save. Cancel this job.")
    if runs.is_remote(one):
        raise RuleBroken("An endpoint's run ends with a model or with none. Cancel this run.")
    evidence.request_stop(folder(settings, job_id))
    events.record(session, actor, "stop", "job", job_id, project_id=one.project_id)


@allowed(Role.LEAD)
def resume(session: Session, actor: User, job_id: str, settings: Settings) -> Job:
    """Launch a run that goes on from the newest verified checkpoint of one that was lost, failed
    or stopped.

    The gate is asked again. The old job stays as it ended; the new one names it.

    Raises:
        RuleBroken: it cannot go on, a readiness line blocks, something it depends on changed, or it
            already goes on.
        Unavailable: no checkpoint verifies.
    """
    one = get(session, job_id)
    project_id, spec = runs.request_resumed(session, one, folder(settings, job_id))
    made = queue(session, actor, project_id, JobKind.TRAIN, spec)
    used = spec["resumed_from"]
    events.record(
        session, actor, "resume", "job", made.id, project_id=project_id, source=job_id,
        step=used["step"], checkpoint=used["sha256"],
    )  # fmt: skip
    return made


def folder(settings: Settings, job_id: str) -> Path:
    """The directory of a job."""
    return settings.jobs / job_id


@contextmanager
def _alone(settings: Settings) -> Iterator[bool]:
    """Whether this process is the only one deciding states now."""
    settings.jobs.mkdir(parents=True, exist_ok=True)
    with (settings.jobs / ".tick.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def tick(engine: Engine, settings: Settings, *, wait: bool = True) -> None:
    """Make every job's state true: end what ended, then start what waits.

    `wait=False` only looks and starts; it never waits for a process to stop.
    """
    with _alone(settings) as alone:
        if not alone:
            return
        with reading(engine) as session:
            query = select(JobRow).where(JobRow.state.in_([JobState.QUEUED, JobState.RUNNING]))
            open_jobs = [job(row) for row in session.scalars(query.order_by(JobRow.created_at))]
        for one in open_jobs:
            if one.state is JobState.RUNNING:
                _observe(engine, settings, one, wait)
        _start_next(engine, settings)


def _observe(engine: Engine, settings: Settings, one: Job, wait: bool) -> None:
    directory = folder(settings, one.id)
    if wait and evidence.cancel_requested(directory) and evidence.alive(directory):
        _stop(directory, one.id)
    if evidence.alive(directory):
        return
    result = evidence.read_result(directory)
    if result is not None:
        _end(engine, settings, one, result)
    elif evidence.cancel_requested(directory):
        message = f"Cancelled.{remote.left(directory)}"
        _end(engine, settings, one, {"state": "cancelled", "message": message})
    elif (directory / "launch.json").exists():
        message = "The process ended without a result: it was killed, or the machine restarted."
        message += remote.left(directory)
        _end(engine, settings, one, {"state": "lost", "message": message})
    elif _age(directory / "spec.json") > START_SECONDS:
        message = "The process never started. See train.log in the job's folder."
        _end(engine, settings, one, {"state": "failed", "message": message})


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return START_SECONDS + 1


def _end(engine: Engine, settings: Settings, one: Job, result: Mapping[str, Any]) -> None:
    """Take in what a job wrote and set its final state, in one transaction.

    What is cancelled is removed before that, so that a crash in between is made good by the next
    look; the rest after it, as the adapter may yet be refused.
    """
    directory = folder(settings, one.id)
    found = trackers.links(directory)
    result = {**result, "trackers": found} if found else result
    if result.get("state") == JobState.CANCELLED:
        runs.tidy(one, directory, JobState.CANCELLED, result)
    try:
        with writing(engine) as session:
            _finish(session, settings, one, result)
    except (AssayError, OSError, ValueError, LookupError, TypeError, IntegrityError) as error:
        # A worker's files are input like any other: broken ones end this job, not the reconciler.
        told = str(error) if isinstance(error, AssayError) else type(error).__name__
        message = f"What the job wrote could not be taken in ({told}). Start it again."
        result = {"state": "failed", "message": message}
        with writing(engine) as session:
            _finish(session, settings, one, result)
    runs.tidy(one, directory, JobState(result["state"]), result)
    trackers.end_elsewhere(directory, result["state"])


def _finish(session: Session, settings: Settings, one: Job, result: Mapping[str, Any]) -> None:
    row = session.get(JobRow, one.id)
    if row is None or row.state.final:
        return
    actor = people.get(session, one.requested_by)
    state = JobState(result["state"])
    if state is JobState.FINISHED:
        _KINDS[one.kind].ingest(session, actor, one, folder(settings, one.id), result)
        if one.kind is JobKind.TRAIN and "experiment" in one.spec:
            _measure(session, actor, one)
    row.state, row.message = state, result.get("message")
    row.result, row.ended_at = dict(result), datetime.now(UTC)
    session.flush()
    events.record(
        session, actor, f"job_{state}", "job", one.id, project_id=one.project_id,
        kind=one.kind.value,
    )  # fmt: skip


def _measure(session: Session, actor: User, run: Job) -> None:
    """Ask for the held-out answers of an experiment's run: without them it tells nothing.

    The run is done all the same where they cannot be had; a lead can ask again on Compare.
    """
    made = session.scalars(select(AdapterRow.id).where(AdapterRow.job_id == run.id)).one()
    try:
        project_id, spec = evaluations.request(
            session, run.spec["version_id"], run.spec["base"], made
        )
        queue(session, actor, project_id, JobKind.EVALUATE, spec)
    except AssayError as refusal:
        log.warning("Run %s was not measured: %s", run.id[:8], refusal)


def _start_next(engine: Engine, settings: Settings) -> None:
    """Start the oldest waiting job that may start: memory has one owner at a time. A run at an
    endpoint needs none, so other work goes on beside it; other runs wait for it.
    """
    with reading(engine) as session:
        query = select(JobRow).where(JobRow.state.in_([JobState.QUEUED, JobState.RUNNING]))
        open_jobs = [job(row) for row in session.scalars(query.order_by(JobRow.created_at))]
    running = [one for one in open_jobs if one.state is JobState.RUNNING]
    if not all(runs.is_remote(one) for one in running):
        return
    waiting = next(
        (
            one
            for one in open_jobs
            if one.state is JobState.QUEUED and not (running and one.kind is JobKind.TRAIN)
        ),
        None,
    )
    if waiting is None:
        return
    try:
        _start(engine, settings, waiting)
    except (AssayError, OSError) as error:
        message = str(error) if isinstance(error, AssayError) else f"It could not start: {error}."
        _end(engine, settings, waiting, {"state": "failed", "message": message})


def _start(engine: Engine, settings: Settings, one: Job) -> None:
    directory = folder(settings, one.id)
    directory.mkdir(parents=True, exist_ok=True)
    if evidence.cancel_requested(directory):
        _end(engine, settings, one, {"state": "cancelled", "message": "Cancelled before it began."})
        return
    with reading(engine) as session:
        spec = _KINDS[one.kind].prepare(session, one, directory, settings)
    evidence.write_json(directory / "spec.json", {"kind": one.kind.value, **spec})
    with writing(engine) as session:
        row = session.get(JobRow, one.id)
        if row is not None:
            row.state = JobState.RUNNING
    _spawn(directory, one)


def _spawn(directory: Path, one: Job) -> None:
    """Start the worker detached: its own session, a file as output, a small environment; a run
    gets a process for each accelerator.
    """
    keep = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    if one.kind is JobKind.TRAIN:
        keep |= trackers.environment(trackers.chosen())
    for name in one.spec.get("environment", ()):
        keep |= {name: os.environ[name]} if name in os.environ else {}
    there = spawning.accelerators()
    count = spawning.processes(one.kind, one.spec, len(there))
    keep |= spawning.visible(count, there)
    with (directory / "train.log").open("ab") as log:
        child = subprocess.Popen(
            spawning.command(directory, count),
            cwd=ROOT,
            env={**keep, evidence.RUN_TOKEN: one.id, "REGEX_TIMEOUT_SECONDS": "2"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=True,
        )
    # The exit status is collected so that no zombie looks alive; the state comes from the files.
    threading.Thread(target=child.wait, name=f"reap-{one.id[:8]}", daemon=True).start()


def _stop(directory: Path, token: str) -> None:
    """See a cancelled worker out: wait for its step, terminate its group, kill what is left."""
    if _gone(directory, CANCEL_SECONDS - _age(directory / "cancel.requested")):
        return
    launched = evidence.read_json(directory / "launch.json")
    for strength in (signal.SIGTERM, signal.SIGKILL):
        if launched is not None and evidence.alive(directory):
            with suppress(ProcessLookupError):
                os.killpg(int(launched["pid"]), strength)
        if _gone(directory, TERM_SECONDS):
            break
    sweep(token)


def _gone(directory: Path, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while evidence.alive(directory):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def sweep(token: str) -> int:
    """Kill every process that carries a job's token; returns how many there were."""
    killed = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(evidence.RUN_TOKEN) == token:
                process.kill()
                killed += 1
    return killed


def reconcile_forever(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Keep the states true while the server runs."""
    while not stop.wait(1.0):
        try:
            tick(engine, settings)
        except Exception:  # the outermost frame of this thread: without it no job would ever end
            log.exception("The jobs could not be looked at; trying again")


def finish_all(engine: Engine, settings: Settings, job_id: str) -> Iterator[Job]:
    """For commands: yield the job every half second until it has ended."""
    while True:
        tick(engine, settings, wait=False)
        with reading(engine) as session:
            one = get(session, job_id)
        yield one
        if one.state.final:
            return
        time.sleep(0.5)
