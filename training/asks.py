"""The verbs that ask for long work, and for its end: each checks role and rules first."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from msgspec import structs
from sqlalchemy.orm import Session

from curation.gate import audit
from curation.gate.sampling import Stratum
from curation.overlap import sweeping
from curation.overlap.near import meanings
from curation.versions import archive, freezing
from storage import events, pairs, people
from storage.access import allowed, beforehand
from storage.errors import RuleBroken
from storage.settings import Settings
from storage.types import FindingState, Job, JobKind, JobState, PairStatus, Role, User
from training import kinds
from training.chores import scanning
from training.draft import drafts
from training.exits import exports
from training.launch import preflight, runs
from training.lifecycle import checks
from training.models import adapters
from training.proving import comparisons, experiments
from training.records.parts import BaseModel
from training.records.specs import (
    DeliverySpec,
    EverywhereSpec,
    FreezeSpec,
    IntakeSpec,
    ReopenSpec,
    SweepSpec,
)
from training.scans import meaning
from training.work import jobs


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def scan(session: Session, actor: User, project_id: int) -> Job:
    """Ask for a personal-data scan of the pairs whose text has none."""
    spec = scanning.request(session, project_id)
    return kinds.queue(session, actor, project_id, JobKind.SCAN, spec)


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def compare_meanings(
    session: Session,
    actor: User,
    project_id: int,
    settings: Settings,
    minimum: float = meanings.DEFAULT,
) -> Job:
    """Ask for a comparison of what the pairs ask, by a model of this server; pairs from a cosine of
    `minimum` on are reported.
    """
    spec = meaning.request(session, project_id, settings, minimum)
    return kinds.queue(session, actor, project_id, JobKind.MEANING, spec)


@allowed(Role.EXPERT, Role.LEAD)
def bring_in(session: Session, actor: User, project_id: int, spec: IntakeSpec, job_id: str) -> Job:
    """Ask for the import of a large file, whose rows wait in the folder of this job."""
    return kinds.queue(session, actor, project_id, JobKind.IMPORT, spec, job_id)


@allowed(*sweeping.ROLES)
def compare_pairs(session: Session, actor: User, project_id: int) -> Job:
    """Ask for the comparison of all pairs of a large project."""
    stands = pairs.counts(session, project_id)
    spec = SweepSpec(rows=sum(stands.values()) - stands[PairStatus.REJECTED])
    return kinds.queue(session, actor, project_id, JobKind.SWEEP, spec)


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def decide_everywhere(
    session: Session, actor: User, project_id: int, finding_id: int, state: FindingState
) -> Job:
    """Ask for a decision about the words of a finding in all pairs, where these are many."""
    spec = EverywhereSpec(finding_id=finding_id, state=state)
    return kinds.queue(session, actor, project_id, JobKind.EVERYWHERE, spec)


@allowed(Role.LEAD)
def reopen_stratum(
    session: Session, actor: User, project_id: int, stratum: Stratum, figures: tuple[int, int, int]
) -> Job:
    """Ask for the sending back of a stratum of the audit, where its pairs are many.

    Raises:
        NotFound, RuleBroken: as `audit.reopen_stratum`, now and when the job begins.
    """
    audit.to_reopen(session, project_id, stratum, figures)
    bad, judged, back = figures
    spec = ReopenSpec(
        origin=stratum.origin,
        author=stratum.author_id,
        era=stratum.era_id,
        bad=bad,
        judged=judged,
        back=back,
    )
    return kinds.queue(session, actor, project_id, JobKind.REOPEN, spec)


@allowed(Role.LEAD)
def deliver(session: Session, actor: User, project_id: int, spec: DeliverySpec) -> Job:
    """Ask for the export of a version as one zip, where it is large."""
    return kinds.queue(session, actor, project_id, JobKind.LAYOUT, spec)


@allowed(Role.LEAD)
def freeze(session: Session, actor: User, project_id: int, seed: int, note: str) -> Job:
    """Ask for the freezing of many pairs.

    Raises:
        RuleBroken: pairs were not compared yet; other reasons are told when the job ends.
    """
    freezing.require_compared(session, project_id)
    spec = FreezeSpec(seed=seed, note=note)
    return kinds.queue(session, actor, project_id, JobKind.FREEZE, spec)


@allowed(Role.EXPERT, Role.LEAD)
def draft(session: Session, actor: User, project_id: int, wish: drafts.DraftPlan) -> Job:
    """Ask a model for drafts; they wait for people."""
    spec = drafts.request(session, project_id, wish)
    return kinds.queue(session, actor, project_id, JobKind.DRAFT, spec)


def _plan_proven(
    session: Session, _actor: User, wish: runs.RunPlan, *_: object
) -> AbstractContextManager[None]:
    return archive.trusting(archive.prove(session, [wish.version_id]))


def _version_proven(
    session: Session, _actor: User, version_id: int, *_: object, **__: object
) -> AbstractContextManager[None]:
    return archive.trusting(archive.prove(session, [version_id]))


@beforehand(preflight.beforehand)
@allowed(Role.LEAD)
def launch(session: Session, actor: User, wish: runs.RunPlan) -> Job:
    """Launch a training run, once the gate lets it.

    Raises:
        RuleBroken: a readiness line blocks, the run could only fail (`preflight`), this very run
            already waits or trains, or pairs would leave the house without consent.
    """
    project_id, spec = runs.request(session, wish)
    preflight.require(session, wish)
    if spec.consent is not None:
        now = datetime.now(UTC).isoformat()
        signed = structs.replace(spec.consent, given_by=actor.name, at=now)
        spec = structs.replace(spec, consent=signed)
    run = kinds.queue(session, actor, project_id, JobKind.TRAIN, spec)
    if spec.consent is not None and spec.price is not None:
        events.record(
            session,
            actor,
            "consent",
            "job",
            run.id,
            project_id=project_id,
            endpoint=spec.consent.endpoint,
            rows=spec.consent.rows,
            version_sha256=spec.consent.version_sha256,
            price=spec.price.amount,
            currency=spec.price.currency,
        )
    return run


@beforehand(_plan_proven)
@allowed(Role.LEAD)
def probe(session: Session, actor: User, wish: runs.RunPlan) -> Job:
    """Try a few steps of a run and throw them away, to know what it will take; the gate is not
    asked.

    Raises:
        RuleBroken: a probe is going on, or the method trains elsewhere.
    """
    project_id, spec = runs.request_probe(session, wish)
    return kinds.queue(session, actor, project_id, JobKind.PROBE, spec)


@beforehand(_plan_proven)
@allowed(Role.LEAD)
def sweep(
    session: Session, actor: User, wish: runs.RunPlan, grid: Mapping[str, Sequence[Any]]
) -> list[Job]:
    """Queue a run for each combination of these settings.

    Raises:
        BadInput: the grid is too small or too large, or a value cannot be used.
        RuleBroken: a readiness line blocks, the version holds no test pairs, or such a run waits.
    """
    return _experiment(session, actor, experiments.plan_sweep(wish, grid))


@beforehand(_plan_proven)
@allowed(Role.LEAD)
def curve(session: Session, actor: User, wish: runs.RunPlan) -> list[Job]:
    """Queue runs on a quarter, half, three quarters and all of the train pairs.

    Raises:
        RuleBroken: a readiness line blocks, the version holds no test pairs, or has too few pairs.
    """
    return _experiment(session, actor, experiments.plan_curve(session, wish))


def _experiment(session: Session, actor: User, plan: experiments.Plan) -> list[Job]:
    version = experiments.measurable(session, plan)
    queued = [
        kinds.queue(session, actor, version.project_id, JobKind.TRAIN, spec)
        for spec in experiments.specs(session, plan)
    ]
    events.record(
        session,
        actor,
        plan.kind.value,
        "experiment",
        plan.id,
        project_id=version.project_id,
        version=version.sha256,
        runs=len(queued),
    )
    return queued


@beforehand(_version_proven)
@allowed(Role.LEAD)
def evaluate(
    session: Session,
    actor: User,
    version_id: int,
    base: BaseModel,
    adapter_id: int | None,
    *,
    best_prompt: bool = False,
) -> Job:
    """Ask for answers to the held-out pairs: the base's alone, or base and tuned; the base with its
    best prompt or with the system message alone.
    """
    project_id, spec = comparisons.request(
        session, version_id, base, adapter_id, best_prompt=best_prompt
    )
    return kinds.queue(session, actor, project_id, JobKind.EVALUATE, spec)


@allowed(Role.LEAD)
def merge(session: Session, actor: User, adapter_id: int, settings: Settings) -> Job:
    """Ask for base and adapter as one model, checked against the two."""
    project_id, spec = exports.request(session, adapter_id, settings)
    return kinds.queue(session, actor, project_id, JobKind.EXPORT, spec)


@allowed(Role.LEAD)
def check(session: Session, actor: User, adapter_id: int) -> Job:
    """Ask base and tuned model the general tasks and red-team prompts of the promotion gate."""
    project_id, spec = checks.request(adapters.get(session, adapter_id))
    return kinds.queue(session, actor, project_id, JobKind.CHECK, spec)


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
    source = jobs.get(session, job_id)
    project_id, spec = runs.request_resumed(session, source, jobs.folder(settings, job_id))
    run = kinds.queue(session, actor, project_id, JobKind.TRAIN, spec)
    start = spec.resumed_from
    events.record(
        session,
        actor,
        "resume",
        "job",
        run.id,
        project_id=project_id,
        source=job_id,
        step=start.step if start else None,
        checkpoint=start.sha256 if start else None,
    )
    return run


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def cancel(session: Session, actor: User, job_id: str, settings: Settings) -> None:
    """Ask a job to stop at its next step; nothing of it is used.

    Raises:
        RuleBroken: the job has ended, or is of a kind that the person may not cancel.
    """
    job = jobs.going(session, job_id)
    kind = kinds.KINDS[job.kind]
    if not kind.cancelled_by & people.get(session, actor.id).roles:
        roles = " or ".join(sorted(kind.cancelled_by))
        raise RuleBroken(f"Only a {roles} can cancel a {kind.title}.")
    jobs.cancel(session, actor, job, settings)


@allowed(Role.LEAD)
def stop(session: Session, actor: User, job_id: str, settings: Settings) -> None:
    """Ask a run to stop at its next step and keep what it learnt.

    Raises:
        RuleBroken: the job is no run, has not begun, or has ended.
    """
    job = jobs.going(session, job_id)
    if job.kind is not JobKind.TRAIN or job.state is not JobState.RUNNING:
        raise RuleBroken("Only a run that has begun has something to save. Cancel this job.")
    if runs.is_remote(job):
        raise RuleBroken("An endpoint's run ends with a model or with none. Cancel this run.")
    jobs.stop(session, actor, job, settings)
