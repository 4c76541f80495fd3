"""The Health page: what was found first, pictures with numbers, the way to the pairs."""

from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.health import project_rows
from storage import reports
from storage.settings import ROOT
from storage.types import Project, Role
from tests.support import curated, stories
from tests.support.ui import OpenPage, join
from training import reports as keeper

PAGE = "pages/curate/health/page.py"


@pytest.fixture
def desk(engine: Engine) -> Project:
    """Twelve approved pairs, and a waiting one with two faults."""
    desk = stories.project(engine)
    curated.approved(engine, desk, 12)
    stories.waiting(engine, desk, [("Where is my cafÃ© card", '{"team": "TODO"}')])
    return desk


def words(page: AppTest) -> str:
    """Everything that stands on the page as words."""
    elements = [*page.text, *page.markdown, *page.success, *page.info]
    return "\n".join(element.value for element in elements).replace("\\", "")


@pytest.mark.usefixtures("desk")
def test_what_was_found_comes_first_with_its_n_and_interval(open_page: OpenPage) -> None:
    page = open_page(PAGE, "ana")
    assert not page.exception
    assert [metric.value for metric in page.metric] == ["13", "1", "0", "5"]
    texts = words(page)
    assert "Look here first: Output does not fit the schema" in texts
    assert "1 of 13 do not fit the schema. 7.7 %, 95 % interval 1.4 to 33.3 %." in texts
    assert "mojibake 1" in texts
    assert "5 labels; the commonest has 3 pairs, the rarest 1" in texts


@pytest.mark.usefixtures("desk")
def test_only_approved_rows_on_request(open_page: OpenPage) -> None:
    page = open_page(PAGE, "ana")
    page.segmented_control[0].set_value("Approved only").run()
    assert not page.exception
    assert page.metric[0].value == "12"
    assert "does not fit the schema\n" not in words(page).split("What the set holds")[0]


@pytest.mark.usefixtures("desk")
def test_it_says_what_it_does_not_catch_and_that_nothing_blocks(open_page: OpenPage) -> None:
    texts = words(open_page(PAGE, "ana"))
    assert "• Not in English: Guessed from the first letters" in texts
    assert "None of them blocks a version" in texts


def test_a_large_set_is_measured_aside_and_drawn_anew_when_that_is_done(
    engine: Engine, desk: Project, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "AT_ONCE", 3)
    monkeypatch.setattr(keeper, "_start", lambda *_: None)  # the test does the work of the process
    keeper.work(engine, project_rows.ALIVE.name, desk.id)
    page = open_page(PAGE, "ana")
    assert page.metric[0].value == "13"
    assert "As of" not in words(page)
    curated.approve(engine, desk, stories.waiting(engine, desk, stories.messages(1, start=70)))
    page.run()
    assert page.metric[0].value == "13"
    assert "The pairs have changed since" in words(page)
    keeper.work(engine, project_rows.ALIVE.name, desk.id)
    page.run()
    assert page.metric[0].value == "14"
    assert "As of" not in words(page)


def test_an_empty_project_says_what_to_do(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    page = open_page(PAGE, "ana")
    assert page.text[0].value == "There are no pairs to measure yet."
    stories.waiting(engine, desk, stories.messages(1))
    page = open_page(PAGE, "ana")
    page.segmented_control[0].set_value("Approved only").run()
    assert page.text[0].value == "No pair is approved yet."


def test_who_may_not_open_it(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(None, join(engine, "ada", Role.ADMIN))
    with pytest.raises(ValueError, match="not"):
        page.switch_page(PAGE).run()


def test_the_page_is_short() -> None:
    assert len(Path(ROOT / PAGE).read_text(encoding="utf-8").splitlines()) <= 80
