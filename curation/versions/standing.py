"""A version as its page shows it: whether its pairs are the frozen ones, its names, its card.

Proving reads every pair, so for a large version it is a report: of a moment that the page names.
Whatever uses the pairs (training, comparison, export) proves them itself.
"""

from dataclasses import dataclass
from heapq import nlargest

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.versions import archive, cards
from curation.versions.records import VersionCard
from storage import reports
from storage.errors import NotFound, Unavailable
from storage.reports import Report
from storage.tables import VersionRowTable
from storage.types import Split

_LONGEST = 1024
"""Pairs whose length is remembered: as many as a step of a run takes at most."""


@dataclass(frozen=True, slots=True)
class VersionStanding:
    """What a look at all pairs of a version came to."""

    problem: str
    """Why the version may not be used; empty where its pairs are the frozen ones."""
    merkle_root: str = ""
    text_bytes: dict[str, int] | None = None
    """Of both texts of its pairs, by split."""
    longest: tuple[int, ...] = ()
    """Characters of its longest pairs outside the test, input and output together, falling."""
    card: VersionCard | None = None
    """None where there is a problem."""


def look(session: Session, version_id: int) -> VersionStanding:
    """Prove every pair of a version, and write its card."""
    try:
        opened = archive.opened(session, version_id)
    except Unavailable as error:
        return VersionStanding(str(error))
    sizes = {split.value: 0 for split in Split}
    for row in opened.rows:
        sizes[row.split.value] += len(f"{row.prompt}{row.response}".encode(errors="replace"))
    learnt = (row for row in opened.rows if row.split is not Split.TEST)
    return VersionStanding(
        "",
        opened.merkle_root,
        sizes,
        tuple(nlargest(_LONGEST, (len(row.prompt) + len(row.response) for row in learnt))),
        cards.of(session, opened),
    )


def _project(session: Session, version_id: int) -> int:
    query = select(VersionRowTable.project_id).where(VersionRowTable.id == version_id)
    project_id = session.scalar(query)
    if project_id is None:
        raise NotFound(f"There is no version {version_id}.")
    return project_id


def _state(session: Session, version_id: int) -> str:
    return reports.newest_event(session, _project(session, version_id))


STANDING = Report("version", VersionStanding, look, state=_state, pairs=archive.size)
