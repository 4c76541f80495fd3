"""Claims: who holds which row for review, for how long, so that two people never hold the same."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    delete,
    exists,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from storage import pairs, projects
from storage.access import allowed
from storage.leases import LEASE, running
from storage.tables import (
    ClaimRow,
    DecisionRow,
    EraRow,
    HandoutRow,
    PairRow,
    UtcDateTime,
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
    own = {
        claim.pair_id: claim
        for claim in session.scalars(select(ClaimRow).where(ClaimRow.user_id == actor.id))
    }
    # The project is compared here: with it in the query SQLite reads all pairs of the project.
    query = select(PairRow).where(PairRow.id.in_(own)).order_by(PairRow.id)
    rows = []
    for row in session.scalars(query).all():
        if row.project_id != project_id:
            continue
        if row.status is PairStatus.WAITING:
            own[row.id].lease_until = now + LEASE
            rows.append(row)
        else:
            session.delete(own[row.id])
    return rows


def _claim(
    session: Session, actor: User, project: Project, room: int, now: datetime
) -> list[PairRow]:
    ids: list[int] = []
    for turn in _turns(actor, project, now):
        if len(ids) < room:
            ids += session.scalars(turn.order_by(PairRow.id).limit(room - len(ids)))
    return _take_all(session, actor, ids, now)


def _turns(actor: User, project: Project, now: datetime) -> list[Select[int]]:
    """What may be handed out, the first before the second: fresh rows, skipped ones, flagged ones.

    A query each, so that the index `ix_pair_queue` gives the rows in order and a query ends with
    the last row it needs; one query that sorts would read every waiting row under the write lock.
    """
    waiting = select(PairRow.id).where(
        PairRow.project_id == project.id,
        PairRow.status == PairStatus.WAITING,
        ~_claimed(actor, now),
        *_may_review(actor, project),
    )
    skipped = exists().where(
        DecisionRow.pair_id == PairRow.id,
        DecisionRow.user_id == actor.id,
        DecisionRow.action == Action.SKIP,
        DecisionRow.seen_version == PairRow.version,
    )
    open_to_all = waiting.where(PairRow.flagged.is_(False))
    turns = [open_to_all.where(~skipped), open_to_all.where(skipped)]
    return [*turns, waiting.where(PairRow.flagged.is_(True))] if _leads(actor) else turns


def _claimed(actor: User, now: datetime) -> ColumnElement[bool]:
    """Held already: by the person, or by someone else whose lease still runs."""
    return exists().where(
        ClaimRow.pair_id == PairRow.id, or_(ClaimRow.user_id == actor.id, running(now))
    )


def _leads(actor: User) -> bool:
    return Role.LEAD in actor.roles


def _may_review(actor: User, project: Project) -> list[ColumnElement[bool]]:
    if not project.two_people:
        return []
    own = and_(PairRow.origin == Origin.GOLD, PairRow.author_id == actor.id)
    return [or_(PairRow.author_id.is_(None), ~own)]


def take(session: Session, actor: User, row: PairRow, now: datetime) -> None:
    """Give the row to a person; the fence rises, so a decision of the holder before is late."""
    row.fence += 1
    session.flush()
    _lend(session, actor, [row.id], now)


def _take_all(session: Session, actor: User, ids: Sequence[int], now: datetime) -> list[PairRow]:
    """`take` for several rows, in as many statements as for one."""
    if not ids:
        return []
    session.execute(update(PairRow).where(PairRow.id.in_(ids)).values(fence=PairRow.fence + 1))
    _lend(session, actor, ids, now)
    rows = {row.id: row for row in session.scalars(select(PairRow).where(PairRow.id.in_(ids)))}
    return [rows[pair_id] for pair_id in ids]


def release(session: Session, row: PairRow) -> None:
    """Let go of a row, whoever holds it."""
    claim = session.get(ClaimRow, row.id)
    if claim is not None:
        session.delete(claim)
    session.flush()


def give_back(session: Session, actor: User, row: PairRow) -> None:
    """Hand the row back under the same fence, so that the browser can show it at once."""
    session.flush()
    _lend(session, actor, [row.id], datetime.now(UTC))


def _lend(session: Session, actor: User, ids: Sequence[int], now: datetime) -> None:
    """Put one claim on each of these rows, under its present fence, in place of any before."""
    lent = select(PairRow.id, literal(actor.id), PairRow.fence).where(PairRow.id.in_(ids))
    claim = lent.add_columns(literal(now + LEASE, UtcDateTime))
    before = exists().where(
        HandoutRow.pair_id == PairRow.id,
        HandoutRow.user_id == actor.id,
        HandoutRow.fence == PairRow.fence,
    )
    names = ["pair_id", "user_id", "fence"]
    session.execute(delete(ClaimRow).where(ClaimRow.pair_id.in_(ids)))
    session.execute(insert(ClaimRow).from_select([*names, "lease_until"], claim))
    session.execute(insert(HandoutRow).from_select(names, lent.where(~before)))


def holds(session: Session, actor: User, row: PairRow, fence: int) -> bool:
    """Whether the person holds the row under this fence, even if the lease has run out."""
    claim = session.get(ClaimRow, row.id)
    return claim is not None and (claim.user_id, claim.fence) == (actor.id, fence) == (
        actor.id,
        row.fence,
    )


def was_handed(session: Session, actor: User, pair_id: int, fence: int) -> bool:
    """Whether the pair was ever handed to this person under this fence."""
    return session.get(HandoutRow, (pair_id, actor.id, fence)) is not None


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
