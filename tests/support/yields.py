"""The points where Streamlit may end a page's run: a newer message came, or the tab was closed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.scriptrunner_utils.exceptions import StopException
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from storage.engine import reading
from tests.support import streams

Message = dict[str, Any]
Figures = Callable[[Session], Sequence[float]]
"""Numbers that one press moves together: how often each part of what it saves was saved."""
EACH, EVERY = 18, 40
"""So many points from the start are tried one by one, then every so many-th."""


class Points:
    """Counts the points of a run, and ends it at one of them."""

    def __init__(self) -> None:
        self.passed = 0
        self.end_at: int | None = None

    def check(self, runner: Any) -> None:  # noqa: ANN401 - Streamlit's runner
        """In place of the look for a newer message."""
        if not runner._execing:
            return
        self.passed += 1
        if self.passed == self.end_at:
            raise StopException


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Points:
    """The points of the runs of this test."""
    points = Points()
    monkeypatch.setattr(
        ScriptRunner, "_maybe_handle_execution_control_request", lambda runner: points.check(runner)
    )
    return points


def following(at: int) -> int:
    """The point to try after this one: each where a page begins, which is where its press saves;
    then, while it draws, some."""
    return at + (1 if at < EACH else EVERY)


def tries(
    points: Points, page: AppTest, key: str, field: str, make: Callable[[], Message]
) -> Iterator[tuple[Message, Message]]:
    """Send a new message for each point, in a run that ends there, and then once more in a whole
    run: what was sent, and the page's data afterwards. Ends with a run that passed all points.
    """
    at, ended, drawn = 1, True, page._tree
    while ended:
        message = make()
        points.passed, points.end_at = 0, at
        with suppress(AssertionError):  # a run that was ended may draw no component
            streams.push(page, key, **{field: message})
        ended, points.end_at = points.passed >= at, None
        page._tree = drawn
        data = streams.send(page, key, **{field: {**message, "n": message["n"] + 1000}})
        drawn = page._tree
        yield message, data
        at = following(at)


def presses(
    engine: Engine,
    points: Points,
    page: AppTest,
    button: Callable[[], Button],
    figures: Figures,
    ready: Callable[[], object] = lambda: None,
) -> int:
    """Press a button in a run that ends at each point in turn, then once more as a double click
    does, then on the page as it stands where nothing is saved yet. What it saves is there whole or
    not at all after each run, and once after them. Returns the number of runs that were ended.
    """

    def saved() -> float:
        with reading(engine) as session:
            parts = list(figures(session))
        assert len(set(parts)) == 1, f"half saved, at point {points.end_at}: {parts}"
        return parts[0]

    at, tried, ended = 1, 0, True
    while ended:
        ready()
        before, _ = saved(), button().click()
        states = page._tree.get_widget_states()
        points.passed, points.end_at = 0, at
        page._run(states)
        ended = points.passed >= at
        assert saved() in (before, before + 1), f"at point {at}"
        points.end_at = None
        page._run(states)
        if saved() == before:
            button().click().run()
        assert saved() == before + 1, f"at point {at}"
        assert not page.exception
        tried, at = tried + ended, following(at)
    return tried
