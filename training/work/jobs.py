"""Jobs: long work that people ask for. Each is a row that waits for `reconcile` to start it."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.overlap.near import meanings
from storage import events, people
from storage.access import allowed
from storage.errors import NotFound, RuleBroken
from storage.settings import Settings
from storage.tables import JobRow
from storage.types import Job, JobKind, JobState, Role, User
from training.draft import drafts
from training.exits import exports
from training.launch import preflight, runs
from training.lifecycle import adapters, checks
from training.proving import evaluations
from training.scans import meaning, personal_data
from training.work import evidence

_SAME = {
    JobKind.TRAIN: ("version_id", "base", "settings", "share", "resumed_from"),
    JobKind.EVALUATE: ("version_id", "base", "adapter", "best_prompt"),
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
    return queue(
        session, actor, project_id, JobKind.SCAN, personal_data.request(session, project_id)
    )


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
            session,
            actor,
            "consent",
            "job",
            made.id,
            project_id=project_id,
            **agreed,
            price=spec["price"]["amount"],
            currency=spec["price"]["currency"],
        )
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
    session: Session,
    actor: User,
    version_id: int,
    base: Mapping[str, Any],
    adapter_id: int | None,
    *,
    best_prompt: bool = False,
) -> Job:
    """Ask for answers to the held-out rows: the base's alone, or base and tuned; the base with its
    best prompt or with the system message alone.
    """
    project_id, spec = evaluations.request(
        session, version_id, base, adapter_id, best_prompt=best_prompt
    )
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
        session,
        actor,
        "resume",
        "job",
        made.id,
        project_id=project_id,
        source=job_id,
        step=used["step"],
        checkpoint=used["sha256"],
    )
    return made


def folder(settings: Settings, job_id: str) -> Path:
    """The directory of a job."""
    return settings.jobs / job_id
