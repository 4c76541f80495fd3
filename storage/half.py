"""Work that nobody sees until it is whole: imports and freezings, whose rows are written in chunks.

Its row tells until when its process lives. One that let that time pass is dead: it is marked before
what it wrote is removed, so that it writes nothing more should it wake.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Update, update
from sqlalchemy.orm import Session

from storage.tables import FreezingRow, ImportRow

ALIVE = timedelta(seconds=60)
"""A process that wrote no chunk for so long is gone; should it wake, its next chunk is refused."""
_DOOMED = datetime(1970, 1, 1, tzinfo=UTC)
"""In place of the time until which it lives: it is being swept."""
Work = type[ImportRow] | type[FreezingRow]


def until() -> datetime:
    """The time until which a process lives that writes now."""
    return datetime.now(UTC) + ALIVE


def is_dead(alive_until: datetime) -> bool:
    """Whether a process let its time pass; a time that is too far ahead is of a wrong clock."""
    now = datetime.now(UTC)
    return not now <= alive_until <= now + 2 * ALIVE


def change(session: Session, work: Work, number: int, **values: datetime) -> bool:
    """Change the row of work; False where it is swept."""
    living = update(work).where(work.id == number, work.alive_until > _DOOMED)
    return _changed(session, living.values(**values))


def doom(session: Session, work: Work, number: int) -> bool:
    """Let nothing more be written; False where it is whole, or gone."""
    unfinished = update(work).where(work.id == number, work.whole_at.is_(None))
    return _changed(session, unfinished.values(alive_until=_DOOMED))


def _changed(session: Session, statement: Update) -> bool:
    changed: int = session.execute(statement).rowcount  # type: ignore[attr-defined]  # of an update
    return changed == 1
