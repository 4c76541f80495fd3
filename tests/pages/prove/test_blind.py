"""Blind: what reaches the browser tells nothing, votes count once, the result comes when closed."""

import re
import uuid

import pytest
from sqlalchemy import Engine
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.testing.v1 import AppTest

from storage import people
from storage.engine import reading, writing
from storage.types import Choice, Comparison, Role, Trial, User
from tests.support import stories, streams, tuned
from tests.support.ui import OpenPage
from training.models import adapters
from training.proving import blind, comparisons

PAGE = "pages/prove/blind/page.py"


def _texts(page: AppTest) -> str:
    return "\n".join(text.value for text in page.text)


def _key(trial: Trial, user: User) -> str:
    return f"ballot-{trial.id}-{user.id}"


def _op(item: str, choice: Choice, target: str | None = None) -> dict[str, object]:
    return {"op": str(uuid.uuid4()), "item": item, "choice": choice.value, "target": target}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that went to the browser so far; of components, their data without their code."""
    heard: list[str] = []
    enqueue = ForwardMsgQueue.enqueue

    def listen(queue: ForwardMsgQueue, message: ForwardMsg) -> None:
        element = message.delta.new_element
        if element.WhichOneof("type") == "bidi_component":
            heard.append(f"{element.bidi_component.id} {element.bidi_component.json}")
        elif message.WhichOneof("type") != "new_session":
            heard.append(message.SerializeToString().decode(errors="replace"))
        enqueue(queue, message)

    monkeypatch.setattr(ForwardMsgQueue, "enqueue", listen)
    return heard


def _from_a_telling_id(engine: Engine) -> None:
    """Make every later pair id a number that stands out in a text."""
    desk = stories.project(engine, "Elsewhere")
    stories.waiting(engine, desk, stories.messages(1, start=900))
    with engine.begin() as connection:
        columns = [row[1] for row in connection.exec_driver_sql("PRAGMA table_info(pair)")][1:]
        names = ", ".join(columns)
        connection.exec_driver_sql(
            f"INSERT INTO pair (id, {names}) SELECT 987654300, {names} FROM pair"  # noqa: S608
        )


def _open(engine: Engine, rows: int = 40, items: int = 4) -> tuple[tuned.Frozen, Comparison, Trial]:
    story, evaluation = tuned.compared(engine, rows)
    return story, evaluation, tuned.planned(engine, story, evaluation, items)


def test_an_empty_project(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    lead = open_page(PAGE, user="lena")
    assert "There are no answers to judge yet" in _texts(lead)
    reviewer = open_page(PAGE, user=stories.person(engine, "ben", Role.REVIEWER))
    assert "No trial is open. A lead plans one; it then appears here." in _texts(reviewer)
    assert not reviewer.button


def test_nothing_that_is_sent_tells_the_sides(
    engine: Engine, open_page: OpenPage, sent: list[str]
) -> None:
    _from_a_telling_id(engine)
    story, evaluation, trial = _open(engine, items=8)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with reading(engine) as session:
        adapter = adapters.get(session, evaluation.adapter_id or 0)
        answers = comparisons.outputs(session, evaluation.id)
    assert min(answers) > 987654300
    page = open_page(PAGE, user=ben)
    sent.clear()  # Home came before, and speaks of the project's way in general
    page.run()
    for item in streams.shown(page, _key(trial, ben))["items"][:3]:
        streams.send(
            page,
            _key(trial, ben),
            outbox={"ops": [_op(item["item"], Choice.LEFT)], "have": [], "n": 1},
        )
    texts = "\n".join(sent)
    assert "Ticket" in texts, "the messages themselves are sent"
    assert "9876543" not in texts
    assert not re.search(r"\b(tuned|base|arm|secret)\b", texts, re.IGNORECASE)
    for expected in (adapter.name, adapter.name.split(" ·")[0], adapter.sha256, adapter.job_id):
        assert expected not in texts
    for arms in answers.values():
        assert all(output.sha256 not in texts for output in arms.values())
    with engine.connect() as connection:
        secret = connection.exec_driver_sql("SELECT secret FROM trial").scalar_one()
    assert secret not in texts
    assert story.version.sha256 not in texts


def test_the_ballot_gets_six_fields_and_no_more(engine: Engine, open_page: OpenPage) -> None:
    _story, _evaluation, trial = _open(engine)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    data = streams.shown(open_page(PAGE, user=ben), _key(trial, ben))
    allowed = {"item", "prompt", "left", "right", "position", "planned"}
    assert all(set(item) == allowed for item in data["items"])
    others = {"items", "acks", "delayed", "done", "planned", "trial", "user", "project", "n"}
    assert set(data) == others


def test_two_reviewers_see_sides_of_their_own(engine: Engine, open_page: OpenPage) -> None:
    _story, _evaluation, trial = _open(engine, 60, 12)
    lefts = []
    for name in ("ben", "cleo"):
        who = stories.person(engine, name, Role.REVIEWER)
        items = streams.shown(open_page(PAGE, user=who), _key(trial, who))["items"]
        lefts.append({item["item"]: item["left"] for item in items})
    assert set(lefts[0]) == set(lefts[1])
    assert lefts[0] != lefts[1]


def test_votes_are_saved_once_and_the_next_items_come(engine: Engine, open_page: OpenPage) -> None:
    _story, _evaluation, trial = _open(engine)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    page, key = open_page(PAGE, user=ben), _key(trial, ben)
    items = [item["item"] for item in streams.shown(page, key)["items"]]
    first, second = _op(items[0], Choice.LEFT), _op(items[1], Choice.BOTH_BAD)
    message = {"ops": [first, second], "have": items[2:], "n": 5}
    data = streams.send(page, key, outbox=message)
    assert {op: ack["status"] for op, ack in data["acks"].items()} == {
        first["op"]: "saved",
        second["op"]: "saved",
    }
    assert (data["done"], data["n"], data["items"]) == (2, 5, [])
    data = streams.send(page, key, outbox={**message, "n": 6})
    assert data["done"] == 2
    with reading(engine) as session:
        assert blind.turnout(session, trial.id) == {"ben": 2}


def test_a_refused_vote_says_why_and_takes_no_other_with_it(
    engine: Engine, open_page: OpenPage
) -> None:
    _story, _evaluation, trial = _open(engine)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    page, key = open_page(PAGE, user=ben), _key(trial, ben)
    items = [item["item"] for item in streams.shown(page, key)["items"]]
    wrong, good = _op("feedbeef", Choice.LEFT), _op(items[0], Choice.RIGHT)
    data = streams.send(page, key, outbox={"ops": [wrong, good], "have": [], "n": 1})
    assert data["acks"][wrong["op"]]["status"] == "refused"
    assert data["acks"][wrong["op"]]["message"] == "This item is not part of the trial."
    assert data["acks"][good["op"]]["status"] == "saved"
    again = _op(items[0], Choice.TIE)
    data = streams.send(page, key, outbox={"ops": [again], "have": [], "n": 2})
    assert "You have voted on this item" in data["acks"][again["op"]]["message"]
    assert data["done"] == 1


def test_a_vote_can_be_taken_back(engine: Engine, open_page: OpenPage) -> None:
    _story, _evaluation, trial = _open(engine)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    page, key = open_page(PAGE, user=ben), _key(trial, ben)
    item = streams.shown(page, key)["items"][0]["item"]
    vote = _op(item, Choice.LEFT)
    streams.send(page, key, outbox={"ops": [vote], "have": [], "n": 1})
    back = _op(item, Choice.WITHDRAWN, str(vote["op"]))
    data = streams.send(page, key, outbox={"ops": [back], "have": [], "n": 2})
    assert (data["done"], data["acks"][back["op"]]["status"]) == (0, "saved")
    assert item in {element["item"] for element in data["items"]}


def test_a_reviewer_who_lost_the_role_is_refused(engine: Engine, open_page: OpenPage) -> None:
    _story, _evaluation, trial = _open(engine)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    page, key = open_page(PAGE, user=ben), _key(trial, ben)
    item = streams.shown(page, key)["items"][0]["item"]
    ida = stories.person(engine, "ida", Role.ADMIN)
    with writing(engine) as session:
        people.set_roles(session, ida, ben.id, frozenset({Role.ADMIN}))
    streams.push(page, key, outbox={"ops": [_op(item, Choice.LEFT)], "have": [], "n": 1})
    with reading(engine) as session:
        assert blind.turnout(session, trial.id) == {}


def test_a_lead_plans_with_the_power_in_sight(engine: Engine, open_page: OpenPage) -> None:
    story, evaluation = tuned.compared(engine)
    page = open_page(PAGE, user="lena")
    assert not page.exception
    drawn = _texts(page)
    assert "give at most 8 decisive votes" in drawn
    assert "Nobody sees a score before that." in drawn
    notes = " ".join(markdown.value for markdown in page.markdown)
    assert "54 for 70 %" in notes
    page.number_input(key=f"plan-n-{evaluation.id}").set_value(6).run()
    page.text_input(key=f"plan-question-{evaluation.id}").set_value("Which one is right?").run()
    page.button(key=f"plan-{evaluation.id}").click().run()
    assert page.title[0].value == "Which one is right?"
    with reading(engine) as session:
        (trial,) = blind.listing(session, story.project.id)
    assert (trial.planned, trial.question) == (6, "Which one is right?")


def test_a_press_that_overtakes_the_page_plans_what_was_typed(
    engine: Engine, open_page: OpenPage
) -> None:
    story, evaluation = tuned.compared(engine)
    page = open_page(PAGE, user="lena")
    page.number_input(key=f"plan-n-{evaluation.id}").set_value(6)
    page.text_input(key=f"plan-question-{evaluation.id}").set_value("Which one is right?")
    page.multiselect(key=f"plan-who-{evaluation.id}").select("lena")
    page.button(key=f"plan-{evaluation.id}").click().run()
    with reading(engine) as session:
        (trial,) = blind.listing(session, story.project.id)
    assert (trial.planned, trial.question) == (6, "Which one is right?")
    assert trial.registration["reviewers"] == ["lena"]


def test_a_second_click_on_start_is_refused(engine: Engine, open_page: OpenPage) -> None:
    story, evaluation = tuned.compared(engine)
    page, old = open_page(PAGE, user="lena"), open_page(PAGE, user="lena")
    page.button(key=f"plan-{evaluation.id}").click().run()
    old.button(key=f"plan-{evaluation.id}").click().run()
    assert "on trial already" in old.error[0].value
    with reading(engine) as session:
        assert len(blind.listing(session, story.project.id)) == 1


def test_a_lead_sees_turnout_but_no_score_and_closes_only_when_full(
    engine: Engine, open_page: OpenPage
) -> None:
    _story, _evaluation, trial = _open(engine)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    tuned.press(engine, ben, trial, Choice.LEFT)
    page = open_page(PAGE, user="lena")
    assert "ben: 1 of 4 judged" in _texts(page)
    assert not page.metric
    page.button(key=f"close-{trial.id}").click().run()
    assert "no reviewer has judged them all" in page.error[0].value
    for _ in range(3):
        tuned.press(engine, ben, trial, Choice.LEFT)
    page.button(key=f"close-{trial.id}").click().run()
    assert not page.exception
    assert page.toast[0].value == "Closed. The sides are revealed."
    assert page.title[0].value == "Blind"


def test_the_result_can_be_read_and_recomputed(engine: Engine, open_page: OpenPage) -> None:
    story, _evaluation, trial = _open(engine, 60, 12)
    for name in ("ben", "cleo"):
        tuned.prefer(engine, stories.person(engine, name, Role.REVIEWER), trial)
    with writing(engine) as session:
        outcome = blind.close(session, story.lead, trial.id)
    page = open_page(PAGE, user=stories.person(engine, "ben", Role.REVIEWER))
    assert not page.exception
    assert page.success[0].value.startswith("Verdict: better.")
    drawn = _texts(page)
    for expected in (
        "ben: tuned 12, base 0, ties 0, both bad 0; won 12 of 12",
        "The tuned answer stood left in 50 % of the votes.",
        "0 of 24 votes came from people who had approved or written",
        "the left answer got 12 of 24 (50 %, 95 % interval 31 to 69 %)",
    ):
        assert expected in drawn
    assert [code.value for code in page.code] == [trial.commitment, outcome.secret]
    assert not page.button
    assert [element.proto.label for element in page.get("download_button")] == [
        "Download items, votes and sides"
    ]


def test_a_ballot_that_is_open_when_the_trial_closes_gives_way(
    engine: Engine, open_page: OpenPage
) -> None:
    story, _evaluation, trial = _open(engine)
    ben, cleo = (stories.person(engine, name, Role.REVIEWER) for name in ("ben", "cleo"))
    page, key = open_page(PAGE, user=cleo), _key(trial, cleo)
    item = streams.shown(page, key)["items"][0]["item"]
    tuned.prefer(engine, ben, trial)
    with writing(engine) as session:
        blind.close(session, story.lead, trial.id)
    streams.push(page, key, outbox={"ops": [_op(item, Choice.LEFT)], "have": [], "n": 1})
    assert page.title[0].value == "Blind"
    with reading(engine) as session:
        assert blind.turnout(session, trial.id) == {"ben": 4}


def test_who_plans_a_trial_is_told_of_personal_data_and_not_whose(
    engine: Engine, open_page: OpenPage
) -> None:
    story = tuned.frozen(engine, 20)
    evaluation = tuned.evaluated(engine, story, tuned.trained(engine, story), personal=(0,))
    texts = _texts(open_page(PAGE, user="lena"))
    assert "Personal data was found in answers to 1 of 4 (25 %, 95 % interval 5 to 70 %)" in texts
    tuned.planned(engine, story, evaluation)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    assert "Personal data" not in _texts(open_page(PAGE, user=ben))
