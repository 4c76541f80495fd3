"""Freezing many pairs: prepared beside the database, written in many short transactions.

The rows are written under a version that nobody sees, read back and proven; then one short
transaction looks whether a pair in it changed since, and makes it whole. Whatever ends the work
before leaves nothing of it; only that its test pairs are held out is written after, and made good
by whoever comes next. See `storage.freezings`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Engine, func, or_, select, union
from sqlalchemy.orm import Session

from curation.versions import archive, canonical, freezing
from curation.versions.freezing import FreezePlan
from storage import chunks, freezings, pairs, steps, unseen
from storage.access import require
from storage.engine import reading, writing
from storage.errors import RuleBroken, Unavailable
from storage.freezings import HalfVersion
from storage.tables import (
    DecisionRow,
    FreezingRow,
    MemberRow,
    PairRow,
    RevisionRow,
    VersionRowTable,
)
from storage.types import PairStatus, Role, Split, User, Version, VersionRow

_ROLES = (Role.LEAD,)
_WRITING = 0.5
"""What is done of a freezing once its pairs are compared and shared out."""


@dataclass(frozen=True, slots=True)
class FreezeOrder:
    """What a person asks for."""

    project_id: int
    seed: int = 7
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Moment:
    """How far the log of decisions and texts had come."""

    revision: int
    decision: int


def freeze_in_chunks(
    engine: Engine,
    actor: User,
    order: FreezeOrder,
    *,
    step: steps.Step = steps.quiet,
    job_id: str | None = None,
    settle: Callable[[Session, Version], None] = lambda _session, _version: None,
) -> Version:
    """As `freezing.freeze`, in many short transactions: the approved pairs as they stand when it
    begins.

    `settle` is called in the transaction that makes the version whole.

    Raises:
        NotAllowed: the person may not freeze.
        RuleBroken: as `freezing.freeze`; or another freezing is going on in the project, or a pair
            changed meanwhile.
    """
    clear(engine, order.project_id)
    with reading(engine) as session:
        require(session, actor, _ROLES, "freeze")
        moment = _moment(session)
        count = pairs.count(session, order.project_id, status=PairStatus.APPROVED)
        tell = steps.part(step, 0, _WRITING, count)
        plan = freezing.planned(session, order.project_id, order.seed, order.note, tell)
    with writing(engine) as session:
        require(session, actor, _ROLES, "freeze")
        going = freezings.begin(session, order.project_id, job_id)
        freezing.add_version(session, actor, plan, going.version_id)
    try:
        version = _written(engine, actor, plan, going, moment, step, settle)
    except BaseException:
        # Also where the process is interrupted. A disk too full even to sweep is swept later.
        with suppress(Unavailable):
            freezings.sweep(engine, going)
        raise
    hold_out(engine, version.id)
    return version


def clear(engine: Engine, project_id: int) -> None:
    """Make good what a freezing in a project left that was cut off."""
    with reading(engine) as session:
        cut_off = [
            going for going in freezings.unfinished(session) if going.project_id == project_id
        ]
        whole = list(
            session.scalars(
                select(FreezingRow.version_id).where(
                    FreezingRow.project_id == project_id, FreezingRow.whole_at.is_not(None)
                )
            )
        )
    for going in cut_off:
        if going.is_dead:
            freezings.sweep(engine, going)
    for version_id in whole[-1:]:
        hold_out(engine, version_id)


def hold_out(engine: Engine, version_id: int) -> None:
    """Make test pairs of those of a version's test part that are none yet."""
    with reading(engine) as session:
        query = (
            select(MemberRow.pair_id)
            .join(PairRow, PairRow.id == MemberRow.pair_id)
            .where(
                MemberRow.version_id == version_id,
                MemberRow.split == Split.TEST,
                PairRow.held_out.is_(False),
            )
        )
        waiting = list(session.scalars(query))
    chunks.write(engine, waiting, freezing.hold_out)


def _moment(session: Session) -> _Moment:
    newest = (select(func.coalesce(func.max(row.id), 0)) for row in (RevisionRow, DecisionRow))
    revision, decision = (session.execute(query).scalar_one() for query in newest)
    return _Moment(revision, decision)


def _written(
    engine: Engine,
    actor: User,
    plan: FreezePlan,
    going: HalfVersion,
    moment: _Moment,
    step: steps.Step,
    settle: Callable[[Session, Version], None],
) -> Version:
    def add(session: Session, rows: Sequence[VersionRow]) -> None:
        freezings.renew(session, going)
        freezing.add_members(session, going.version_id, rows)

    chunks.write(engine, plan.rows, add, steps.part(step, _WRITING, 1, len(plan.rows)))
    with reading(engine) as session, unseen.shown(session):
        if canonical.sha256(archive.unproven(session, going.version_id)) != plan.sha256:
            raise Unavailable("The database did not keep the pairs of the version. Freeze again.")
        proof = freezing.proven(session, _row(session, going), plan)
    with writing(engine) as session, unseen.shown(session):
        row = _row(session, going)
        _unchanged(session, going, moment)
        freezing.seal(session, actor, row, proof)
        freezings.complete(session, going)
        version = archive.value(row)
        settle(session, version)
    return version


def _row(session: Session, going: HalfVersion) -> VersionRowTable:
    row = session.get(VersionRowTable, going.version_id)
    if row is None:
        raise RuleBroken("This freezing stood still for too long and was cleared. Start it again.")
    return row


def _unchanged(session: Session, going: HalfVersion, since: _Moment) -> None:
    """Look at the pairs that were decided or rewritten since: few, whatever the version's size."""
    touched = union(
        select(RevisionRow.pair_id).where(RevisionRow.id > since.revision),
        select(DecisionRow.pair_id).where(DecisionRow.id > since.decision),
    )
    query = (
        select(MemberRow.pair_id)
        .join(PairRow, PairRow.id == MemberRow.pair_id)
        .where(
            MemberRow.version_id == going.version_id,
            MemberRow.pair_id.in_(touched),
            or_(
                PairRow.status != PairStatus.APPROVED,
                PairRow.content_sha256 != MemberRow.content_sha256,
            ),
        )
    )
    changed = session.scalar(query.order_by(MemberRow.pair_id).limit(1))
    if changed is not None:
        raise RuleBroken(f"Pair {changed} changed while the version was being made. Freeze again.")
