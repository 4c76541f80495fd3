"""Make every job's state true, from the evidence on disk.

A job is a row first, then a directory, then a detached process. Killing the server at any point
leaves a state that the next `tick` makes true: a result on disk ends the job, a held lock means it
runs, neither means it is lost.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from msgspec import MsgspecError
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage import events, imports, locks, people, priority
from storage.engine import reading, writing
from storage.errors import AssayError, StorageRefusal
from storage.settings import Settings
from storage.tables import AdapterRow, JobRow
from storage.types import Job, JobKind, JobState, User
from training import kinds
from training.chores import importing
from training.hosted import remote
from training.launch import runs
from training.proving import comparisons
from training.records import specs
from training.records.record import read, written
from training.tuning import trackers
from training.work import evidence, jobs, memory_limit, processes

log = logging.getLogger(__name__)

BROKEN = (
    ArithmeticError,
    AssayError,
    AttributeError,
    MsgspecError,
    MemoryError,
    OSError,
    RecursionError,
    ValueError,
    LookupError,
    TypeError,
    IntegrityError,
)
"""What taking in a damaged file may end with."""
START_SECONDS = 60.0
"""A process that has not reported by then never started."""


@contextmanager
def _alone(settings: Settings) -> Iterator[bool]:
    """Whether this process is the only one deciding states now."""
    settings.jobs.mkdir(parents=True, exist_ok=True)
    lock = locks.take(settings.jobs / ".tick.lock")
    if lock is None:
        yield False
        return
    with lock:
        yield True


def tick(engine: Engine, settings: Settings, *, wait: bool = True) -> None:
    """Make every job's state true: end what ended, then start what waits.

    `wait=False` only looks and starts; it never waits for a process to stop.
    """
    with _alone(settings) as alone:
        if not alone:
            return
        with reading(engine) as session:
            running = [job for job in jobs.unfinished(session) if job.state is JobState.RUNNING]
        for job in running:
            _settle(engine, settings, job, wait)
        _sweep(engine)
        for light in (True, False):
            _start_next(engine, settings, light=light)


def _settle(engine: Engine, settings: Settings, job: Job, wait: bool) -> None:
    """Make one job's state true. A folder that spoils the look ends that job; the others go on."""
    try:
        _observe(engine, settings, job, wait)
    except (OSError, StorageRefusal):  # the machine's, as a full disk: nothing of the job's folder
        log.exception("Job %s could not be looked at; trying again", job.id[:8])
    except BROKEN as error:
        log.warning("What job %s left could not be read: %s", job.id[:8], type(error).__name__)
        with writing(engine) as session:
            _finish(session, settings, job, _unreadable(error))


def _unreadable(error: BaseException) -> dict[str, Any]:
    """The end of a job whose files could not be taken in."""
    reason = str(error) if isinstance(error, AssayError) else type(error).__name__
    message = f"What the job wrote could not be taken in ({reason}). Start it again."
    return {"state": "failed", "message": message}


def _observe(engine: Engine, settings: Settings, job: Job, wait: bool) -> None:
    directory = jobs.folder(settings, job.id)
    if wait and evidence.cancel_requested(directory) and evidence.alive(directory):
        processes.stop(directory, job.id)
    if evidence.alive(directory):
        return
    result = evidence.read_result(directory)
    if job.result is not None:  # the last write of a chore: whatever its process came to after it
        result = {**(result or {}), **job.result}
    if result is not None:
        _end(engine, settings, job, result)
    elif evidence.cancel_requested(directory):
        message = f"Cancelled.{remote.left(directory)}"
        _end(engine, settings, job, {"state": "cancelled", "message": message})
    elif (directory / "launch.json").exists():
        message = "The process ended without a result: it was killed, or the machine restarted."
        message += remote.left(directory)
        _end(engine, settings, job, {"state": "lost", "message": message})
    elif evidence.age(directory / "spec.json") > START_SECONDS:
        message = "The process never started. See train.log in the job's folder."
        _end(engine, settings, job, {"state": "failed", "message": message})


def _end(engine: Engine, settings: Settings, job: Job, result: Mapping[str, Any]) -> None:
    """Take in what a job wrote and set its final state, in one transaction.

    What is cancelled is removed before that, so that a crash in between is made good by the next
    look; the rest after it, as the adapter may yet be refused.
    """
    directory = jobs.folder(settings, job.id)
    kinds.KINDS[job.kind].tidy(engine, settings, job)
    links = trackers.links(directory)
    result = {**result, "trackers": links} if links else result
    if result.get("state") == JobState.CANCELLED:
        runs.tidy(job, directory, JobState.CANCELLED, stopped=False)
    try:
        with writing(engine) as session:
            _finish(session, settings, job, result)
    except StorageRefusal:
        raise  # the next look takes in what the job wrote
    except BROKEN as error:
        # A worker's files are input like any other: broken ones end this job, not the reconciler.
        result = _unreadable(error)
        with writing(engine) as session:
            _finish(session, settings, job, result)
    stopped = bool(result.get("stopped_by_request"))
    runs.tidy(job, directory, JobState(result["state"]), stopped=stopped)
    trackers.end_elsewhere(directory, result["state"])


