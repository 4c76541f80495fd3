"""The rows of a project as `report` measures them, with how fast they were approved."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.health import report, texts
from curation.health.measured import Approval, MeasuredPair, Task
from storage import pairs, projects
from storage.tables import DecisionRow, PairRow
from storage.types import Action, Outcome, Pair, PairStatus

_PAUSE = 600.0
"""Seconds after which a reviewer was not reading any more."""


def measure(session: Session, project_id: int, *, approved: bool = False) -> report.HealthReport:
    """The health of a project's rows: all that are not rejected, or only the approved ones."""
    project = projects.get(session, project_id)
    listed = pairs.listing(session, project_id, status=PairStatus.APPROVED if approved else None)
    alive = [pair for pair in listed if pair.status is not PairStatus.REJECTED]
    return report.measure(
        [_row(pair) for pair in alive],
        Task(project.output_schema, project.label_field),
        _approvals(session, project_id, alive),
    )


def _row(pair: Pair) -> MeasuredPair:
    return MeasuredPair(
        id=pair.id,
        prompt=pair.prompt,
        response=pair.response,
        content_sha256=pair.content_sha256,
        topic=pair.topic,
        difficulty=_word(pair, "difficulty"),
        system=_word(pair, "system_sha256"),
        flagged=pair.flagged,
    )


def _word(pair: Pair, name: str) -> str | None:
    value = pair.source.get(name)
    return None if value in (None, "") else str(value)


def _approvals(session: Session, project_id: int, alive: Sequence[Pair]) -> list[Approval]:
    """The approvals that count, with the seconds since the same person's decision before."""
    by_id = {pair.id: pair for pair in alive if pair.status is PairStatus.APPROVED}
    query = (
        select(
            DecisionRow.id,
            DecisionRow.user_id,
            DecisionRow.created_at,
            DecisionRow.action,
            PairRow.id.label("pair_id"),
            PairRow.approval_id,
        )
        .join(PairRow, PairRow.id == DecisionRow.pair_id)
        .where(PairRow.project_id == project_id, DecisionRow.outcome == Outcome.APPLIED)
        .order_by(DecisionRow.user_id, DecisionRow.id)
    )
    approvals: list[Approval] = []
    before = None
    for row in session.execute(query):
        last, before = before, row
        if last is None or last.user_id != row.user_id or row.action is not Action.APPROVE:
            continue
        seconds = (row.created_at - last.created_at).total_seconds()
        pair = by_id.get(row.pair_id)
        if pair is not None and row.approval_id == row.id and 0 <= seconds <= _PAUSE:
            count = texts.word_count(pair.prompt) + texts.word_count(pair.response)
            approvals.append(Approval(pair.id, seconds, count))
    return approvals
