"""Costly figures of a large project: one computation for everyone, of a moment that is named."""

import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from storage import events, reports
from storage.engine import reading, writing
from storage.reports import Report
from storage.tables import PairRow, ReportRow
from storage.types import Project
from tests.support import stories
from training import reports as keeper


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A report that counts pairs slowly, of a project that is large; each computation is noted."""
    times: list[int] = []

    def count(session: Session, project_id: int) -> int:
        times.append(project_id)
        time.sleep(0.05)
        query = select(func.count()).where(PairRow.project_id == project_id)
        return session.scalar(query) or 0

    monkeypatch.setattr(reports, "AT_ONCE", 3)
    monkeypatch.setattr(keeper, "REPORTS", (Report("count", int, count),))
    return times


def _project(engine: Engine, pairs: int) -> Project:
    desk = stories.project(engine)
    stories.waiting(engine, desk, stories.messages(pairs))
    return desk


def _change(engine: Engine, desk: Project) -> None:
    with writing(engine) as session:
        events.record(session, None, "change", "project", desk.id, project_id=desk.id)


@pytest.mark.usefixtures("computed")
def test_a_small_project_is_counted_where_it_is_looked_at(engine: Engine) -> None:
    desk = _project(engine, 3)
    reported = keeper.look(engine, keeper.REPORTS[0], desk.id)
    assert reported is not None
    assert (reported.content, reported.current) == (3, True)
    with reading(engine) as session:
        assert reports.latest(session, keeper.REPORTS[0], desk.id) is None


def test_a_report_is_old_once_something_changed_and_says_of_which_moment_it_is(
    engine: Engine, computed: list[int]
) -> None:
    desk, report = _project(engine, 4), keeper.REPORTS[0]
    assert keeper.work(engine, "count", desk.id)
    first = keeper.look(engine, report, desk.id)
    assert first is not None
    assert (first.content, first.current) == (4, True)
    assert not keeper.work(engine, "count", desk.id)  # of the present data already
    stories.waiting(engine, desk, stories.messages(1, start=50))
    _change(engine, desk)
    old = keeper.look(engine, report, desk.id)
    assert old is not None
    assert (old.content, old.at, old.current, old.resting) == (4, first.at, False, True)
    assert keeper.work(engine, "count", desk.id)
    new = keeper.look(engine, report, desk.id)
    assert new is not None
    assert (new.content, new.current) == (5, True)
    assert len(computed) == 2


def test_everyone_who_opens_a_page_at_once_causes_one_computation(
    engine: Engine, computed: list[int]
) -> None:
    desk = _project(engine, 4)
    looks = [
        threading.Thread(target=keeper.work, args=(engine, "count", desk.id)) for _ in range(6)
    ]
    for look in looks:
        look.start()
    for look in looks:
        look.join()
    assert computed == [desk.id]


@pytest.mark.usefixtures("computed")
def test_what_an_earlier_release_stored_in_another_form_is_computed_anew(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = _project(engine, 4)
    assert keeper.work(engine, "count", desk.id)

    def names(_session: Session, _project_id: int) -> list[str]:
        return ["cards"]

    monkeypatch.setattr(keeper, "REPORTS", (Report("count", list[str], names),))
    with reading(engine) as session:
        assert reports.latest(session, keeper.REPORTS[0], desk.id) is None
    assert keeper.work(engine, "count", desk.id)
    reported = keeper.look(engine, keeper.REPORTS[0], desk.id)
    assert reported is not None
    assert reported.content == ["cards"]


@pytest.mark.usefixtures("computed")
def test_a_computation_that_fails_lets_the_next_one_begin(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, good = _project(engine, 4), keeper.REPORTS[0]

    def broken(_session: Session, _project_id: int) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(keeper, "REPORTS", (Report("count", int, broken),))
    with pytest.raises(ZeroDivisionError):
        keeper.work(engine, "count", desk.id)
    monkeypatch.setattr(keeper, "REPORTS", (good,))
    assert keeper.work(engine, "count", desk.id)


@pytest.mark.usefixtures("computed")
def test_a_clock_set_back_meanwhile_keeps_no_computation_from_beginning(engine: Engine) -> None:
    desk, report = _project(engine, 4), keeper.REPORTS[0]
    with writing(engine) as session:
        assert reports.begin(session, report, desk.id)
        assert not reports.begin(session, report, desk.id)
        row = session.get_one(ReportRow, (report.name, desk.id))
        assert row.busy_until is not None
        row.busy_until += timedelta(days=1)
        assert reports.begin(session, report, desk.id)
