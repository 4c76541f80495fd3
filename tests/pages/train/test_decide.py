"""The Decide page: write the record, sign it as two people, never lose a word on the way."""

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.gate import decision
from storage.engine import reading
from storage.types import Project, Role
from tests.support import curated, stories
from tests.support.ui import OpenPage

PAGE = "pages/train/decide/page.py"


def latest(engine: Engine, desk: Project) -> decision.DecisionRecord:
    """The newest record, which exists."""
    with reading(engine) as session:
        record = decision.latest(session, desk.id)
    assert record is not None
    return record


def answer(page: AppTest, form: str, keys: list[str]) -> None:
    """Type an answer to each of these questions."""
    for key in keys:
        page.text_area(key=f"{form}-{key}").input(f"An answer about {key}.").run()


def test_the_record_is_written_once_every_question_is_answered(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    form = f"decide-{desk.id}-0"
    page = open_page(PAGE)
    *most, last = decision.QUESTIONS
    answer(page, form, most)
    page.button(key=f"write-{form}").click().run()
    assert decision.QUESTIONS[last] in page.error[0].value
    answer(page, form, [last])
    page.selectbox(key=f"{form}-facts_change").select(decision.CHANGE[1]).run()
    page.number_input(key=f"{form}-iterations").set_value(4).run()
    page.button(key=f"write-{form}").click().run()
    record = latest(engine, desk)
    assert (record.facts_change, record.iterations) == (decision.CHANGE[1], 4)
    assert record.answers["kpi"] == "An answer about kpi."
    assert curated.kept_words(engine, curated.ana(engine), form) == {}


def test_words_survive_leaving_the_page(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    form = f"decide-{desk.id}-0"
    page = open_page(PAGE)
    answer(page, form, ["need"])
    page.number_input(key=f"{form}-iterations").set_value(2).run()
    page.selectbox(key=f"{form}-facts_change").select(decision.CHANGE[2]).run()
    fresh = open_page(PAGE)
    assert fresh.text_area(key=f"{form}-need").value == "An answer about need."
    assert fresh.number_input(key=f"{form}-iterations").value == 2
    assert fresh.selectbox(key=f"{form}-facts_change").value == decision.CHANGE[2]


def test_two_people_sign_and_both_names_stand_there(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    record = curated.recorded(engine, desk)
    page = open_page(PAGE, user="ana")
    page.button(key=f"sign-business-{record.id}").click().run()
    page.button(key=f"sign-technical-{record.id}").click().run()
    assert "You signed as the other owner" in page.error[0].value
    page = open_page(PAGE, user="ben")
    page.button(key=f"sign-technical-{record.id}").click().run()
    day = f"{curated.today():%d %B %Y}"
    drawn = [text.value for text in page.text]
    assert f"ana, {day}" in drawn
    assert f"ben, {day}" in drawn
    assert any("Written by lena" in text.value for text in page.markdown)
    assert set(latest(engine, desk).signatures) == {"business", "technical"}


def test_a_new_record_starts_from_the_words_of_the_one_before(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    before = curated.recorded(engine, desk)
    form = f"decide-{desk.id}-{before.id}"
    page = open_page(PAGE)
    assert page.text_area(key=f"{form}-need").value == "Because it was tried."
    page.number_input(key=f"{form}-iterations").set_value(7).run()
    page.button(key=f"write-{form}").click().run()
    record = latest(engine, desk)
    assert (record.iterations, record.signatures) == (7, {})
    assert record.id > before.id


def test_facts_that_change_weekly_are_warned_about(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    curated.recorded(engine, desk, decision.CHANGE[-1], iterations=1)
    warned = "\n".join(text.value for text in open_page(PAGE).warning)
    assert "ask for retrieval" in warned
    assert "a better prompt may still do it" in warned


def test_the_page_is_not_there_for_someone_without_the_role(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    with pytest.raises(ValueError, match="Could not find a navigation page"):
        open_page(PAGE, user=stories.person(engine, "eva", Role.EXPERT))
