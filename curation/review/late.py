"""Late decisions: which wait for a lead, and how many one person may have waiting."""

from typing import TypeVarTuple

from sqlalchemy import Select, func, literal, select
from sqlalchemy.orm import Session

from storage.errors import RuleBroken
from storage.tables import DecisionRow, PairRow, ResolutionRow
from storage.types import Action, Outcome, User

CAP = 100
"""Late decisions of one person that may wait for a lead at a time. A browser holds some twenty
cards, so only who goes on for days without a settlement comes to it."""

_LATE = DecisionRow.outcome == literal(Outcome.LATE, literal_execute=True)
"""The condition of the index `ix_decision_late`: only one that is spelled out may use it."""
Columns = TypeVarTuple("Columns")


def unsettled(query: Select[*Columns], project_id: int | None = None) -> Select[*Columns]:
    """The late decisions that wait for a lead, of one project or of all.

    A late skip decides nothing, so it is not among them.
    """
    query = query.outerjoin(ResolutionRow, ResolutionRow.decision_id == DecisionRow.id).where(
        _LATE, DecisionRow.action != Action.SKIP, ResolutionRow.decision_id.is_(None)
    )
    if project_id is None:
        return query
    # A subquery, not a join: SQLite would begin with all pairs of the project.
    project = select(PairRow.project_id).where(PairRow.id == DecisionRow.pair_id)
    return query.where(project.scalar_subquery() == project_id)


def check_room(session: Session, actor: User, pair_id: int) -> None:
    """One late decision of a person about a pair may wait, and so many in all.

    Raises:
        RuleBroken: a lead has to settle what waits first.
    """
    waiting = unsettled(select(func.count(DecisionRow.id))).where(DecisionRow.user_id == actor.id)
    if session.scalar(waiting.where(DecisionRow.pair_id == pair_id)):
        raise RuleBroken(
            f"An earlier decision of yours about pair {pair_id} waits for a lead, so this one was "
            "not saved. Ask a lead to settle it on the Review page."
        )
    if (session.scalar(waiting) or 0) >= CAP:
        raise RuleBroken(
            f"{CAP} late decisions of yours wait for a lead, so the one about pair {pair_id} was "
            "not saved. Ask a lead to settle them on the Review page."
        )
