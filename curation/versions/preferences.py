"""Preference pairs from review: the approved output, and the one that a person corrected.

The output that arrived is only shown to a trainer where its text was scanned whole and held no
personal data: a correction is often the removal of some.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.versions.layout import ExportRow
from storage.tables import FindingRow, RevisionRow, ScanRow
from storage.types import FindingState, VersionRow

_CHUNK = 500
"""Ids in one query; databases bound how many parameters one may have."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """The pairs of some rows, and how many rows gave none and why."""

    rows: tuple[ExportRow, ...]
    unchanged: int
    """The output stands as it arrived, or the input was changed too."""
    unsafe: int
    """What arrived was never scanned whole, or held personal data."""


def gather(session: Session, rows: Sequence[VersionRow]) -> Preferences:
    """One pair for each row whose output alone was changed by a person."""
    corrected_rows, unchanged, unsafe = [], 0, 0
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        ids = [row.pair_id for row in part]
        first, edited = _first(session, ids), _edited(session, ids)
        clean = _clean(session, first)
        for row in part:
            arrived = first[row.pair_id]
            corrected = (row.pair_id, row.content_sha256) in edited
            if arrived.prompt != row.prompt or arrived.response == row.response or not corrected:
                unchanged += 1
            elif row.pair_id not in clean:
                unsafe += 1
            else:
                corrected_rows.append(
                    ExportRow(
                        row.pair_id, row.origin.value, row.prompt, row.response, arrived.response
                    )
                )
    return Preferences(tuple(corrected_rows), unchanged, unsafe)


def _first(session: Session, ids: Sequence[int]) -> dict[int, RevisionRow]:
    query = select(RevisionRow).where(RevisionRow.pair_id.in_(ids), RevisionRow.number == 1)
    return {row.pair_id: row for row in session.scalars(query)}


def _edited(session: Session, ids: Sequence[int]) -> set[tuple[int, str]]:
    """Texts that a person gave a pair after it arrived."""
    query = select(RevisionRow.pair_id, RevisionRow.content_sha256).where(
        RevisionRow.pair_id.in_(ids), RevisionRow.number > 1, RevisionRow.user_id.is_not(None)
    )
    return {(row[0], row[1]) for row in session.execute(query)}


def _clean(session: Session, first: dict[int, RevisionRow]) -> set[int]:
    """Pairs whose first text was scanned whole with no finding but dismissed ones."""
    scans = {
        row.id: row.pair_id
        for row in session.scalars(select(ScanRow).where(ScanRow.pair_id.in_(list(first))))
        if row.content_sha256 == first[row.pair_id].content_sha256 and row.quarantined is None
    }
    query = select(FindingRow.pair_id).where(
        FindingRow.scan_id.in_(list(scans)), FindingRow.state != FindingState.DISMISSED
    )
    return set(scans.values()) - set(session.scalars(query))
