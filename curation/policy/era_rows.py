"""What a policy change does to rows: send back, reject or clone those chosen, and undo it.

Rows in a reviewer's hand and rows that changed since they were shown are left as they are and
counted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import statistics
from curation.overlap.near import lineage
from curation.policy import era_search
from curation.review import decisions
from storage import events, pairs, people
from storage.access import allowed
from storage.blank import trim
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import EventRow, PairRow
from storage.types import PairStatus, Role, User

LIMIT = 1000
"""Rows of one change, so that others can write in between."""
RETIRED = "Policy era retired"
"""The reason of a rejection by a policy change."""
_UNDONE, _CLONE_UNDONE = "Policy change taken back", "Clone taken back"
_VERBS = {
    "policy_send_back": "sent back to review",
    "policy_reject": "retired",
    "policy_clone": "cloned",
}
_UNDO = "policy_undo"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change did."""

    rows: tuple[int, ...]
    """Sent back or rejected; for a clone, the new rows."""
    claimed: tuple[int, ...]
    """Left alone: in a reviewer's hand."""
    changed: tuple[int, ...]
    """Left alone: changed since they were shown."""
    already: tuple[int, ...]
    """Left alone: already where they would go."""


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One change as the log tells it."""

    event_id: int
    at: datetime
    by: str
    summary: str
    rows: tuple[int, ...]
    undoable: bool
    """Rejections and clones can be taken back; an approval only a person gives."""


class _Detail(msgspec.Struct, frozen=True):
    """What the log keeps of one change."""

    rows: list[tuple[int, int]]
    """Ids with the versions that the change left; 0 where it took another back."""
    held: int
    changed: int
    already: int
    undone: int | None = None
    """The change that this one took back."""


@allowed(Role.LEAD)
def send_back(
    session: Session, actor: User, project_id: int, versions: Mapping[int, int], reason: str
) -> Effect:
    """Withdraw the approval of these rows (ids with the versions shown), by a new decision each.

    Raises:
        BadInput: no reason, no rows, or too many.
    """
    if not trim(reason):
        raise BadInput("Say in a few words why these pairs go back to review.")

    def operation(row: PairRow) -> int | None:
        if row.status is not PairStatus.APPROVED:
            return None
        decisions.send_back(session, actor, row, trim(reason))
        return row.id

    return _each(session, actor, project_id, versions, operation, "policy_send_back")


@allowed(Role.LEAD)
def reject(session: Session, actor: User, project_id: int, versions: Mapping[int, int]) -> Effect:
    """Retire these rows: rejected, with the reason that their policy era is over.

    Raises:
        BadInput: no rows, or too many.
    """

    def operation(row: PairRow) -> int | None:
        if row.status is PairStatus.REJECTED:
            return None
        decisions.reject(session, actor, row, RETIRED)
        return row.id

    return _each(session, actor, project_id, versions, operation, "policy_reject")


@allowed(Role.LEAD)
def clone(
    session: Session, actor: User, project_id: int, versions: Mapping[int, int], era_id: int
) -> Effect:
    """Copy these rows into another era as new rows that wait for review; none is approved.

    A copy keeps origin, author, topic and lineage, names its row under `cloned_from` in its
    source, and stays held out where that row is. The rows themselves stay as they are.

    Raises:
        RuleBroken: the era is retired.
        BadInput: no rows, or too many.
    """
    era = era_search.era_of(session, project_id, era_id)
    if era.retired:
        raise RuleBroken(f"The era {era.name} is retired. Clone into one that is in force.")

    def operation(row: PairRow) -> int | None:
        key = f"{lineage.CLONE}{row.id}:{row.version}:{era_id}"
        copy = select(PairRow.id).where(PairRow.project_id == project_id, PairRow.source_key == key)
        if row.era_id == era_id or session.scalar(copy) is not None:
            return None
        author = people.get(session, row.author_id) if row.author_id is not None else None
        fresh = pairs.add(
            session,
            project_id,
            row.prompt,
            row.response,
            row.origin,
            author=author,
            era_id=era_id,
            topic=row.topic,
            held_out=row.held_out,
            source={**row.source, "cloned_from": row.id},
            source_key=key,
        )
        events.record(
            session,
            actor,
            "clone",
            "pair",
            fresh.id,
            project_id=project_id,
            cloned_from=row.id,
            era=era_id,
            after=fresh.content_sha256,
        )
        return fresh.id

    return _each(session, actor, project_id, versions, operation, "policy_clone")


def _each(
    session: Session,
    actor: User,
    project_id: int,
    versions: Mapping[int, int],
    operation: Callable[[PairRow], int | None],
    verb: str,
) -> Effect:
    """Do one thing to each row that nobody holds and that stands as it was shown."""
    if not 1 <= len(versions) <= LIMIT:
        raise BadInput(f"Choose 1 to {LIMIT:,} pairs at a time; {len(versions):,} are chosen.")
    claimed = era_search.claimed(session, versions)
    rows, changed, already = {}, [], []
    for pair_id, version in versions.items():
        row = pairs.row_of(session, pair_id)
        if row.project_id != project_id:
            raise RuleBroken(f"Pair {pair_id} belongs to another project.")
        if pair_id in claimed:
            continue
        if row.version != version:
            changed.append(pair_id)
            continue
        result = operation(row)
        if result is None:
            already.append(pair_id)
        else:
            rows[result] = pairs.row_of(session, result).version
    events.record(
        session,
        actor,
        verb,
        "project",
        project_id,
        project_id=project_id,
        rows=[[i, version] for i, version in rows.items()],
        held=len(claimed),
        changed=len(changed),
        already=len(already),
    )
    return Effect(tuple(rows), tuple(sorted(claimed)), tuple(changed), tuple(already))


def changes(session: Session, project_id: int, limit: int = 10) -> list[PolicyChange]:
    """The latest policy changes to rows, newest first."""
    query = (
        select(EventRow)
        .where(EventRow.project_id == project_id, EventRow.verb.in_([*_VERBS, _UNDO]))
        .order_by(EventRow.id.desc())
    )
    names = people.names(session)
    entries = [(row, msgspec.convert(row.detail, _Detail)) for row in session.scalars(query)]
    undone = {detail.undone for _, detail in entries}
    return [
        PolicyChange(
            event_id=row.id,
            at=datetime.fromisoformat(row.at),
            by=names.get(row.actor_id or 0, "someone"),
            summary=_summary(row.verb, detail, undone=row.id in undone),
            rows=tuple(pair_id for pair_id, _ in detail.rows),
            undoable=row.verb in ("policy_reject", "policy_clone")
            and bool(detail.rows)
            and row.id not in undone,
        )
        for row, detail in entries[:limit]
    ]


def _summary(verb: str, detail: _Detail, *, undone: bool) -> str:
    rows = statistics.count(len(detail.rows), "pair")
    left = {
        "in a reviewer's hand": detail.held,
        "changed since they were shown": detail.changed,
        "already there": detail.already,
    }
    skipped = ", ".join(f"{count} {why}" for why, count in left.items() if count)
    alone = f"; left alone: {skipped}" if skipped else ""
    return f"{rows} {_VERBS.get(verb, 'taken back')}{alone}{'; undone' * undone}"


@allowed(Role.LEAD)
def undo(session: Session, actor: User, event_id: int) -> Effect:
    """Take a change back by new decisions: retired rows wait again, clones are rejected.

    Raises:
        RuleBroken: it was taken back already, or it withdrew approvals, which only people give.
    """
    row = session.get(EventRow, event_id)
    if row is None or row.verb not in _VERBS or row.project_id is None:
        raise NotFound(f"There is no policy change {event_id}.")
    if row.verb == "policy_send_back":
        raise RuleBroken("An approval is given by reading: approve these pairs again on Review.")
    query = select(EventRow.detail).where(
        EventRow.project_id == row.project_id, EventRow.verb == _UNDO
    )
    if any(detail["undone"] == event_id for detail in session.scalars(query)):
        raise RuleBroken("This change was taken back already.")
    return _take_back(session, actor, row, dict(row.detail["rows"]))


def _take_back(
    session: Session, actor: User, done: EventRow, versions: Mapping[int, int]
) -> Effect:
    claimed = era_search.claimed(session, versions)
    rows, changed = [], []
    for pair_id, version in versions.items():
        row = pairs.row_of(session, pair_id)
        if pair_id in claimed:
            continue
        if row.version != version:
            changed.append(pair_id)
            continue
        if done.verb == "policy_reject":
            decisions.send_back(session, actor, row, _UNDONE)
        else:
            decisions.reject(session, actor, row, _CLONE_UNDONE)
        rows.append(pair_id)
    events.record(
        session,
        actor,
        _UNDO,
        "project",
        done.project_id or 0,
        project_id=done.project_id,
        undone=done.id,
        rows=[[i, 0] for i in rows],
        held=len(claimed),
        changed=len(changed),
        already=0,
    )
    return Effect(tuple(rows), tuple(sorted(claimed)), tuple(changed), ())
