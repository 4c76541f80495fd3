"""Late decisions: kept with their text until a lead takes them over or keeps the row."""

from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Select, func, literal, select
from sqlalchemy.orm import Session

from curation.review import claims, decisions
from curation.review.ops import Op
from storage import pairs
from storage.access import allowed
from storage.errors import NotFound, RuleBroken
from storage.tables import (
    DecisionRow,
    PairRow,
    ResolutionRow,
)
from storage.types import (
    Action,
    Decision,
    Outcome,
    PairStatus,
    Role,
    User,
)
from storage.values import value_of

LATE = DecisionRow.outcome == literal(Outcome.LATE, literal_execute=True)
"""The condition of the index `ix_decision_late`: only one that is spelled out may use it."""
Q = TypeVar("Q")


def late(session: Session, project_id: int, limit: int | None = None) -> list[Decision]:
    """Decisions that came after the row had moved on and that no lead has settled yet, oldest
    first, at most `limit`.

    A late skip decides nothing, so it is not among them.
    """
    query = _unsettled(select(DecisionRow), project_id).order_by(DecisionRow.id).limit(limit)
    return [value_of(Decision, row) for row in session.scalars(query)]


def count(session: Session, project_id: int) -> int:
    """How many late decisions wait for a lead."""
    return session.scalar(_unsettled(select(func.count(DecisionRow.id)), project_id)) or 0


def _unsettled(query: Select[Q], project_id: int) -> Select[Q]:
    # A subquery, not a join: SQLite would begin with all pairs of the project.
    project = select(PairRow.project_id).where(PairRow.id == DecisionRow.pair_id)
    return query.outerjoin(ResolutionRow, ResolutionRow.decision_id == DecisionRow.id).where(
        LATE,
        DecisionRow.action != Action.SKIP,
        ResolutionRow.decision_id.is_(None),
        project.scalar_subquery() == project_id,
    )


@allowed(Role.LEAD)
def settle(
    session: Session, actor: User, decision_id: int, *, take: bool, seen_version: int | None = None
) -> None:
    """Take a late decision over the row as it stands, or keep the row as it is.

    Taking an approval makes the lead its approver: they saw both texts.

    Raises:
        RuleBroken: it was settled already, or the row changed since it was shown.
    """
    decision = session.get(DecisionRow, decision_id)
    if decision is None or decision.outcome is not Outcome.LATE:
        raise NotFound(f"There is no late decision {decision_id}.")
    if session.get(ResolutionRow, decision_id) is not None:
        raise RuleBroken("This late decision was settled already.")
    row = pairs.row_of(session, decision.pair_id)
    if take and seen_version is not None and row.version != seen_version:
        raise RuleBroken(f"Pair {row.id} changed since it was shown. Look at it again.")
    session.add(
        ResolutionRow(decision_id=decision_id, user_id=actor.id, choice="take" if take else "keep")
    )
    decisions.log(session, actor, row, "settle", decision=decision_id, take=take)
    if take:
        _take_over(session, actor, row, decision)


def _take_over(session: Session, actor: User, row: PairRow, decision: DecisionRow) -> None:
    if row.status is not PairStatus.WAITING:
        decisions.send_back(session, actor, row, "late decision taken")
    claims.take(session, actor, row, datetime.now(UTC))
    session.flush()
    op = Op(
        op=f"settle-{decision.id}",
        row=row.id,
        version=row.version,
        fence=row.fence,
        action=decision.action,
        prompt=decision.prompt,
        response=decision.response,
        reason=decision.reason,
    )
    decisions.apply(session, actor, row, op)
