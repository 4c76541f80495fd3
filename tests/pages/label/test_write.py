"""Write: words kept as typed, checked, stored once, and the person's last pairs."""

import uuid
from typing import Any

from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.review import writing as gold
from storage import pairs, people, scratch
from storage.engine import reading, writing
from storage.types import Action, Origin, PairStatus, Project, Role, User
from tests.support import stories, streams
from tests.support.ui import OpenPage

WRITE = "pages/label/write/page.py"
MESSAGE = "My card was swallowed by the machine at the station this morning"


def typed(page: AppTest, prompt: str, response: str = "", at: int = 1) -> dict[str, Any]:
    """The editor's data after these words were typed."""
    words = {"prompt": prompt, "response": response, "topic": "cards", "at": at, "n": at}
    return streams.send(page, "editor", draft=words)


def submit(page: AppTest, prompt: str, response: str, op: str = "") -> dict[str, str]:
    """The answer to one submission."""
    words = {"op": op or str(uuid.uuid4()), "prompt": prompt, "response": response, "topic": "t"}
    data = streams.send(page, "editor", submit={"ops": [words], "n": 3})
    answer: dict[str, str] = data["acks"][words["op"]]
    return answer


def kept(engine: Engine, user: User, desk: Project) -> dict[str, Any]:
    """The unsent words on the server."""
    with reading(engine) as session:
        return scratch.load(session, user, gold.form(desk.id))


def test_unsent_words_survive_a_page_change_and_a_new_session(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, ana = stories.project(engine), stories.person(engine, "ana")
    page = open_page(WRITE, ana)
    assert typed(page, MESSAGE, '{"team"', 5)["scratch"]["prompt"] == MESSAGE
    page.switch_page("pages/operate/home/page.py").run()
    page.switch_page(WRITE).run()
    again = streams.shown(page, "editor")["scratch"]
    assert again == {"prompt": MESSAGE, "response": '{"team"', "topic": "cards", "at": 5}
    assert streams.shown(open_page(WRITE, ana), "editor")["scratch"] == again
    assert streams.shown(open_page(WRITE, "eva"), "editor")["scratch"] is None
    assert kept(engine, ana, desk)["prompt"] == MESSAGE


def test_the_schema_is_checked_as_one_types(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(WRITE, "ana")
    assert typed(page, MESSAGE)["problems"] == []
    assert "team" in typed(page, MESSAGE, '{"team": "moon"}', 2)["problems"][0]
    data = typed(page, MESSAGE, stories.CARDS, 3)
    assert data["problems"] == []
    assert data["draft_n"] == 3
    assert data["schema"] == stories.SCHEMA


def test_a_near_duplicate_is_pointed_out(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    (row,) = stories.waiting(engine, desk, [(MESSAGE, stories.CARDS)])
    page = open_page(WRITE, "ana")
    hint = typed(page, MESSAGE + " again")["hint"]
    assert f"This nearly repeats pair {row.id} (" in hint
    assert f"“{MESSAGE}”" in hint
    assert MESSAGE in [element.value for element in page.text]
    assert typed(page, "What is the rate on a savings account for children?", "", 2)["hint"] == ""
    assert MESSAGE not in [element.value for element in page.text]


def test_a_pair_is_saved_once_and_waits_for_someone_else(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, ana = stories.project(engine), stories.person(engine, "ana")
    page = open_page(WRITE, ana)
    typed(page, MESSAGE, stories.CARDS)
    op = str(uuid.uuid4())
    first, again = (submit(page, MESSAGE, stories.CARDS, op) for _ in range(2))
    with reading(engine) as session:
        (pair,) = pairs.listing(session, desk.id)
    assert first == again
    assert first["message"] == f"Saved as pair {pair.id}. It waits for someone else's approval."
    assert (pair.origin, pair.author_id, pair.status) == (
        Origin.GOLD,
        ana.id,
        PairStatus.WAITING,
    )
    assert kept(engine, ana, desk) == {}
    listed = page.dataframe[0].value
    assert list(listed["Status"]) == ["Waiting"]


def test_what_does_not_fit_is_refused_and_the_words_stay(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, ana = stories.project(engine), stories.person(engine, "ana")
    page = open_page(WRITE, ana)
    typed(page, MESSAGE, "not JSON")
    answer = submit(page, MESSAGE, "not JSON")
    assert answer["status"] == "refused"
    assert "does not fit the schema" in answer["message"]
    assert submit(page, " ", stories.CARDS)["status"] == "refused"
    assert kept(engine, ana, desk)["response"] == "not JSON"
    with reading(engine) as session:
        assert pairs.listing(session, desk.id) == []


def test_a_rejected_pair_tells_its_author_why(engine: Engine, open_page: OpenPage) -> None:
    desk, ana = stories.project(engine), stories.person(engine, "ana")
    stories.waiting(engine, desk, stories.messages(1), Origin.GOLD, ana)
    ben = stories.person(engine, "ben")
    card = stories.card(engine, ben, desk)
    stories.decide(engine, ben, stories.op(card, Action.REJECT, reason="Ambiguous input"))
    listed = open_page(WRITE, ana).dataframe[0].value
    assert list(listed["Rejected because"]) == ["Ambiguous input"]
    assert not open_page(WRITE, "eva").dataframe


def test_a_lost_role_is_refused_in_a_sentence(engine: Engine, open_page: OpenPage) -> None:
    desk, ana = stories.project(engine), stories.person(engine, "ana", Role.EXPERT)
    ada = stories.person(engine, "ada", Role.ADMIN)
    page = open_page(WRITE, ana)
    with writing(engine) as session:
        people.set_roles(session, ada, ana.id, frozenset({Role.REVIEWER}))
    words = {"op": str(uuid.uuid4()), "prompt": MESSAGE, "response": stories.CARDS, "topic": ""}
    streams.push(page, "editor", submit={"ops": [words], "n": 1})
    assert page.title[0].value != "Write"
    with reading(engine) as session:
        assert pairs.listing(session, desk.id) == []


def test_without_a_project_it_says_where_to_start_one(open_page: OpenPage) -> None:
    page = open_page(WRITE, "ana")
    assert not page.exception
    assert "no project yet" in page.text[0].value
