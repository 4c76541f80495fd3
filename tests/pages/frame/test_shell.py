"""The frame: signing in, the open project, refusals, figures, and text that stays text."""

import logging

import pytest
from hypothesis import given, strategies as st
from markdown_it import MarkdownIt
from sqlalchemy import Engine

from pages.frame import server, wiring
from pages.frame.plain import plain
from storage import people, projects
from storage.engine import reading, writing
from storage.errors import RuleBroken
from storage.types import Role
from tests.support.ui import OpenPage, join

SIGN_IN = "pages/account/sign_in/page.py"
SETTINGS = "pages/account/settings/page.py"


def test_an_empty_install_asks_for_the_first_profile(engine: Engine, open_page: OpenPage) -> None:
    page = open_page(None, user=None)
    assert page.title[0].value == "Who are you?"
    assert all(box.value for box in page.checkbox)
    page.text_input(key="profile-name").input("Ana")
    page.button[0].click().run()
    assert not page.exception
    with reading(engine) as session:
        (ana,) = people.everyone(session)
    assert (ana.name, ana.roles) == ("Ana", frozenset(Role))


def test_a_second_profile_chooses_its_roles(engine: Engine, open_page: OpenPage) -> None:
    join(engine, "ana")
    page = open_page(None, user=None)
    assert not any(box.value for box in page.checkbox)
    page.text_input(key="profile-name").input("ana")
    page.checkbox(key="role-expert").check()
    page.button[0].click().run()
    assert page.error[0].value.startswith("There is already a profile named ana.")
    page.text_input(key="profile-name").input("ben")
    page.button[0].click().run()
    assert not page.error
    with reading(engine) as session:
        assert [user.name for user in people.everyone(session)] == ["ana", "ben"]


def test_a_profile_needs_a_role(engine: Engine, open_page: OpenPage) -> None:
    join(engine, "ana")
    page = open_page(None, user=None)
    page.text_input(key="profile-name").input("ben")
    page.button[0].click().run()
    assert page.error[0].value == "Choose at least one role for ben."


def test_settings_show_who_is_here(open_page: OpenPage) -> None:
    page = open_page(SETTINGS, user="ana")
    assert not page.exception
    assert page.text[0].value == "ana"
    assert not page.selectbox


def _project(engine: Engine, name: str) -> int:
    with writing(engine) as session:
        ana = next(user for user in people.everyone(session) if user.name == "ana")
        return projects.create(session, ana, name, "Route messages.", "You route messages.").id


def test_the_open_project_is_kept_per_person(engine: Engine, open_page: OpenPage) -> None:
    ana, ben = join(engine, "ana"), join(engine, "ben")
    assert wiring.current_project(ana) is None
    first, second = _project(engine, "Bank"), _project(engine, "Clinic")
    page = open_page(SETTINGS, user="ana")
    assert page.selectbox[0].value == first
    page.selectbox[0].select(second).run()
    kept, other = wiring.current_project(ana), wiring.current_project(ben)
    assert kept is not None
    assert kept.id == second
    assert other is not None
    assert other.id == first


def _texts(source: str) -> list[str]:
    """What a Markdown reader shows, by kind of token."""
    (_, line, _) = MarkdownIt("gfm-like", {"linkify": False}).parse(f"x {source}")
    return [token.type for token in line.children or []]


@pytest.mark.parametrize(
    "hostile",
    [
        "![x](https://evil.example/a.png)",
        "[click](javascript:alert(1))",
        "<img src=x onerror=alert(1)>",
        "*bold* _it_ ~~gone~~ `code` $x^2$ :red[loud] :material/home:",
        "a\n# heading\n- list",
    ],
)
def test_plain_takes_the_meaning_out_of_markdown(hostile: str) -> None:
    assert set(_texts(plain(hostile))) <= {"text", "text_special"}


@given(st.text())
def test_plain_never_makes_a_picture_or_a_link(text: str) -> None:
    assert not {"image", "link_open", "html_inline"} & set(_texts(plain(text)))


def test_a_sentence_of_ours_stays_as_it_is() -> None:
    sentence = "You wrote pair 5. Ask another reviewer to approve it (or a lead): then go on."
    assert plain(sentence) == sentence


def test_a_bug_is_told_by_number_and_place_alone(caplog: pytest.LogCaptureFixture) -> None:
    text = "the text of a pair"
    with pytest.raises(RuleBroken) as caught:
        raise RuleBroken(text)
    place = server.where(caught.value)
    assert server.on_script_error(caught.value)
    assert place.startswith("RuleBroken at test_shell.py:")
    assert "RuleBroken at" in caplog.text
    assert text not in caplog.text


def test_no_log_carries_the_message_of_an_exception(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogRecordFactory()
    server.quieten()
    try:
        raise ValueError("the text of a pair")
    except ValueError:
        logging.getLogger("streamlit.any").exception("Uncaught app execution")
    finally:
        logging.setLogRecordFactory(before)
    assert "Uncaught app execution: ValueError at" in caplog.text
    assert "the text of a pair" not in caplog.text
