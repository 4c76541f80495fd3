"""How far pairs are scanned and decided, in numbers that the database counts.

The same rules as `findings.coverage`, which names every pair; this names the first few hundred.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from curation.personal import messages, scan_settings
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
    config = scan_settings.current(session, project_id).config.sha256
    quarantined = (
        select(ScanRow.pair_id)
        .join(PairRow, PRESENT)
        .where(mine, ScanRow.quarantined.is_not(None), _newest(config))
    )
    undecided = unsettled(session, project_id, which).where(
        FindingRow.state != FindingState.DISMISSED
    )
    unscanned = pairs.sample(session, _unscanned(mine, config))
    stale = 0
    if unscanned:
        before = _unscanned(mine, config).where(exists().where(PRESENT))
        stale = session.scalar(select(func.count()).select_from(before.subquery())) or 0
    message = messages.NOTHING_TO_SCAN
    if session.scalar(select(PairRow.id).where(mine).limit(1)) is not None:
        message = messages.state(session, project_id)
    return Gaps(
        unscanned=unscanned,
        quarantined=pairs.sample(session, quarantined),
        open=pairs.sample(session, undecided.distinct()),
        message=message,
        stale=stale,
    )


PRESENT = and_(ScanRow.pair_id == PairRow.id, ScanRow.content_sha256 == PairRow.content_sha256)
"""That a scan is of the present text of a pair."""


def _unscanned(mine: ColumnElement[bool], config: str) -> Select[int]:
    scanned = exists().where(PRESENT, ScanRow.config_sha256 == config)
    return select(PairRow.id).where(mine, ~scanned)


def unsettled(session: Session, project_id: int, which: ColumnElement[bool]) -> Select[int]:
    """The findings in the present texts of these pairs about which something is left to do, by
    their pair."""
    config = scan_settings.current(session, project_id).config.sha256
    return (
        select(FindingRow.pair_id)
        .join(ScanRow, ScanRow.id == FindingRow.scan_id)
        .join(PairRow, PRESENT)
        .where(
            PairRow.project_id == project_id,
            which,
            FindingRow.settled.is_not(True),
            _newest(config),
        )
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