def _finish(session: Session, settings: Settings, job: Job, result: Mapping[str, Any]) -> None:
    row = session.get(JobRow, job.id)
    if row is None or row.state.final:
        return
    actor = people.get(session, job.requested_by)
    state = JobState(result["state"])
    if state is JobState.FINISHED:
        kind = kinds.KINDS[job.kind]
        directory = jobs.folder(settings, job.id)
        kind.ingest(session, actor, job, directory, read(kind.result, result))
        if job.kind is JobKind.TRAIN:
            _measure(session, actor, job)
    row.state, row.message = state, result.get("message")
    row.result, row.ended_at = dict(result), datetime.now(UTC)
    session.flush()
    events.record(
        session,
        actor,
        f"job_{state}",
        "job",
        job.id,
        project_id=job.project_id,
        kind=job.kind.value,
    )


def _measure(session: Session, actor: User, run: Job) -> None:
    """Ask for the held-out answers of an experiment's run: without them it tells nothing.

    The run is done all the same where they cannot be had; a lead can ask again on Compare.
    """
    spec = specs.train(run)
    if spec.experiment is None:
        return
    adapter_id = session.scalars(select(AdapterRow.id).where(AdapterRow.job_id == run.id)).one()
    try:
        project_id, wanted = comparisons.request(session, spec.version_id, spec.base, adapter_id)
        kinds.queue(session, actor, project_id, JobKind.EVALUATE, wanted)
    except AssayError as refusal:
        log.warning("Run %s was not measured: %s", run.id[:8], refusal)


def _sweep(engine: Engine) -> None:
    """Remove what an import left that was cut off: of a command, or of a job that has ended."""
    with reading(engine) as session:
        cut_off = imports.unfinished(session)
        going = {job.id for job in jobs.unfinished(session)} if cut_off else set()
    for half in cut_off:
        if half.is_dead if half.job_id is None else half.job_id not in going:
            imports.sweep(engine, half)


def _start_next(engine: Engine, settings: Settings, *, light: bool) -> None:
    """Start the oldest waiting job of a lane that may start: memory has one owner at a time. A run
    at an endpoint needs none, so other work goes on beside it; other runs wait for it.
    """
    with reading(engine) as session:
        listed = jobs.unfinished(session)
    unfinished = [job for job in listed if kinds.KINDS[job.kind].light is light]
    running = [job for job in unfinished if job.state is JobState.RUNNING]
    if not all(runs.is_remote(job) for job in running):
        return
    waiting = next(
        (
            job
            for job in unfinished
            if job.state is JobState.QUEUED and not (running and job.kind is JobKind.TRAIN)
        ),
        None,
    )
    if waiting is None:
        return
    try:
        _start(engine, settings, waiting)
    except StorageRefusal:
        raise  # it waits for the next look
    except BROKEN as error:
        cause = error if isinstance(error, OSError) else type(error).__name__
        message = str(error) if isinstance(error, AssayError) else f"It could not start: {cause}."
        _end(engine, settings, waiting, {"state": "failed", "message": message})


def _start(engine: Engine, settings: Settings, job: Job) -> None:
    directory = jobs.folder(settings, job.id)
    directory.mkdir(parents=True, exist_ok=True)
    if evidence.cancel_requested(directory):
        _end(engine, settings, job, {"state": "cancelled", "message": "Cancelled before it began."})
        return
    with reading(engine) as session:
        task = kinds.KINDS[job.kind].prepare(session, job, directory, settings)
    evidence.write_json(directory / "spec.json", {"kind": job.kind.value, **written(task)})
    with writing(engine) as session:
        row = session.get(JobRow, job.id)
        if row is not None:
            row.state = JobState.RUNNING
    kind = kinds.KINDS[job.kind]
    keys = [name for name in job.spec.get("environment", ()) if name in os.environ]
    environment = {
        **kind.environment(),
        **memory_limit.environment(kind.memory_mb(job)),
        **{name: os.environ[name] for name in keys},
    }
    niceness = priority.HOLDING if kind.light else priority.POLITE
    processes.start(directory, job.id, environment, kind.batch_size(job), niceness)


def forever(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Keep the states true while the server runs."""
    leaving: dict[str, threading.Thread] = {}
    swept = False
    while not stop.wait(1.0):
        try:
            if not swept:
                importing.forget_orphans(engine, settings)
                swept = True
            tick(engine, settings, wait=False)
            _see_out(engine, settings, leaving)
        except Exception:  # the outermost frame of this thread: without it no job would ever end
            log.exception("The jobs could not be looked at; trying again")


def _see_out(engine: Engine, settings: Settings, leaving: dict[str, threading.Thread]) -> None:
    """Have each cancelled process seen out by a thread of its own: one that does not stop by itself
    takes its time, in which the states of others must come true.
    """
    with reading(engine) as session:
        running = [job for job in jobs.unfinished(session) if job.state is JobState.RUNNING]
    for job in running:
        directory = jobs.folder(settings, job.id)
        cancelled = evidence.cancel_requested(directory) and evidence.alive(directory)
        if cancelled and not (job.id in leaving and leaving[job.id].is_alive()):
            name = f"leaving-{job.id[:8]}"
            thread = threading.Thread(
                target=processes.stop, args=(directory, job.id), name=name, daemon=True
            )
            leaving[job.id] = thread
            thread.start()


def finish_all(engine: Engine, settings: Settings, job_id: str) -> Iterator[Job]:
    """For commands: yield the job every half second until it has ended."""
    while True:
        tick(engine, settings, wait=False)
        with reading(engine) as session:
            job = jobs.get(session, job_id)
        yield job
        if job.state.final:
            return
        time.sleep(0.5)
