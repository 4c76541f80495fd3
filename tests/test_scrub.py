"""Personal data as stories: nothing counts as clean unseen, and a person decides each finding."""

import json

import pytest
from sqlalchemy import Engine

from curation import claims, scrub
from storage import events, pairs
from storage.engine import reading, writing
from storage.errors import BadInput, NotFound, RuleBroken
from storage.types import Action, Finding, FindingState, Pair, PairStatus, Project, Role
from tests import curated, stories

ANSWER = '{"team": "cards"}'
HELLO = "I am Ana Roth, ana@example.com. Yours, Ana Roth"
FOUND = (
    ("prompt", "Ana Roth", "PERSON"),
    ("prompt", "ana@example.com", "EMAIL_ADDRESS"),
)


def found_in(engine: Engine, desk: Project, state: FindingState | None = None) -> list[Finding]:
    """All findings of the project in the present texts."""
    with reading(engine) as session:
        return [one for row in scrub.marked(session, desk.id, state) for one in row.findings]


def decide(engine: Engine, finding: Finding, state: FindingState, type_: str | None = None) -> bool:
    """One decision of ana's."""
    with writing(engine) as session:
        return scrub.decide(session, curated.ana(engine), finding.id, state, type_)


def one_row(engine: Engine, text: str = HELLO) -> tuple[Project, Pair]:
    """A project with one approved row, scanned."""
    desk = stories.project(engine)
    row = curated.approved(engine, desk, [(text, ANSWER)])[0]
    curated.scanned(engine, desk, {row.id: FOUND})
    return desk, row


def test_a_row_is_unscanned_until_its_present_text_was_scanned(engine: Engine) -> None:
    desk = stories.project(engine)
    row = curated.approved(engine, desk, [(HELLO, ANSWER)])[0]
    with reading(engine) as session:
        assert scrub.coverage(session, desk.id).unscanned == (row.id,)
    curated.scanned(engine, desk)
    with writing(engine) as session:
        assert scrub.coverage(session, desk.id).unscanned == ()
        again = pairs.row_of(session, row.id)
        pairs.rewrite(session, again, "Other words", ANSWER, None)
        assert scrub.coverage(session, desk.id).unscanned == (row.id,)


def test_a_result_for_a_text_that_changed_meanwhile_is_left_out(engine: Engine) -> None:
    desk = stories.project(engine)
    ana, row = curated.ana(engine), stories.waiting(engine, desk, [(HELLO, ANSWER)])[0]
    line = {"pair_id": row.id, "content_sha256": row.content_sha256, "config_sha256": "c"}
    with writing(engine) as session:
        pairs.rewrite(session, pairs.row_of(session, row.id), "Other words", ANSWER, None)
        assert scrub.store(session, ana, desk.id, [{**line, "findings": []}]) == 0
        assert scrub.coverage(session, desk.id).unscanned == (row.id,)


def test_a_quarantined_row_is_never_clean(engine: Engine) -> None:
    desk = stories.project(engine)
    row = stories.waiting(engine, desk, [(HELLO, ANSWER)])[0]
    curated.scanned(engine, desk, quarantined={row.id: "It is longer than 200,000 characters."})
    with reading(engine) as session:
        seen = scrub.coverage(session, desk.id)
    assert seen.quarantined == {row.id: "It is longer than 200,000 characters."}
    assert (seen.open, seen.unscanned) == ((), ())


def test_placeholders_come_once_every_finding_is_decided(engine: Engine) -> None:
    desk, row = one_row(engine)
    name, mail = found_in(engine, desk)
    assert decide(engine, name, FindingState.ACCEPTED) is False
    assert curated.now(engine, [row])[0].prompt == HELLO
    assert decide(engine, mail, FindingState.ACCEPTED) is True
    done = curated.now(engine, [row])[0]
    assert done.prompt == "I am <PERSON_1>, <EMAIL_ADDRESS_1>. Yours, Ana Roth"
    with reading(engine) as session:
        seen = scrub.coverage(session, desk.id)
        history = [one.action for one in pairs.history(session, row.id)]
    assert (seen.unscanned, seen.open) == ((), ())
    assert (done.status, history) == (PairStatus.APPROVED, [Action.APPROVE, Action.SCRUB])


