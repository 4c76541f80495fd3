"""What a reviewer sees of their own work: the last decisions and the figures above the card."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from curation.review import decisions
from storage import pairs
from storage.tables import (
    DecisionRow,
    PairRow,
)
from storage.types import (
    Action,
    Outcome,
    PairStatus,
    User,
)

_PACED = 500
"""Decisions, counted from the newest, that the pace is measured over."""


@dataclass(frozen=True, slots=True)
class Recent:
    """One of a person's last decisions, as the right rail shows it."""

    op: str
    pair_id: int
    action: Action
    title: str
    undoable: bool
    version: int
    fence: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The figures above the card."""

    waiting: int
    approved: int
    decided_today: int
    median_s: float | None
    """Median seconds between this person's latest decisions today, pauses over 10 minutes left
    out."""


def recent(session: Session, actor: User, project_id: int, limit: int = 10) -> list[Recent]:
    """A person's last decisions, newest first, without those taken back."""
    undo = aliased(DecisionRow)
    query = (
        select(DecisionRow, PairRow)
        .join(PairRow, PairRow.id == DecisionRow.pair_id)
        .where(
            PairRow.project_id == project_id,
            DecisionRow.user_id == actor.id,
            DecisionRow.outcome == Outcome.APPLIED,
            DecisionRow.action.in_([Action.APPROVE, Action.REJECT, Action.FLAG, Action.SKIP]),
            ~exists().where(undo.supersedes_id == DecisionRow.id),
        )
        .order_by(DecisionRow.id.desc())
        .limit(limit)
    )
    rows = session.execute(query).all()
    fixed = decisions.undo_obstacles(session, [done for done, _ in rows])
    return [
        Recent(
            op=done.op,
            pair_id=row.id,
            action=done.action,
            title=row.prompt[:60],
            undoable=done.id not in fixed,
            version=row.version,
            fence=row.fence,
        )
        for done, row in rows
    ]


def progress(session: Session, actor: User, project_id: int) -> Progress:
    """The figures above the card: the project's queue and the person's own pace."""
    stands = pairs.counts(session, project_id)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    query = (
        select(DecisionRow.created_at)
        .join(PairRow, PairRow.id == DecisionRow.pair_id)
        .where(
            PairRow.project_id == project_id,
            DecisionRow.user_id == actor.id,
            DecisionRow.created_at >= today,
            DecisionRow.action.in_([Action.APPROVE, Action.REJECT]),
        )
    )
    latest = query.order_by(DecisionRow.created_at.desc()).limit(_PACED)
    gaps = [(b - a).total_seconds() for b, a in pairwise(session.scalars(latest))]
    worked = [gap for gap in gaps if gap <= 600]
    return Progress(
        waiting=stands[PairStatus.WAITING],
        approved=stands[PairStatus.APPROVED],
        decided_today=session.scalar(select(func.count()).select_from(query.subquery())) or 0,
        median_s=median(worked) if worked else None,
    )
