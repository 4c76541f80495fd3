"""The decision record as stories: every question answered, two owners, a new record starts over."""

import pytest
from sqlalchemy import Engine

from curation.gate import decision
from storage.engine import reading, writing
from storage.errors import BadInput, NotAllowed, RuleBroken
from storage.types import Role
from tests.support import curated, stories

WORDS = dict.fromkeys(decision.QUESTIONS, "Because it was tried.")


@pytest.mark.parametrize("missing", decision.QUESTIONS)
def test_an_unanswered_question_is_named(engine: Engine, missing: str) -> None:
    desk, lead = stories.project(engine), stories.person(engine, "lea", Role.LEAD)
    with writing(engine) as session, pytest.raises(BadInput, match="Please answer: ") as refused:
        decision.write(session, lead, desk.id, {**WORDS, missing: "  "}, decision.CHANGE[0], 3)
    assert decision.QUESTIONS[missing] in str(refused.value)


def test_how_often_facts_change_must_be_said(engine: Engine) -> None:
    desk, lead = stories.project(engine), stories.person(engine, "lea", Role.LEAD)
    with writing(engine) as session, pytest.raises(BadInput, match="how often facts change"):
        decision.write(session, lead, desk.id, WORDS, "", 3)


def test_two_people_sign_one_part_each(engine: Engine) -> None:
    desk = stories.project(engine)
    record = curated.recorded(engine, desk)
    lea, max_ = (stories.person(engine, name, Role.LEAD) for name in ("lea", "max"))
    with writing(engine) as session:
        decision.sign(session, lea, desk.id, "business")
        with pytest.raises(RuleBroken, match="You signed as the other owner"):
            decision.sign(session, lea, desk.id, "technical")
        with pytest.raises(RuleBroken, match="business owner has already signed"):
            decision.sign(session, max_, desk.id, "business")
        decision.sign(session, max_, desk.id, "technical")
        signed = decision.latest(session, desk.id)
    assert record.signatures == {}
    assert signed is not None
    assert signed.signatures == {"business": lea.id, "technical": max_.id}
    assert signed.signed_at["technical"] >= signed.signed_at["business"] >= signed.created_at


def test_a_new_record_needs_both_signatures_anew(engine: Engine) -> None:
    desk = stories.project(engine)
    curated.recorded(engine, desk)
    lea = stories.person(engine, "lea", Role.LEAD)
    with writing(engine) as session:
        decision.sign(session, lea, desk.id, "business")
    curated.recorded(engine, desk, iterations=5)
    with reading(engine) as session:
        newest = decision.latest(session, desk.id)
    assert newest is not None
    assert (newest.iterations, newest.signatures) == (5, {})


def test_there_is_nothing_to_sign_before_a_record_and_only_two_parts(engine: Engine) -> None:
    desk, lea = stories.project(engine), stories.person(engine, "lea", Role.LEAD)
    with writing(engine) as session, pytest.raises(RuleBroken, match="no decision record"):
        decision.sign(session, lea, desk.id, "business")
    curated.recorded(engine, desk)
    with writing(engine) as session, pytest.raises(BadInput, match="technical owner"):
        decision.sign(session, lea, desk.id, "chief")


def test_an_expert_alone_writes_no_record(engine: Engine) -> None:
    desk, eva = stories.project(engine), stories.person(engine, "eva", Role.EXPERT)
    with writing(engine) as session, pytest.raises(NotAllowed, match="asks for the role lead"):
        decision.write(session, eva, desk.id, WORDS, decision.CHANGE[0], 3)
