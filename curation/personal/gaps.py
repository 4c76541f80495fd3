"""How far the approved pairs are scanned and decided, in numbers that the database counts.

The same rules as `findings.coverage`, which names every pair; this names the first few hundred.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session, aliased

from curation.personal import messages, scan_settings
from storage import pairs
from storage.tables import FindingRow, PairRow, ScanRow
from storage.types import FindingState, PairSample, PairStatus


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is left to do before approved pairs count as free of personal data."""

    unscanned: PairSample
    """Their present text has no scan with the present settings."""
    quarantined: PairSample
    """Could not be scanned whole."""
    open: PairSample
    """With findings that nobody has decided."""
    message: messages.MessageState
    """The same about the project's system message."""


def approved(session: Session, project_id: int) -> Gaps:
    """The gaps of the approved pairs of a project."""
    mine = and_(PairRow.project_id == project_id, PairRow.status == PairStatus.APPROVED)
    present = and_(ScanRow.pair_id == PairRow.id, ScanRow.content_sha256 == PairRow.content_sha256)
    config = scan_settings.current(session, project_id).config.sha256
    scanned = exists().where(present, ScanRow.config_sha256 == config)
    counts = _newest(config)
    undecided = (
        select(FindingRow.pair_id)
        .join(ScanRow, ScanRow.id == FindingRow.scan_id)
        .join(PairRow, present)
        .where(
            mine,
            FindingRow.settled.is_not(True),
            FindingRow.state != FindingState.DISMISSED,
            counts,
        )
        .distinct()
    )
    quarantined = (
        select(ScanRow.pair_id)
        .join(PairRow, present)
        .where(mine, ScanRow.quarantined.is_not(None), counts)
    )
    message = messages.NOTHING_TO_SCAN
    if session.scalar(select(PairRow.id).where(mine).limit(1)) is not None:
        message = messages.state(session, project_id)
    return Gaps(
        unscanned=pairs.sample(session, select(PairRow.id).where(mine, ~scanned)),
        quarantined=pairs.sample(session, quarantined),
        open=pairs.sample(session, undecided),
        message=message,
    )


def _newest(config: str) -> ColumnElement[bool]:
    """That a scan is the one that counts for its text: with these settings, else the newest."""
    better = aliased(ScanRow)
    beaten = exists().where(
        better.pair_id == ScanRow.pair_id,
        better.content_sha256 == ScanRow.content_sha256,
        or_(better.config_sha256 == config, better.id > ScanRow.id),
    )
    return or_(ScanRow.config_sha256 == config, ~beaten)
