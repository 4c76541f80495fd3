"""Unsent words: kept per person and form from the moment they are typed."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from storage.tables import ScratchRow
from storage.types import User


def save(session: Session, actor: User, form: str, fields: dict[str, object]) -> None:
    """Keep the words of a form; the last save wins."""
    row = session.get(ScratchRow, (actor.id, form))
    if row is None:
        session.add(ScratchRow(user_id=actor.id, form=form, words=fields))
    else:
        row.words, row.updated_at = fields, datetime.now(UTC)
    session.flush()


def load(session: Session, actor: User, form: str) -> dict[str, object]:
    """The words kept for a form; empty where there are none."""
    row = session.get(ScratchRow, (actor.id, form))
    return dict(row.words) if row is not None else {}


def clear(session: Session, actor: User, form: str) -> None:
    """Forget the words of a form, once they are stored as a pair."""
    row = session.get(ScratchRow, (actor.id, form))
    if row is not None:
        session.delete(row)
        session.flush()
