"""Review: pairs handed out, each decision answered, late ones kept for a lead."""

import uuid
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.review import claims, decisions
from pages.label.review import card as review_page
from storage import leases, pairs, people, settings
from storage.engine import driver, reading, writing
from storage.types import Action, Origin, PairStatus, Role
from tests.support import stories, streams
from tests.support.ui import OpenPage

REVIEW = "pages/label/review/page.py"
Shown = dict[str, Any]


def press(card: Shown, action: str = "approve", **words: object) -> Shown:
    """What the browser says when a key is pressed over a card."""
    op = {"op": str(uuid.uuid4()), "row": card["id"], "version": card["version"]}
    return {**op, "fence": card["fence"], "action": action, **words}


def outbox(page: AppTest, ops: list[Shown], have: list[int], n: int = 1, **more: object) -> Shown:
    """The page's data after the browser has sent its outbox."""
    return streams.send(page, "review", outbox={"ops": ops, "have": have, "n": n, **more})


def statuses(data: Shown) -> list[str]:
    """What became of the ops, in order."""
    return [ack["status"] for ack in data["acks"].values()]


def test_cards_come_with_all_a_reviewer_needs(engine: Engine, open_page: OpenPage) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, [("Pay\u200b now", "no JSON"), *stories.messages(30)])
    page = open_page(REVIEW, ben)
    data = streams.shown(page, "review")
    first = data["cards"][0]
    assert len(data["cards"]) == 20
    assert first["hidden"] == ["U+200B"]
    assert first["prompt"] == "Pay\u200b now"
    assert first["prompt_visible"] == "Pay⟦U+200B⟧ now"
    assert first["problems"]
    assert first["origin"] == "import"
    assert data["guidelines"] == desk.guidelines
    assert data["reasons"] == list(decisions.Reason)
    assert data["counts"] == {"waiting": 31, "approved": 0, "decided_today": 0, "target": 200}


