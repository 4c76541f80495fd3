"""Claims: who holds which row for review, for how long, so that two people never hold the same."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, exists, or_, select
from sqlalchemy.orm import Session

from storage import pairs, projects
from storage.access import allowed
from storage.tables import (
    ClaimRow,
    DecisionRow,
    EraRow,
    PairRow,
)
from storage.types import (
    Action,
    Card,
    Origin,
    Pair,
    PairStatus,
    Project,
    Role,
    User,
)
from storage.values import value_of

LEASE = timedelta(minutes=15)


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def lease(
    session: Session,
    actor: User,
    project_id: int,
    loaded: Sequence[int] = (),
    limit: int = 20,
    now: datetime | None = None,
) -> list[Card]:
    """Cards for one person: renew what they hold, then claim more, up to `limit` in all.

    A row is held by one person at a time. Rows in `loaded` are renewed, not sent again. A person's
    own gold rows are left out where the project asks for two people; rows they skipped come last,
    as do flagged rows, which only leads get. `now` is for tests.
    """
    now = now or datetime.now(UTC)
    project = projects.get(session, project_id)
    mine = _renew(session, actor, project_id, now)
    room = max(0, limit - len(mine))
    fresh = _claim(session, actor, project, room, now) if room else []
    wanted = [row for row in mine if row.id not in set(loaded)] + fresh
    return cards(session, wanted)


def _renew(session: Session, actor: User, project_id: int, now: datetime) -> list[PairRow]:
    query = (
        select(PairRow, ClaimRow)
        .join(ClaimRow, ClaimRow.pair_id == PairRow.id)
        .where(ClaimRow.user_id == actor.id, PairRow.project_id == project_id)
        .order_by(PairRow.id)
    )
    rows = []
    for row, claim in session.execute(query).all():
        if row.status is PairStatus.WAITING:
            claim.lease_until = now + LEASE
            rows.append(row)
        else:
            session.delete(claim)
    return rows


def _claim(
    session: Session, actor: User, project: Project, room: int, now: datetime
) -> list[PairRow]:
    others = exists().where(
        ClaimRow.pair_id == PairRow.id, ClaimRow.user_id != actor.id, ClaimRow.lease_until > now
    )
    skipped = exists().where(
        DecisionRow.pair_id == PairRow.id,
        DecisionRow.user_id == actor.id,
        DecisionRow.action == Action.SKIP,
        DecisionRow.seen_version == PairRow.version,
    )
    mine = exists().where(ClaimRow.pair_id == PairRow.id, ClaimRow.user_id == actor.id)
    query = (
        select(PairRow)
        .where(
            PairRow.project_id == project.id,
            PairRow.status == PairStatus.WAITING,
            ~others,
            ~mine,
            *_may_review(actor, project),
        )
        .order_by(case((or_(skipped, PairRow.flagged), 1), else_=0), PairRow.id)
        .limit(room)
    )
    rows = list(session.scalars(query))
    for row in rows:
        take(session, actor, row, now)
    session.flush()
    return rows


def _may_review(actor: User, project: Project) -> list[ColumnElement[bool]]:
    rules: list[ColumnElement[bool]] = []
    if project.two_people:
        own = and_(PairRow.origin == Origin.GOLD, PairRow.author_id == actor.id)
        rules.append(or_(PairRow.author_id.is_(None), ~own))
    if Role.LEAD not in actor.roles:
        rules.append(PairRow.flagged.is_(False))
    return rules


def take(session: Session, actor: User, row: PairRow, now: datetime) -> None:
    """Give the row to a person; the fence rises, so a decision of the holder before is late."""
    row.fence += 1
    _lend(session, actor, row, now)


def release(session: Session, row: PairRow) -> None:
    """Let go of a row, whoever holds it."""
    claim = session.get(ClaimRow, row.id)
    if claim is not None:
        session.delete(claim)
    session.flush()


def give_back(session: Session, actor: User, row: PairRow) -> None:
    """Hand the row back under the same fence, so that the browser can show it at once."""
    _lend(session, actor, row, datetime.now(UTC))
    session.flush()


def _lend(session: Session, actor: User, row: PairRow, now: datetime) -> None:
    claim = session.get(ClaimRow, row.id)
    if claim is None:
        claim = ClaimRow(pair_id=row.id)
        session.add(claim)
    claim.user_id, claim.fence, claim.lease_until = actor.id, row.fence, now + LEASE


def cards(session: Session, rows: Sequence[PairRow]) -> list[Card]:
    """The rows as cards, with the text they arrived with and their era."""
    ids = [row.id for row in rows]
    drafts = pairs.first_texts(session, ids)
    claims = {
        claim.pair_id: claim
        for claim in session.scalars(select(ClaimRow).where(ClaimRow.pair_id.in_(ids)))
    }
    eras = {era.id: era.name for era in session.scalars(select(EraRow))}
    return [
        Card(
            pair=value_of(Pair, row),
            fence=row.fence,
            lease_until=claims[row.id].lease_until,
            draft_prompt=drafts[row.id][0],
            draft_response=drafts[row.id][1],
            era=eras.get(row.era_id) if row.era_id is not None else None,
        )
        for row in rows
    ]
