"""The marks of pairs: each text is looked at once, and what was kept of an earlier text is gone."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, select

from curation.health import pair_marks, project_rows
from curation.health.measured import Task
from storage import pairs
from storage.engine import reading, writing
from storage.tables import PairMarkRow
from storage.types import Project
from tests.support import curated, stories


@pytest.fixture
def desk(engine: Engine) -> Project:
    """Two approved pairs, and a waiting one with a gap and a wrong letter."""
    desk = stories.project(engine)
    curated.approved(engine, desk, 2)
    stories.waiting(engine, desk, [("My cafÃ© card", '{"team": "TODO"}')])
    return desk


def look(engine: Engine, desk: Project) -> int:
    """Look at every text that has no marks; how many there were."""
    with reading(engine) as session:
        task = project_rows.task_of(session, desk.id)
    return sum(pair_marks.catch_up(engine, desk.id, task))


def rewrite(engine: Engine, pair_id: int, response: str) -> None:
    with writing(engine) as session:
        row = pairs.row_of(session, pair_id)
        pairs.rewrite(session, row, row.prompt, response, None)


def test_each_text_is_looked_at_once(engine: Engine, desk: Project) -> None:
    assert look(engine, desk) == 3
    assert look(engine, desk) == 0
    rewrite(engine, 3, stories.CARDS)
    stories.waiting(engine, desk, stories.messages(1, start=9))
    assert look(engine, desk) == 2
    with reading(engine) as session:
        assert pair_marks.due(session, desk.id, project_rows.task_of(session, desk.id)) == 0


def test_the_report_is_the_same_with_marks_and_without(engine: Engine, desk: Project) -> None:
    with reading(engine) as session:
        before = project_rows.measure(session, desk.id)
    look(engine, desk)
    with reading(engine) as session:
        assert project_rows.measure(session, desk.id) == before
    by_key = {measure.key: measure for measure in before.measures}
    assert (by_key["left_in"].rows, by_key["encoding"].rows) == ((3,), (3,))


def test_marks_for_another_schema_do_not_count(engine: Engine, desk: Project) -> None:
    look(engine, desk)
    with reading(engine) as session:
        task = project_rows.task_of(session, desk.id)
        assert pair_marks.due(session, desk.id, Task(None, task.label_field)) == 3
        assert pair_marks.due(session, desk.id, replace(task, label_field=None)) == 3


def test_nothing_is_kept_of_a_text_that_is_gone(engine: Engine, desk: Project) -> None:
    look(engine, desk)
    rewrite(engine, 3, stories.CARDS)
    with reading(engine) as session:
        kept = session.execute(select(PairMarkRow.pair_id, PairMarkRow.label)).all()
    assert [pair_id for pair_id, _ in kept] == [1, 2]
    assert "TODO" not in {label for _, label in kept}