def test_a_further_reason_is_one_more_line_of_the_list(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = {reason.name: reason.value for reason in decisions.Reason} | {"TONE": "Wrong tone"}
    monkeypatch.setattr(decisions, "Reason", StrEnum("Reason", reasons))
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    row, *_ = stories.waiting(engine, desk, stories.messages(1))
    page = open_page(REVIEW, ben)
    data = streams.shown(page, "review")
    assert data["reasons"][-1] == "Wrong tone"
    data = outbox(page, [press(data["cards"][0], "reject", reason=data["reasons"][-1])], [])
    assert statuses(data) == ["saved"]
    assert stories.again(engine, row).reject_reason == "Wrong tone"


def test_decisions_are_applied_and_answered_in_order(engine: Engine, open_page: OpenPage) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    rows = stories.waiting(engine, desk, stories.messages(25))
    page = open_page(REVIEW, ben)
    first, two, three, four, *remaining = streams.shown(page, "review")["cards"]
    ops = [
        press(first),
        press(two, "reject", reason="Wrong answer"),
        press(three, "skip"),
        press(four, response=stories.FRAUD),
    ]
    data = outbox(page, ops, [card["id"] for card in remaining], n=7)
    assert statuses(data) == ["saved"] * 4
    assert data["n"] == 7
    assert [stories.again(engine, row).status for row in rows[:4]] == [
        PairStatus.APPROVED,
        PairStatus.REJECTED,
        PairStatus.WAITING,
        PairStatus.APPROVED,
    ]
    assert stories.again(engine, rows[3]).response == stories.FRAUD
    assert [entry["action"] for entry in data["recent"]] == ["approve", "skip", "reject", "approve"]
    assert data["cards"] == []  # sixteen are held: enough


def test_more_rows_come_when_few_are_held_and_none_twice(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(40))
    page = open_page(REVIEW, ben)
    cards = streams.shown(page, "review")["cards"]
    remaining = [card["id"] for card in cards[10:]]
    data = outbox(page, [press(card) for card in cards[:10]], remaining)
    fresh = [card["id"] for card in data["cards"]]
    assert len(fresh) == 10
    assert not set(fresh) & {card["id"] for card in cards}


def test_the_same_outbox_twice_is_one_decision_each(engine: Engine, open_page: OpenPage) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    (row,) = stories.waiting(engine, desk, stories.messages(1))
    page = open_page(REVIEW, ben)
    op = press(streams.shown(page, "review")["cards"][0])
    for n in (1, 2):
        assert statuses(outbox(page, [op], [], n)) == ["saved"]
    with reading(engine) as session:
        assert len(pairs.history(session, row.id)) == 1


@pytest.mark.parametrize("first", ["approve", "skip"])
def test_undo_brings_the_card_back_one_version_on(
    engine: Engine, open_page: OpenPage, first: str
) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    (row,) = stories.waiting(engine, desk, stories.messages(1))
    page = open_page(REVIEW, ben)
    done = press(streams.shown(page, "review")["cards"][0], first)
    after = next(iter(outbox(page, [done], [])["acks"].values()))
    back = {**done, "op": str(uuid.uuid4()), "action": "undo", "target": done["op"]}
    data = outbox(page, [back], [], 2, want=[row.id])
    (answer,) = data["acks"].values()
    (card,) = data["cards"]
    assert answer["status"] == "saved"
    assert card["version"] == answer["version"] == after["version"] + 1
    assert data["recent"] == []
    assert statuses(outbox(page, [press(card)], [], 3)) == ["saved"]


def test_a_refused_decision_says_why_and_how_the_row_stands(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    (row,) = stories.waiting(engine, desk, stories.messages(1))
    page = open_page(REVIEW, ben)
    (card,) = streams.shown(page, "review")["cards"]
    (answer,) = outbox(page, [press(card, response="not JSON")], [])["acks"].values()
    assert answer["status"] == "refused"
    assert "does not fit the schema" in answer["message"]
    assert (answer["version"], answer["fence"]) == (card["version"], card["fence"])
    assert stories.again(engine, row) == row
    gone = {**press(card), "row": 999}
    (answer,) = outbox(page, [gone], [], 2)["acks"].values()
    assert answer["status"] == "refused"
    assert answer["version"] is None


def test_ones_own_gold_is_not_handed_out_and_is_refused(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, ana = stories.project(engine), stories.person(engine, "ana")
    ben = stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(1), Origin.GOLD, ana)
    assert streams.shown(open_page(REVIEW, ana), "review")["cards"] == []
    assert len(streams.shown(open_page(REVIEW, ben), "review")["cards"]) == 1


def test_two_people_get_different_rows_and_a_late_decision_waits_for_a_lead(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    cleo = stories.person(engine, "cleo", Role.REVIEWER)
    lea = stories.person(engine, "lea", Role.LEAD)
    (row,) = stories.waiting(engine, desk, stories.messages(1))
    page = open_page(REVIEW, ben)
    (stale,) = streams.shown(page, "review")["cards"]
    assert streams.shown(open_page(REVIEW, cleo), "review")["cards"] == []
    with writing(engine) as session:  # the lease runs out and cleo gets and decides the pair
        late = datetime.now(UTC) + 2 * leases.LEASE
        (decided,) = claims.lease(session, cleo, desk.id, now=late)
    stories.decide(engine, cleo, stories.op(decided, Action.REJECT, reason="Other"))
    data = outbox(page, [press(stale, response=stories.FRAUD)], [])
    assert statuses(data) == ["late"]
    assert not [button for button in page.button if "Take this decision" in button.label]
    conflicts = open_page(REVIEW, lea)
    texts = "\n".join(text.value for text in conflicts.text)
    assert "ben approved version 1" in texts
    assert stories.FRAUD in texts
    take = next(b for b in conflicts.button if b.label == "Take this decision")
    take.click().run()
    assert not conflicts.error
    assert not [b for b in conflicts.button if b.label == "Take this decision"]
    now = stories.again(engine, row)
    assert (now.status, now.response) == (PairStatus.APPROVED, stories.FRAUD)


def test_a_conflict_that_changed_under_the_lead_is_not_taken(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    lea = stories.person(engine, "lea", Role.LEAD)
    stories.waiting(engine, desk, stories.messages(1))
    claimed = stories.card(engine, ben, desk)
    stories.decide(engine, ben, stories.op(claimed, Action.REJECT, reason="Other"))
    stories.decide(engine, ben, stories.op(claimed))
    page = open_page(REVIEW, lea)
    with writing(engine) as session:
        row = pairs.get(session, claimed.pair.id)
        decisions.reopen(session, lea, row.id, row.version, "again")
    next(b for b in page.button if b.label == "Take this decision").click().run()
    assert "changed since it was shown" in page.error[0].value
    next(b for b in page.button if b.label == "Keep the pair as it is").click().run()
    assert not page.error
    assert not [b for b in page.button if b.label == "Keep the pair as it is"]


def test_a_lead_settles_all_late_decisions_of_a_person_at_once(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben", Role.REVIEWER)
    lea = stories.person(engine, "lea", Role.LEAD)
    stories.waiting(engine, desk, stories.messages(5))
    with writing(engine) as session:
        cards = claims.lease(session, ben, desk.id)
    for card in cards:
        for action in (Action.REJECT, Action.APPROVE):
            stories.decide(engine, ben, stories.op(card, action, reason="Other"))
    page = open_page(REVIEW, lea)
    label = "Keep the pairs as they are, against 5 decisions of ben"
    next(b for b in page.button if b.label == label).click().run()
    assert not page.error
    assert not [b for b in page.button if b.label.startswith("Keep the pair")]
    with reading(engine) as session:
        assert pairs.counts(session, desk.id)[PairStatus.REJECTED] == 5


def test_flagged_rows_go_to_leads_only_and_come_last(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    lea = stories.person(engine, "lea", Role.LEAD)
    first, second = stories.waiting(engine, desk, stories.messages(2))
    page = open_page(REVIEW, ben)
    cards = streams.shown(page, "review")["cards"]
    outbox(page, [press(cards[0], "flag"), press(cards[1], "skip")], [])
    assert [c["id"] for c in streams.shown(page, "review")["cards"]] == [second.id]
    outbox(page, [press(streams.shown(page, "review")["cards"][0])], [], 2)
    (card,) = streams.shown(open_page(REVIEW, lea), "review")["cards"]
    assert (card["id"], card["origin"]) == (first.id, "import, flagged")


def test_words_being_typed_are_checked(engine: Engine, open_page: OpenPage) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(1))
    page = open_page(REVIEW, ben)
    message = {"row": 1, "version": 1, "prompt": "x", "response": '{"team": "moon"}', "n": 5}
    probe = streams.send(page, "review", probe=message)["probe"]
    assert probe["n"] == 5
    assert "team" in probe["problems"][0]
    assert streams.send(page, "review", probe={"n": "5", "response": 3})["probe"] is None


def test_nonsense_from_a_browser_changes_nothing(engine: Engine, open_page: OpenPage) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    (row,) = stories.waiting(engine, desk, stories.messages(1))
    page = open_page(REVIEW, ben)
    data = streams.send(page, "review", outbox={"ops": [{"op": "1"}, 7, None], "have": "all"})
    assert data["acks"] == {}
    assert stories.again(engine, row) == row


def test_an_empty_project_says_what_to_do(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(REVIEW, "ben")
    assert not page.exception
    assert "no pairs to review yet" in page.text[0].value


def test_a_role_that_is_taken_away_takes_nothing_with_it(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    ada = stories.person(engine, "ada", Role.ADMIN)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    (row,) = stories.waiting(engine, desk, stories.messages(1))
    page = open_page(REVIEW, ben)
    (card,) = streams.shown(page, "review")["cards"]
    with writing(engine) as session:
        people.set_roles(session, ada, ben.id, frozenset({Role.ADMIN}))
    streams.push(page, "review", outbox={"ops": [press(card)], "have": [], "n": 1})
    assert page.title[0].value != "Review"
    assert stories.again(engine, row) == row


def test_a_press_that_meets_a_lock_keeps_its_card_and_says_so(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer: the browser keeps it in its outbox and sends it again until it is saved."""
    monkeypatch.setattr(review_page, "PRESS_MILLISECONDS", 10)
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(3))
    page = open_page(REVIEW, ben)
    ops = [press(shown) for shown in streams.shown(page, "review")["cards"][:2]]
    with closing(driver().connect(settings.current().database, isolation_level=None)) as import_:
        import_.execute("BEGIN IMMEDIATE")
        data = outbox(page, ops, [])
        assert data["acks"] == {}
        assert "Not saved yet. Longer work is saving" in data["delayed"]
        assert "sent again by itself" in data["delayed"]
        assert not page.error
    data = outbox(page, ops, [], 2)
    assert (statuses(data), data["delayed"]) == (["saved", "saved"], "")
    with reading(engine) as session:
        assert pairs.counts(session, desk.id)[PairStatus.APPROVED] == 2