def test_the_same_name_gets_the_same_number_in_both_texts(engine: Engine) -> None:
    desk = stories.project(engine, output_schema=None)
    row = curated.approved(engine, desk, [("Ana Roth wrote.", "Call Ana Roth, not Bo Lind.")])[0]
    words = [("prompt", "Ana Roth"), ("response", "Ana Roth"), ("response", "Bo Lind")]
    curated.scanned(engine, desk, {row.id: [(*one, "PERSON") for one in words]})
    for one in found_in(engine, desk):
        decide(engine, one, FindingState.ACCEPTED)
    done = curated.now(engine, [row])[0]
    assert done.prompt == "<PERSON_1> wrote."
    assert done.response == "Call <PERSON_1>, not <PERSON_2>."


def test_the_preview_says_what_each_finding_becomes(engine: Engine) -> None:
    desk, _row = one_row(engine)
    name, mail = found_in(engine, desk)
    decide(engine, name, FindingState.DISMISSED)
    with reading(engine) as session:
        preview = scrub.preview(session, scrub.marked(session, desk.id)[0])
    assert preview.becomes == {mail.id: "<EMAIL_ADDRESS_1>"}
    assert preview.texts["prompt"] == "I am Ana Roth, <EMAIL_ADDRESS_1>. Yours, Ana Roth"


def test_json_stays_json_and_its_schema_is_not_broken(engine: Engine) -> None:
    desk = stories.project(engine, output_schema=None)
    row = curated.approved(
        engine, desk, [("Who?", '{"name": "Ana Roth", "card": 4111111111111111}')]
    )[0]
    words = [("response", "Ana Roth", "PERSON"), ("response", "4111111111111111", "CREDIT_CARD")]
    curated.scanned(engine, desk, {row.id: words})
    for one in found_in(engine, desk):
        decide(engine, one, FindingState.ACCEPTED)
    done = json.loads(curated.now(engine, [row])[0].response)
    assert done == {"name": "<PERSON_1>", "card": "<CREDIT_CARD_1>"}


def test_what_was_called_harmless_is_not_asked_again(engine: Engine) -> None:
    desk, row = one_row(engine)
    for one in found_in(engine, desk):
        decide(engine, one, FindingState.DISMISSED)
    assert found_in(engine, desk, FindingState.OPEN) == []
    with writing(engine) as session:
        again = pairs.row_of(session, row.id)
        pairs.rewrite(session, again, f"Hello. {HELLO}", ANSWER, None)
    curated.scanned(engine, desk, {row.id: FOUND})
    assert found_in(engine, desk, FindingState.OPEN) == []


def test_a_finding_can_be_given_another_type_of_the_list_only(engine: Engine) -> None:
    desk, row = one_row(engine)
    name, mail = found_in(engine, desk)
    with pytest.raises(BadInput, match="not a type of personal data"):
        decide(engine, name, FindingState.ACCEPTED, "SECRET")
    decide(engine, name, FindingState.ACCEPTED, "ORGANIZATION")
    decide(engine, mail, FindingState.DISMISSED)
    assert curated.now(engine, [row])[0].prompt.startswith("I am <ORGANIZATION_1>, ana@")


def test_a_decision_about_words_that_changed_is_refused(engine: Engine) -> None:
    desk, row = one_row(engine)
    name = found_in(engine, desk)[0]
    with writing(engine) as session:
        pairs.rewrite(session, pairs.row_of(session, row.id), "Other words", ANSWER, None)
    with pytest.raises(RuleBroken, match=f"pair {row.id} changed since the scan. Scan it again"):
        decide(engine, name, FindingState.ACCEPTED)


def test_a_row_in_someones_review_hand_is_left_alone(engine: Engine) -> None:
    desk = stories.project(engine)
    row = stories.waiting(engine, desk, [(HELLO, ANSWER)])[0]
    curated.scanned(engine, desk, {row.id: FOUND})
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with writing(engine) as session:
        claims.lease(session, ben, desk.id)
    with pytest.raises(RuleBroken, match="Someone is reviewing"):
        decide(engine, found_in(engine, desk)[0], FindingState.ACCEPTED)


def test_no_text_of_a_row_reaches_the_log(engine: Engine) -> None:
    desk, _row = one_row(engine)
    for one in found_in(engine, desk):
        decide(engine, one, FindingState.ACCEPTED)
    with reading(engine) as session:
        told = json.dumps([one.detail for one in events.latest(session, desk.id)])
    assert "Ana Roth" not in told
    assert "example.com" not in told


def test_there_is_no_finding_without_a_number(engine: Engine) -> None:
    ana = curated.ana(engine)
    with writing(engine) as session, pytest.raises(NotFound, match="no finding 99"):
        scrub.decide(session, ana, 99, FindingState.ACCEPTED)
