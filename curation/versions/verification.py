"""Prove everything that was frozen in a database: every version, its seal, and the event log.

It does not find a forger who rewrites all of it together, nor damage in rows that no version has.
"""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from curation.versions import archive
from storage import events
from storage.errors import AssayError
from storage.tables import EventRow, VersionRowTable


@dataclass(frozen=True, slots=True)
class Verification:
    """What was proven, and what could not be."""

    versions: int
    rows: int
    events: int
    head: str
    """The newest hash of the log: keep it elsewhere to find a log that was rewritten whole."""
    problems: tuple[str, ...]


def everything(session: Session) -> Verification:
    """Every version of every project, and the chain of events."""
    count, broken = events.verify(session)
    problems = [] if broken is None else [f"The event log is broken at link {broken}."]
    ids = list(session.scalars(select(VersionRowTable.id).order_by(VersionRowTable.id)))
    logged = {} if problems else _logged(session)
    problems += [
        f"Version with id {version_id} is gone." for version_id in sorted(logged.keys() - set(ids))
    ]
    rows = 0
    for version_id in ids:
        try:
            opened = archive.opened(session, version_id)
        except AssayError as error:
            problems.append(str(error))
            continue
        rows += len(opened.rows)
        if logged and logged.get(version_id) != (opened.version.sha256, opened.seal):
            problems.append(f"Version {opened.version.number} is not the one the log tells of.")
    return Verification(len(ids), rows, count, _head(session), tuple(problems))


def _logged(session: Session) -> dict[int, tuple[str, str | None]]:
    """The sha256 and the seal of each version, as its freezing was logged."""
    query = select(EventRow.noun_id, EventRow.detail).where(
        EventRow.verb == "freeze", EventRow.noun == "version"
    )
    return {int(row[0]): (row[1]["sha256"], row[1].get("seal")) for row in session.execute(query)}


def _head(session: Session) -> str:
    try:
        return events.head(session)
    except DBAPIError:
        return "unreadable"
