"""Browse: queues in the address, pairs that other pages point to, one pair with its history."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.review import claims, decisions as review
from pages.label.browse import table
from storage import pairs
from storage.engine import reading, writing
from storage.types import Action, PairStatus, Project
from tests.support import stories
from tests.support.ui import OpenPage

BROWSE = "pages/label/browse/page.py"
At = Callable[..., AppTest]


@pytest.fixture
def at(open_page: OpenPage) -> At:
    """The page at an address: `at(row="3")`."""

    def at(**address: str) -> AppTest:
        page = open_page(None, "lea")
        for name, value in address.items():
            page.query_params[name] = value
        page.switch_page(BROWSE).run()
        assert not page.exception
        return page

    return at


@pytest.fixture
def desk(engine: Engine) -> Project:
    """Five pairs: an approved, a rejected, a flagged one, and two untouched, one for testing."""
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, [("A <img src=x>\u200b", "no JSON"), *stories.messages(3)])
    stories.waiting(engine, desk, stories.messages(1, 50), held_out=True)
    decisions = {
        2: (Action.APPROVE, None),
        3: (Action.REJECT, "Wrong *answer*"),
        4: (Action.FLAG, None),
    }
    with writing(engine) as session:
        for card in claims.lease(session, ben, desk.id):
            if card.pair.id in decisions:
                action, reason = decisions[card.pair.id]
                review.decide(session, ben, stories.op(card, action, reason=reason))
    return desk


def numbers(page: AppTest) -> list[str]:
    """The pairs that are listed."""
    return list(page.dataframe[0].value["Pair"])


def words(page: AppTest) -> str:
    """Everything shown as plain text."""
    return "\n".join(text.value for text in page.text)


@pytest.mark.usefixtures("desk")
def test_queues_are_counted_and_stand_in_the_address(at: At) -> None:
    page = at()
    assert numbers(page) == ["1", "4", "5"]
    control = page.segmented_control[0]
    assert control.options == ["Waiting 3", "Approved 1", "Rejected 1", "Flagged 1", "Test pairs 1"]
    control.set_value("approved").run()
    assert not page.exception
    assert numbers(page) == ["2"]
    assert page.query_params["queue"] == "approved"
    assert numbers(at(queue="held-out")) == ["5"]
    assert numbers(at(queue="flagged")) == ["4"]
    assert numbers(at(queue="no such")) == ["1", "4", "5"]


@pytest.mark.usefixtures("desk")
def test_a_long_queue_has_pages_and_the_address_says_which(
    at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [field.label for field in at().number_input] == ["Pair number"]
    monkeypatch.setattr(table, "_SIZE", 2)
    page = at()
    assert numbers(page) == ["1", "4"]
    assert page.number_input[0].label == "Page (of 2)"
    page.number_input[0].set_value(2).run()
    assert numbers(page) == ["5"]
    assert page.query_params["page"] == "2"
    assert numbers(at(page="99")) == ["5"]
    page.segmented_control[0].set_value("approved").run()
    assert numbers(page) == ["2"]
    assert numbers(at(rows="5,4,3", page="2")) == ["5"]


@pytest.mark.usefixtures("desk")
def test_other_pages_point_to_rows(at: At) -> None:
    page = at(rows="2,3,x,99999999999,77")
    assert numbers(page) == ["2", "3"]
    page.button(key="show-queues").click().run()
    assert numbers(page) == ["1", "4", "5"]
    assert "rows" not in page.query_params


@pytest.mark.usefixtures("desk")
def test_one_row_with_its_history(at: At) -> None:
    page = at(row="3")
    assert "ben: reject on version 1: Wrong *answer*" in words(page)
    hostile = at(row="1")
    assert "A <img src=x>⟦U+200B⟧" in words(hostile)
    assert "Does not fit the schema" in words(hostile)
    assert not [b for b in hostile.button if b.label == "Reopen"]


@pytest.mark.usefixtures("desk")
def test_a_row_is_reopened_with_a_reason_only(engine: Engine, at: At) -> None:
    page = at(row="2")
    page.button(key="reopen-2-2").click().run()
    assert page.error[0].value == "Say in a few words why this pair goes back to review."
    page.text_input(key="reason-2-2").set_value("The policy changed")
    page.button(key="reopen-2-2").click().run()
    assert not page.error
    assert "reopen on version 2: The policy changed" in words(page)
    with reading(engine) as session:
        assert pairs.get(session, 2).status is PairStatus.WAITING


@pytest.mark.usefixtures("desk")
def test_a_stale_reopening_is_refused(engine: Engine, at: At) -> None:
    first, second = at(row="2"), at(row="2")
    for page in (first, second):
        page.text_input(key="reason-2-2").set_value("again")
        page.button(key="reopen-2-2").click().run()
    assert "already waiting" in second.error[0].value
    with reading(engine) as session:
        assert len(pairs.history(session, 2)) == 2


@pytest.mark.usefixtures("desk")
def test_a_row_that_is_not_there_or_not_of_this_project(engine: Engine, at: At) -> None:
    assert at(row="999").error[0].value == "There is no pair 999."
    second = stories.project(engine, "Zebra desk")
    (row,) = stories.waiting(engine, second, stories.messages(1, 80))
    page = at(row=str(row.id), rows=str(row.id))
    assert "another project" in " ".join(e.value for e in page.error)


@pytest.mark.usefixtures("desk")
def test_a_row_is_opened_by_its_number(at: At) -> None:
    page = at()
    page.number_input[0].set_value(2).run()
    assert page.query_params["row"] == "2"
    assert page.button(key="reopen-2-2")


@pytest.mark.usefixtures("desk")
def test_nothing_is_approved_here(at: At) -> None:
    page = at(row="1")
    assert not [b for b in page.button if "pprove" in b.label]


def test_an_empty_project_says_what_to_do(engine: Engine, at: At) -> None:
    stories.project(engine)
    page = at()
    assert "no pairs yet" in words(page)
