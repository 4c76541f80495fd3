"""Reviewing in the real app: each press on the row shown, nobody the same row, nothing lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine

from storage import events, migrate, pairs
from storage.engine import open_engine, reading
from storage.types import Action, Outcome, PairStatus, Project, Role
from tests.browser.conftest import Arrive, Person
from tests.browser_components.test_review_card import RECORDER, drum
from tests.support import stories
from tests.support.live import Live, _wait, launch, running
from tests.support.patience import PATIENCE, until

ACTIONS = {"a": Action.APPROVE, "f": Action.FLAG}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Live, Engine, Project]]:
    """A running app with sixty rows that wait, and two reviewers."""
    data = tmp_path / "data"
    engine = open_engine(data / "assay.db")
    migrate.upgrade(engine)
    inside = stories.project(engine)
    stories.waiting(engine, inside, stories.messages(60))
    for name in ("Ana", "Ben"):
        stories.person(engine, name, Role.REVIEWER)
    with running(data) as live:
        yield live, engine, inside
    engine.dispose()


def _at_review(person: Person) -> None:
    person.go("review")
    expect(person.page.locator("#card")).not_to_have_attribute("data-row", "")
    person.still()


def _saved(person: Person) -> None:
    expect(person.page.locator("#saved")).to_have_text("all saved")


def _made(engine: Engine, inside: Project) -> list[tuple[int, Action, Outcome]]:
    with reading(engine) as session:
        found = [
            decision
            for pair in pairs.listing(session, inside.id)
            for decision in pairs.history(session, pair.id)
        ]
    return [(d.pair_id, d.action, d.outcome) for d in sorted(found, key=lambda d: d.id)]


@pytest.mark.parametrize("per_second", [10, 20])
def test_twenty_presses_are_twenty_decisions_on_the_rows_shown(
    desk: tuple[Live, Engine, Project], arrive: Arrive, per_second: int
) -> None:
    live, engine, inside = desk
    ana = arrive(live, "Ana")
    _at_review(ana)
    ana.page.evaluate(RECORDER)
    drum(ana.page, "aafaaafaaaaafaaaafaa", per_second)
    _saved(ana)
    shown = [(row, ACTIONS[key]) for key, row in ana.page.evaluate("window.pressed")]
    made = _made(engine, inside)
    assert len({row for row, _ in shown}) == 20
    assert made == [(row, action, Outcome.APPLIED) for row, action in shown]
    times = sorted(ana.page.evaluate("window.times"))
    print(f"{per_second}/s: press to next card p50 {times[10]:.0f} ms, p95 {times[18]:.0f} ms")


def test_two_reviewers_in_two_browsers_never_share_a_row(
    desk: tuple[Live, Engine, Project], arrive: Arrive
) -> None:
    live, engine, inside = desk
    ana, ben = arrive(live, "Ana"), arrive(live, "Ben")
    for person in (ana, ben):
        _at_review(person)
        person.page.evaluate(RECORDER)
    for _ in range(15):
        ana.page.keyboard.press("a")
        ben.page.keyboard.press("f")
    for person in (ana, ben):
        _saved(person)
    rows = [{row for _, row in p.page.evaluate("window.pressed")} for p in (ana, ben)]
    made = _made(engine, inside)
    assert len(rows[0]) == len(rows[1]) == 15
    assert not rows[0] & rows[1]
    assert len(made) == 30
    assert {outcome for _, _, outcome in made} == {Outcome.APPLIED}


def test_a_killed_server_loses_no_decision(
    desk: tuple[Live, Engine, Project], arrive: Arrive
) -> None:
    live, engine, inside = desk
    ana = arrive(live, "Ana")
    _at_review(ana)
    ana.page.evaluate(RECORDER)
    drum(ana.page, "aaaaa", 20)
    os.kill(live.process.pid, signal.SIGKILL)
    live.process.wait()
    drum(ana.page, "aaa", 10)
    again = launch(live.data, live.port)
    try:
        _wait(Live(live.port, live.data, again))
        # The key of the new server is another one: the person opens the new link, words stay.
        before = list(ana.wrong)
        ana.page.goto(live.link)
        ana.still()
        # The open tab had asked the new server with the old key, and was rightly refused.
        ana.wrong[:] = [said for said in before if "403" not in said and "CORS" not in said]
        _at_review(ana)
        _saved(ana)
        until(lambda: len(_made(engine, inside)) >= 8)
    finally:
        again.terminate()
        again.wait(timeout=PATIENCE)
    made = _made(engine, inside)
    assert len(made) == len({row for row, _, _ in made}) == 8
    assert {outcome for _, _, outcome in made} == {Outcome.APPLIED}
    with reading(engine) as session:
        assert pairs.counts(session, inside.id)[PairStatus.APPROVED] == 8
        assert events.verify(session)[1] is None
