"""The pairs that wait for someone to decide about their findings, as a list that stays short."""

from dataclasses import dataclass

from sqlalchemy import func, select
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
    unsettled = gaps.unsettled(project_id, PairRow.status != PairStatus.REJECTED)
    harmless = (FindingState.DISMISSED,)
    states = harmless if state is FindingState.DISMISSED else set(FindingState) - set(harmless)
    wanted = unsettled.where(FindingRow.state.in_(states)).distinct()
    sample = pairs.sample(session, wanted)
    counts = (
        unsettled.add_columns(func.count())
        .where(pairs.among(FindingRow.pair_id, sample.ids[:limit]))
        .group_by(FindingRow.pair_id)
        .order_by(FindingRow.pair_id)
    )
    return MarkedPairs(sample.count, {row[0]: row[1] for row in session.execute(counts)})


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
        .join(PairRow, PairRow.scan_id == ScanRow.id)
        .where(pairs.among(PairRow.id, pair_ids))
        .order_by(ScanRow.pair_id)
    )
    return {pair_id: reason for pair_id, reason in session.execute(query) if reason is not None}
