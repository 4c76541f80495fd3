"""The rows of a project as `report` measures them, with how fast they were approved."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session

from curation.health import pair_marks, report
from curation.health.measured import Approval, Marks, Set, Tags, Task
from storage import projects
from storage.engine import reading
from storage.reports import Report
from storage.tables import DecisionRow, PairMarkRow, PairRow
from storage.types import Action, Outcome, PairStatus

_PAUSE = 600.0
"""Seconds after which a reviewer was not reading any more."""
_AT_ONCE = 1000
"""Rows that are fetched from the database at a time."""


def task_of(session: Session, project_id: int) -> Task:
    """What the rows of a project are held to."""
    project = projects.get(session, project_id)
    return Task(project.output_schema, project.label_field)


def measure(session: Session, project_id: int, *, approved: bool = False) -> report.HealthReport:
    """The health of a project's rows: all that are not rejected, or only the approved ones.

    Texts without marks (`pair_marks`) are looked at here, and their marks not kept.
    """
    task = task_of(session, project_id)
    missing = pair_marks.unmarked(session, project_id, task)
    fresh = pair_marks.looked_at(missing, task)
    rows: list[Tags] = []
    marks: list[Marks] = []
    lengths: dict[int, int] = {}
    for pair_id, status, topic, flagged, difficulty, system, *values in session.execute(
        _query(project_id, task, approved=approved)
    ):
        shown = fresh[pair_id] if values[-1] is None else pair_marks.read(values)
        rows.append(Tags(pair_id, topic, _word(difficulty), _word(system), flagged))
        marks.append(shown)
        if status is PairStatus.APPROVED:
            lengths[pair_id] = shown.word_count
    approvals = _approvals(session, project_id, lengths)
    return report.of_marks(Set(rows, task, approvals, marks))


def _query(project_id: int, task: Task, *, approved: bool) -> Select[Any]:
    wanted = PairRow.status == PairStatus.APPROVED
    return (
        select(
            PairRow.id,
            PairRow.status,
            PairRow.topic,
            PairRow.flagged,
            PairRow.source["difficulty"].as_string(),
            PairRow.source["system_sha256"].as_string(),
            *pair_marks.COLUMNS,
        )
        .outerjoin(PairMarkRow, pair_marks.of_pair(task))
        .where(
            PairRow.project_id == project_id,
            wanted if approved else PairRow.status != PairStatus.REJECTED,
        )
        .order_by(PairRow.id)
        .execution_options(yield_per=_AT_ONCE)
    )


def _word(value: object) -> str | None:
    return None if value in (None, "") else str(value)


def _approvals(session: Session, project_id: int, lengths: Mapping[int, int]) -> list[Approval]:
    """The approvals that count, with the seconds since the same person's decision before; `lengths`
    are the words of each approved row."""
    query = (
        select(
            DecisionRow.id,
            DecisionRow.user_id,
            DecisionRow.created_at,
            DecisionRow.action,
            PairRow.id,
            PairRow.approval_id,
        )
        .join(PairRow, PairRow.id == DecisionRow.pair_id)
        .where(PairRow.project_id == project_id, DecisionRow.outcome == Outcome.APPLIED)
        .order_by(DecisionRow.user_id, DecisionRow.id)
        .execution_options(yield_per=_AT_ONCE)
    )
    approvals: list[Approval] = []
    by, at = 0, datetime.min.replace(tzinfo=UTC)
    for decision_id, user_id, made_at, action, pair_id, approval_id in session.execute(query):
        before, mine = at, by == user_id
        by, at = user_id, made_at
        if mine and approval_id == decision_id and action is Action.APPROVE and pair_id in lengths:
            seconds = (made_at - before).total_seconds()
            if 0 <= seconds <= _PAUSE:
                approvals.append(Approval(pair_id, seconds, lengths[pair_id]))
    return approvals


def _alive(session: Session, project_id: int) -> report.HealthReport:
    return measure(session, project_id).shortened()


def _approved(session: Session, project_id: int) -> report.HealthReport:
    return measure(session, project_id, approved=True).shortened()


def _look_at_texts(engine: Engine, project_id: int) -> None:
    with reading(engine) as session:
        task = task_of(session, project_id)
    for _ in pair_marks.catch_up(engine, project_id, task):
        pass


ALIVE = Report("health", report.HealthReport, _alive, prepare=_look_at_texts)
"""The health of all pairs that are not rejected."""
APPROVED = Report("health-approved", report.HealthReport, _approved, prepare=_look_at_texts)
"""The health of the approved pairs alone."""
