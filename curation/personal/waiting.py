"""The pairs that wait for someone to decide about their findings, as a list that stays short."""

from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from curation.personal import findings, gaps
from curation.personal.findings import Marked
from storage import pairs
from storage.tables import FindingRow, PairRow, ScanRow
from storage.types import Finding, FindingState, PairStatus
from storage.values import value_of


@dataclass(frozen=True, slots=True)
class MarkedPairs:
    """Pairs with findings in one state."""

    count: int
    first: dict[int, int]
    """Of the first pairs by id, how many findings each has."""


def listing(session: Session, project_id: int, state: FindingState, limit: int) -> MarkedPairs:
    """Pairs, not rejected, with findings called harmless, or with others (still to be decided)."""
    harmless = FindingRow.state == FindingState.DISMISSED
    wanted = harmless if state is FindingState.DISMISSED else ~harmless
    query = (
        gaps.unsettled(session, project_id, PairRow.status != PairStatus.REJECTED)
        .add_columns(func.count(), func.count().over())
        .group_by(FindingRow.pair_id)
        .having(func.sum(case((wanted, 1), else_=0)) > 0)
        .order_by(FindingRow.pair_id)
        .limit(limit)
    )
    rows = session.execute(query).all()
    return MarkedPairs(rows[0][2] if rows else 0, {row[0]: row[1] for row in rows})


def marked(session: Session, project_id: int, pair_id: int) -> Marked:
    """One pair with the findings in its present text.

    Raises:
        NotFound: there is no such pair.
    """
    rows = findings.current(session, project_id, pair_id)
    return Marked(pairs.get(session, pair_id), tuple(value_of(Finding, row) for row in rows))


def reasons(session: Session, pair_ids: tuple[int, ...]) -> dict[int, str]:
    """Why these pairs could not be scanned whole, by pair."""
    query = (
        select(ScanRow.pair_id, ScanRow.quarantined)
        .join(PairRow, gaps.PRESENT)
        .where(pairs.among(ScanRow.pair_id, pair_ids), ScanRow.quarantined.is_not(None))
        .order_by(ScanRow.pair_id, ScanRow.id)
    )
    return {pair_id: reason for pair_id, reason in session.execute(query) if reason is not None}
