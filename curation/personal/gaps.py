"""How far pairs are scanned and decided, in numbers that the database counts.

The same rules as `findings.coverage`, which names every pair; this names the first few hundred.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from curation.personal import findings, messages, scan_settings
from storage import pairs
from storage.tables import FindingRow, PairRow, ScanRow
from storage.types import FindingState, PairSample, PairStatus


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is left to do before pairs count as free of personal data."""

    unscanned: PairSample
    """Their present text has no scan with the present settings."""
    quarantined: PairSample
    """Could not be scanned whole."""
    open: PairSample
    """With findings that nobody has decided."""
    message: messages.MessageState
    """The same about the project's system message."""
    stale: int = 0
    """How many of `unscanned` were scanned with earlier settings."""


def approved(session: Session, project_id: int) -> Gaps:
    """The gaps of the approved pairs of a project."""
    return _gaps(session, project_id, PairRow.status == PairStatus.APPROVED)


def alive(session: Session, project_id: int) -> Gaps:
    """The gaps of the pairs of a project that are not rejected."""
    return _gaps(session, project_id, PairRow.status != PairStatus.REJECTED)


def _gaps(session: Session, project_id: int, which: ColumnElement[bool]) -> Gaps:
    mine = and_(PairRow.project_id == project_id, which)
    config = scan_settings.current(session, project_id).config.sha256[: pairs.SHORT]
    unscanned = select(PairRow.id).where(mine, PairRow.scanned_with.is_distinct_from(config))
    stale = unscanned.with_only_columns(func.count()).where(PairRow.scanned_with.is_not(None))
    quarantined = (
        select(PairRow.id)
        .join(ScanRow, and_(ScanRow.id == PairRow.scan_id, ScanRow.pair_id == PairRow.id))
        .where(_of_few(project_id), which, ScanRow.quarantined.is_not(None))
    )
    undecided = unsettled(project_id, which).where(FindingRow.state != FindingState.DISMISSED)
    message = messages.NOTHING_TO_SCAN
    if session.scalar(select(PairRow.id).where(mine).limit(1)) is not None:
        message = messages.state(session, project_id)
    return Gaps(
        unscanned=pairs.sample(session, unscanned),
        quarantined=pairs.sample(session, quarantined),
        open=pairs.sample(session, undecided.distinct()),
        message=message,
        stale=session.scalar(stale) or 0,
    )


def _of_few(project_id: int) -> ColumnElement[bool]:
    """The project of a pair where few pairs are meant, so that the database begins with what makes
    them few: with an index of pairs it would look at all of them."""
    return PairRow.project_id.op("+")(0).in_([project_id])


def unsettled(project_id: int, which: ColumnElement[bool]) -> Select[int]:
    """The findings in the present texts of these pairs about which something is left to do, by
    their pair."""
    return (
        select(FindingRow.pair_id)
        .join(PairRow, findings.COUNTED)
        .where(_of_few(project_id), which, FindingRow.settled.is_not(True))
    )
