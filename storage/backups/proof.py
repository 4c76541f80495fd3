"""Whether a database is whole: its pages, its references, the chain of its log, its guards.

What it does not find: values that someone changed together with every hash that names them.
"""

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from storage import events, migrate, troubles
from storage.engine import driver, folder_of, open_engine, reading
from storage.errors import BadInput, Unavailable


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proven database is."""

    revision: str
    events: int
    head: str
    """The newest hash of its log."""
    newest: str
    """When that was written, ISO 8601; empty where nothing was."""


def prove(engine: Engine, name: str) -> Proof:
    """Look at everything that can be checked; `name` is what a refusal calls the file.

    Raises:
        BadInput: it is no database of Assay, of a newer one, or damaged.
    """
    try:
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
            if pages != "ok":
                raise BadInput(f"{name} is damaged: {pages}. Choose another backup.")
        revision = _revision(engine, name)
        with reading(engine) as session:
            return _proven(session, revision, name)
    except (DBAPIError, driver().Error):
        raise BadInput(
            f"{name} is no database of Assay, or it is damaged. Choose another backup."
        ) from None


def sound(engine: Engine) -> None:
    """Refuse a database whose pages are damaged, before anybody works with it.

    Raises:
        Unavailable: it is damaged.
    """
    with troubles.spoken(folder_of(engine)), engine.connect() as connection:
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one() != "ok":
            raise Unavailable(troubles.damaged(folder_of(engine)))


def _revision(engine: Engine, name: str) -> str:
    revision = migrate.revision(engine)
    if revision is None:
        raise BadInput(f"{name} is no database of Assay. Choose another backup.")
    if revision not in migrate.revisions():
        raise BadInput(
            f"{name} was written by a newer Assay (schema {revision}). Restore it with that one."
        )
    return revision


def _proven(session: Session, revision: str, name: str) -> Proof:
    if session.connection().exec_driver_sql("PRAGMA foreign_key_check").fetchone():
        raise BadInput(f"{name} has entries whose parents are gone. Choose another backup.")
    if missing := sorted(guards(revision) - _guards(session)):
        raise BadInput(
            f"{name} lacks {len(missing)} of the guards that keep decisions as they were made "
            f"({missing[0][0]}): someone took them out. Choose another backup."
        )
    links, broken = events.verify(session)
    if broken is not None:
        raise BadInput(
            f"The log in {name} was changed at event {broken} or before it. Choose another backup."
        )
    newest = events.latest(session, limit=1)
    at = newest[0].at.isoformat() if newest else ""
    return Proof(revision, links, events.head(session), at)


def _guards(session: Session) -> frozenset[tuple[str, str]]:
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    return frozenset((name, sql) for name, sql in session.connection().exec_driver_sql(query))


@cache
def guards(revision: str) -> frozenset[tuple[str, str]]:
    """The triggers that a database of this revision has: name and statement."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(Path(folder) / "guards.db")
        migrate.upgrade(engine, revision, backup=False)
        with reading(engine) as session:
            present = _guards(session)
        engine.dispose()
    return present
