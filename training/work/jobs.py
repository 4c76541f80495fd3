"""Jobs: long work, each a row that waits for `reconcile` to start it. Knows no kind of work."""

import uuid
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import events
from storage.engine import require_room
from storage.errors import NotFound, RuleBroken
from storage.settings import Settings
from storage.tables import JobRow
from storage.types import Job, JobKind, JobState, User
from storage.values import value_of
from training.work import evidence


def get(session: Session, job_id: str) -> Job:
    """One job.

    Raises:
        NotFound: there is no such job.
    """
    row = session.get(JobRow, job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    return value_of(Job, row)


def exists(session: Session, job_id: str) -> bool:
    """Whether there is such a job."""
    return session.get(JobRow, job_id) is not None


def listing(session: Session, project_id: int, kind: JobKind | None = None) -> list[Job]:
    """The jobs of a project, newest first."""
    query = select(JobRow).where(JobRow.project_id == project_id).order_by(JobRow.created_at.desc())
    if kind is not None:
        query = query.where(JobRow.kind == kind)
    return [value_of(Job, row) for row in session.scalars(query)]


def unfinished(session: Session) -> list[Job]:
    """The jobs of all projects that wait or run, oldest first."""
    query = select(JobRow).where(JobRow.state.in_([JobState.QUEUED, JobState.RUNNING]))
    return [value_of(Job, row) for row in session.scalars(query.order_by(JobRow.created_at))]


def ahead(session: Session, waiting: Job) -> list[Job]:
    """The jobs that a queued one waits for, in the order they run: one job runs at a time."""
    before = [
        job
        for job in unfinished(session)
        if job.id != waiting.id
        and (job.state is JobState.RUNNING or job.created_at < waiting.created_at)
    ]
    return sorted(before, key=lambda job: job.state is not JobState.RUNNING)


def queue(
    session: Session,
    actor: User,
    project_id: int,
    kind: JobKind,
    spec: Mapping[str, object],
    job_id: str | None = None,
) -> Job:
    """Queue a job, for verbs that have checked rules and roles.

    Raises:
        Unavailable: the disk of the data folder is all but full.
    """
    require_room(session, 0, "A job")
    row = JobRow(
        id=job_id or str(uuid.uuid4()),
        project_id=project_id,
        kind=kind,
        state=JobState.QUEUED,
        requested_by=actor.id,
        spec=dict(spec),
    )
    session.add(row)
    session.flush()
    events.record(session, actor, "queue", "job", row.id, project_id=project_id, kind=kind.value)
    return value_of(Job, row)


def going(session: Session, job_id: str) -> Job:
    """A job that has not ended.

    Raises:
        NotFound: there is no such job.
        RuleBroken: it has ended.
    """
    wanted = get(session, job_id)
    if wanted.state.final:
        raise RuleBroken(f"This job is already {wanted.state}.")
    return wanted


def cancel(session: Session, actor: User, job: Job, settings: Settings) -> None:
    """Ask a job to stop at its next step; `tick` sees to it that it does."""
    directory = folder(settings, job.id)
    directory.mkdir(parents=True, exist_ok=True)
    evidence.request_cancel(directory)
    events.record(session, actor, "cancel", "job", job.id, project_id=job.project_id)


def stop(session: Session, actor: User, job: Job, settings: Settings) -> None:
    """Ask a job to stop at its next step and keep what it learnt."""
    evidence.request_stop(folder(settings, job.id))
    events.record(session, actor, "stop", "job", job.id, project_id=job.project_id)


def folder(settings: Settings, job_id: str) -> Path:
    """The directory of a job."""
    return settings.jobs / job_id
