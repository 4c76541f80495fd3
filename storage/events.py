"""The log of who did what to what: insert-only, hash-chained, ids and hashes but no text.

It shows tampering after the fact to whoever kept an earlier head. Someone who can write the file
and rebuild the whole chain is only found out by such a head.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Text, select, type_coerce
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from storage.tables import EventRow
from storage.types import Event, User
from storage.values import value_of

GENESIS = "0" * 64
_SOME = 1000
_FACTS = ("at", "actor", "project", "verb", "noun", "noun_id", "detail")


def _digest(prev: str, body: dict[str, object]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((prev + canonical).encode()).hexdigest()


def _body(row: EventRow) -> dict[str, object]:
    return {
        "at": row.at,
        "actor": row.actor_id,
        "project": row.project_id,
        "verb": row.verb,
        "noun": row.noun,
        "noun_id": row.noun_id,
        "detail": row.detail,
    }


def record(
    session: Session,
    actor: User | None,
    verb: str,
    noun: str,
    noun_id: int | str,
    *,
    project_id: int | None = None,
    **detail: Any,  # noqa: ANN401 - JSON values
) -> None:
    """Append one link. `detail` holds ids, hashes and numbers only."""
    row = EventRow(
        at=datetime.now(UTC).isoformat(),
        actor_id=actor.id if actor else None,
        project_id=project_id,
        verb=verb,
        noun=noun,
        noun_id=str(noun_id),
        detail=detail,
        prev=head(session),
        hash="",
    )
    row.hash = _digest(row.prev, _body(row))
    session.add(row)
    session.flush()


def head(session: Session) -> str:
    """The newest hash; whoever keeps it can later prove that nothing before it changed."""
    newest = session.scalar(select(EventRow.hash).order_by(EventRow.id.desc()).limit(1))
    return newest or GENESIS


def verify(session: Session) -> tuple[int, int | None]:
    """Recompute the chain: how many links there are, and the id of the first broken one.

    Ids have no gaps: links are never deleted, and one that is rolled back gives its id back. The
    detail is checked as the characters that are stored, as JSON can spell a value in two ways.
    """
    prev, count = GENESIS, 0
    query = select(
        EventRow.id,
        EventRow.prev,
        EventRow.hash,
        EventRow.at,
        EventRow.actor_id,
        EventRow.project_id,
        EventRow.verb,
        EventRow.noun,
        EventRow.noun_id,
        type_coerce(EventRow.detail, Text),
    ).order_by(EventRow.id)
    query = query.execution_options(yield_per=_SOME)  # a long log never stands in memory whole
    try:
        for number, before, named, *facts, detail in session.execute(query):
            body = dict(zip(_FACTS, (*facts, json.loads(detail)), strict=True))
            intact = number == count + 1 and json.dumps(body["detail"]) == detail
            if not intact or before != prev or named != _digest(prev, body):
                return count, number
            prev, count = named, count + 1
    except (DBAPIError, ValueError, TypeError):  # damaged text: no UTF-8, no JSON
        return count, count + 1
    return count, None


def latest(session: Session, project_id: int | None = None, limit: int = 50) -> list[Event]:
    """The newest events first."""
    query = select(EventRow).order_by(EventRow.id.desc()).limit(limit)
    if project_id is not None:
        query = query.where(EventRow.project_id == project_id)
    return [
        value_of(Event, row, at=datetime.fromisoformat(row.at)) for row in session.scalars(query)
    ]
