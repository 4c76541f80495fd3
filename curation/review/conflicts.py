"""Late decisions: kept with their text until a lead takes them over or keeps the row."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from curation.review import claims, decisions
from curation.review.late import unsettled
from curation.review.ops import Op
from storage import events, pairs
from storage.access import allowed
from storage.errors import NotFound, RuleBroken
from storage.tables import (
    DecisionRow,
    PairRow,
    ResolutionRow,
)
from storage.types import (
    Decision,
    Outcome,
    PairStatus,
    Role,
    User,
)
from storage.values import value_of


@dataclass(frozen=True, slots=True)
class LateOnes:
    """The late decisions of one person that wait for a lead."""

    user_id: int
    count: int
    newest: int
    """The id of the newest; those that come after it were not there to be looked at."""


def late(session: Session, project_id: int, limit: int | None = None) -> list[Decision]:
    """Decisions that came after the row had moved on and that no lead has settled yet, oldest
    first, at most `limit`.

    A late skip decides nothing, so it is not among them.
    """
    oldest = DecisionRow.id + 0  # to sort the few late ones, not to read all decisions in order
    query = unsettled(select(DecisionRow), project_id).order_by(oldest).limit(limit)
    return [value_of(Decision, row) for row in session.scalars(query)]


def by_person(session: Session, project_id: int) -> list[LateOnes]:
    """How many late decisions of whom wait for a lead, those who have most of them first."""
    count = func.count(DecisionRow.id)
    query = (
        unsettled(select(DecisionRow.user_id, count, func.max(DecisionRow.id)), project_id)
        .group_by(DecisionRow.user_id)
        .order_by(count.desc(), DecisionRow.user_id)
    )
    return [LateOnes(*row) for row in session.execute(query)]


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


@allowed(Role.LEAD)
def keep_pairs(session: Session, actor: User, project_id: int, user_id: int, newest: int) -> int:
    """Keep the pairs as they are against all late decisions of one person, up to `newest`.

    There is no such verb for taking them over: whoever takes an approval must have read the pair.
    Gives back how many were settled.
    """
    waiting = unsettled(select(DecisionRow.id), project_id).where(
        DecisionRow.user_id == user_id, DecisionRow.id <= newest
    )
    settled = list(session.scalars(waiting))
    session.add_all(
        ResolutionRow(decision_id=decision_id, user_id=actor.id, choice="keep")
        for decision_id in settled
    )
    events.record(
        session,
        actor,
        "settle_all",
        "project",
        project_id,
        project_id=project_id,
        of=user_id,
        newest=newest,
        decisions=len(settled),
    )
    return len(settled)


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
