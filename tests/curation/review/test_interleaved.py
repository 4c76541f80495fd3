"""Two sessions and one pair, in every order of their steps: one holder, and each answer is true."""

import random
from collections import Counter

import pytest
from sqlalchemy import Engine

from storage.engine import writing
from tests.support import stories
from tests.support.interleaved import STEPS, Browser, Desk, explore
from tests.support.proofs import Proof


@pytest.fixture
def desk(engine: Engine) -> Desk:
    """Two people with a browser each, and a lead."""
    project = stories.project(engine)
    browsers = {name: Browser(stories.person(engine, name)) for name in ("ana", "ben")}
    return Desk(project, browsers, stories.person(engine, "lea"))


@pytest.mark.T02
def test_every_order_of_four_steps_leaves_one_holder_and_true_answers(
    engine: Engine, desk: Desk, proof: Proof
) -> None:
    with writing(engine) as session:
        desk.open(session)
        desk.step(session, "ana claims")
        orders = explore(session, desk, 4, ["ana claims"])
    proof(interleavings=orders, depth=4, untrue=len(desk.trouble))
    assert orders == len(STEPS) ** 3


@pytest.mark.T02
def test_orders_of_six_steps_drawn_at_random_in_transactions_of_their_own(
    engine: Engine, desk: Desk, proof: Proof
) -> None:
    draw, drawn = random.Random(2), 40
    taken: Counter[str] = Counter()
    for _ in range(drawn):
        script = draw.choices(STEPS, k=6)
        with writing(engine) as session:
            desk.open(session)
        for step in script:
            with writing(engine) as session:
                desk.step(session, step)
            with writing(engine) as session:
                desk.check(session)
        with writing(engine) as session:
            desk.again(session)
        assert not desk.trouble, script
        taken.update(answer for browser in desk.browsers.values() for _, answer in browser.sent)
    proof(interleavings=drawn, depth=6, untrue=0, answers=sum(taken.values()))
    assert set(taken) >= {"saved", "late"}, "both are met"
