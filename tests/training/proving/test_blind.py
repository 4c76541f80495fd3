"""Blind trials: opaque while open, exact when closed, recomputable by anyone afterwards."""

import hashlib
import hmac
import json
import re
import uuid
from typing import Any

import pytest
from sqlalchemy import Engine, text

from curation import statistics
from curation.review.ops import Answer, BallotOp
from storage import events, pairs
from storage.engine import reading, writing
from storage.errors import BadInput, NotAllowed, NotFound, RuleBroken, Unavailable
from storage.types import Choice, Role
from tests.support import curated, stories, tuned
from training.lifecycle import adapter_cards
from training.models import adapters
from training.proving import blind, verdicts
from training.proving.verdicts import Tally


def _vote(engine: Engine, who: Any, trial: Any, op: BallotOp) -> Any:  # noqa: ANN401
    with writing(engine) as session:
        return blind.vote(session, who, trial.id, op)


def _ballots(engine: Engine, who: Any, trial: Any, limit: int = 100) -> list[Any]:  # noqa: ANN401
    with reading(engine) as session:
        return blind.ballots(session, who, trial.id, limit=limit)


def test_a_ballot_tells_nothing_but_a_message_and_two_texts(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation, 8)
    ballots = _ballots(engine, stories.person(engine, "ben", Role.REVIEWER), trial)
    assert len(ballots) == 8
    assert all(re.fullmatch(r"[0-9a-f]{16}", ballot.item) for ballot in ballots)
    assert sorted(b.position for b in ballots) == list(range(1, 9))
    words = repr((ballots, trial))
    assert evaluation.adapter_id is not None
    with reading(engine) as session:
        adapter = adapters.get(session, evaluation.adapter_id)
    assert adapter.name not in words
    assert adapter.sha256 not in words
    assert "secret" not in words


def test_a_ballot_shows_the_message_that_was_answered(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation, 8)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    before = _ballots(engine, ben, trial)
    with engine.begin() as connection:  # every row is edited after the answers were given
        connection.execute(text("UPDATE pair SET prompt = 'another message'"))
    assert _ballots(engine, ben, trial) == before
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER version_row_no_update"))
        connection.execute(text("UPDATE version_row SET prompt = 'another message'"))
    with pytest.raises(Unavailable, match="no longer has the pairs it was frozen with"):
        _ballots(engine, ben, trial)


def test_sides_are_half_and_half_and_differ_between_reviewers() -> None:
    items = [f"item-{i}" for i in range(101)]
    sides = [verdicts.tuned_left("a secret", items, reviewer) for reviewer in range(40)]
    assert {len(side) for side in sides} <= {50, 51}
    assert len({frozenset(side) for side in sides}) == 40
    assert verdicts.tuned_left("a secret", list(reversed(items)), 7) == sides[7]
    assert verdicts.tuned_left("another secret", items, 7) != sides[7]


def test_each_reviewer_has_an_order_of_their_own(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation, 8)
    orders = []
    for name in ("ben", "cleo", "dora"):
        who = stories.person(engine, name, Role.REVIEWER)
        orders.append([ballot.item for ballot in _ballots(engine, who, trial)])
        assert orders[-1] == [ballot.item for ballot in _ballots(engine, who, trial)]
    assert len({tuple(order) for order in orders}) == 3
    assert len({frozenset(order) for order in orders}) == 1


def test_a_vote_sent_again_is_one_vote(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    item = _ballots(engine, ben, trial)[0].item
    op = BallotOp(str(uuid.uuid4()), item, Choice.LEFT, None)
    assert [_vote(engine, ben, trial, op).status for _ in range(3)] == [Answer.SAVED] * 3
    with pytest.raises(RuleBroken, match="You have voted on this item"):
        _vote(engine, ben, trial, BallotOp(str(uuid.uuid4()), item, Choice.RIGHT, None))
    with reading(engine) as session:
        assert blind.voted(session, trial.id, ben.id) == 1
        assert blind.turnout(session, trial.id) == {"ben": 1}
    assert item not in {ballot.item for ballot in _ballots(engine, ben, trial)}


def test_an_op_of_someone_else_is_not_answered_as_ones_own(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    op = BallotOp(str(uuid.uuid4()), _ballots(engine, ben, trial)[0].item, Choice.LEFT, None)
    _vote(engine, ben, trial, op)
    with pytest.raises(RuleBroken, match="someone else"):
        _vote(engine, stories.person(engine, "cleo", Role.REVIEWER), trial, op)


def test_a_vote_is_taken_back_by_a_vote_of_its_own(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    item = _ballots(engine, ben, trial)[0].item
    first = tuned.press(engine, ben, trial, Choice.LEFT, item)
    back = BallotOp(str(uuid.uuid4()), item, Choice.WITHDRAWN, first)
    _vote(engine, ben, trial, back)
    assert item in {ballot.item for ballot in _ballots(engine, ben, trial)}
    with pytest.raises(NotFound, match="no vote of yours to take back"):
        _vote(engine, ben, trial, BallotOp(str(uuid.uuid4()), item, Choice.WITHDRAWN, first))
    tuned.press(engine, ben, trial, Choice.RIGHT, item)
    with reading(engine) as session:
        assert blind.voted(session, trial.id, ben.id) == 1
        assert session.execute(text("SELECT count(*) FROM vote")).scalar_one() == 3


def test_no_score_for_anyone_while_it_is_open(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation)
    tuned.prefer(engine, story.lead, trial)
    with reading(engine) as session:
        for peek in (blind.result, blind.ledger):
            with pytest.raises(RuleBroken, match="Scores are shown once a lead has closed it"):
                peek(session, trial.id)
        with pytest.raises(RuleBroken, match="sealed for everyone"):
            blind.opened(session, evaluation.id)
        card = adapter_cards.build(session, adapters.get(session, evaluation.adapter_id or 0))
        assert (card["evaluations"], card["trials"]) == ([], [])
        assert adapter_cards.sealed(session, evaluation.adapter_id or 0) == 1


def test_another_comparison_of_the_same_messages_is_sealed_too(engine: Engine) -> None:
    """The same models give the same answers again, and the base model's alone tell it apart."""
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation)
    alone = tuned.evaluated(engine, story, None)
    with reading(engine) as session, pytest.raises(RuleBroken, match="sealed for everyone"):
        blind.opened(session, alone.id)
    with writing(engine) as session, pytest.raises(RuleBroken, match="on trial already"):
        blind.plan(session, story.lead, evaluation.id, 4)
    tuned.prefer(engine, story.lead, trial)
    with writing(engine) as session:
        blind.close(session, story.lead, trial.id)
        assert len(blind.opened(session, alone.id)) == evaluation.summary["n"]


def test_only_a_lead_plans_and_only_what_can_be_judged(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with writing(engine) as session:
        with pytest.raises(NotAllowed):
            blind.plan(session, ben, evaluation.id, 4)
        for planned in (0, evaluation.summary["n"] + 1):
            with pytest.raises(RuleBroken, match="Plan 1 to"):
                blind.plan(session, story.lead, evaluation.id, planned)
        with pytest.raises(BadInput, match="question"):
            blind.plan(session, story.lead, evaluation.id, 4, "  ")
    alone = tuned.evaluated(engine, story, None)
    with writing(engine) as session, pytest.raises(RuleBroken, match="no tuned answers"):
        blind.plan(session, story.lead, alone.id, 1)


def test_the_registration_is_fixed_and_hashed_before_the_first_vote(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation, 8)
    body = {key: value for key, value in trial.registration.items() if key != "sha256"}
    assert body["planned"] == 8
    assert body["version_sha256"] == story.version.sha256
    assert (
        trial.registration["sha256"]
        == hashlib.sha256(
            json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        ).hexdigest()
    )
    with reading(engine) as session:
        planned = next(e for e in events.latest(session) if e.verb == "plan")
    assert planned.detail["registration"] == trial.registration["sha256"]
    assert planned.detail["commitment"] == trial.commitment


def test_it_closes_only_once_somebody_judged_everything(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation, 4)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    tuned.press(engine, ben, trial, Choice.LEFT)
    with writing(engine) as session, pytest.raises(RuleBroken, match="no reviewer has judged"):
        blind.close(session, story.lead, trial.id)
    for _ in range(3):
        tuned.press(engine, ben, trial, Choice.LEFT)
    with writing(engine) as session, pytest.raises(NotAllowed):
        blind.close(session, ben, trial.id)
    with writing(engine) as session:
        blind.close(session, story.lead, trial.id)
    with writing(engine) as session, pytest.raises(RuleBroken, match="This trial is closed"):
        blind.close(session, story.lead, trial.id)
    with pytest.raises(RuleBroken, match="This trial is closed"):
        tuned.press(engine, stories.person(engine, "cleo", Role.REVIEWER), trial, Choice.TIE)


def test_a_clear_preference_is_found_with_its_interval(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine, 60)
    trial = tuned.planned(engine, story, evaluation, 12)
    for name in ("ben", "cleo"):
        tuned.prefer(engine, stories.person(engine, name, Role.REVIEWER), trial)
    with writing(engine) as session:
        found = blind.close(session, story.lead, trial.id)
    assert (found.total.tuned, found.total.base, found.total.n) == (24, 0, 24)
    assert (found.win_low, found.win_high) == statistics.wilson(24, 24)
    assert found.p_value == statistics.sign_test(24, 0)
    assert found.verdict == "better"
    assert [(t.name, t.tuned) for t in found.reviewers] == [("ben", 12), ("cleo", 12)]
    assert found.left_tuned == 0.5
    assert found.left_presses == 12
    assert found.familiar == 0


def test_votes_of_those_who_knew_the_answer_are_counted(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation, 4)
    tuned.prefer(engine, curated.ana(engine), trial, json_side=False)
    with writing(engine) as session:
        found = blind.close(session, story.lead, trial.id)
        rows = [pairs.get(session, i) for i in blind.opened(session, evaluation.id)]
        assert set(pairs.approvers(session, [r.id for r in rows]).values()) == {
            curated.ana(engine).id
        }
    assert found.familiar == found.total.n == 4
    assert found.total.base == 4


def test_anyone_can_recompute_a_closed_trial(engine: Engine) -> None:
    """With nothing but the published record: no code of ours below."""
    story, evaluation = tuned.compared(engine)
    trial = tuned.planned(engine, story, evaluation, 7)
    people = [stories.person(engine, name, Role.REVIEWER) for name in ("ben", "cleo")]
    tuned.prefer(engine, people[0], trial)
    for choice in (Choice.LEFT, Choice.TIE, Choice.BOTH_BAD, Choice.RIGHT, Choice.RIGHT):
        tuned.press(engine, people[1], trial, choice)
    with writing(engine) as session:
        blind.close(session, story.lead, trial.id)
        record = blind.ledger(session, trial.id)

    def mac(*parts: str) -> str:
        words = "\x1f".join(parts).encode()
        return hmac.new(record["secret"].encode(), words, hashlib.sha256).hexdigest()

    assert hashlib.sha256(record["secret"].encode()).hexdigest() == trial.commitment
    tuned_votes = base_votes = 0
    for reviewer in {vote["reviewer"] for vote in record["votes"]}:
        ordered = sorted(record["items"], key=lambda i: mac("side", str(reviewer), i))
        half = 3 + int(mac("odd", str(reviewer)), 16) % 2
        assert record["tuned_left"][str(reviewer)] == sorted(ordered[:half])
        for vote in record["votes"]:
            if vote["reviewer"] == reviewer and vote["choice"] in ("left", "right"):
                for_left = vote["choice"] == "left"
                if for_left == (vote["item"] in ordered[:half]):
                    tuned_votes += 1
                else:
                    base_votes += 1
    assert (tuned_votes, base_votes) == (record["tuned"], record["base"])
    assert "Ticket" not in repr(record)


@pytest.mark.parametrize(
    ("tuned_votes", "base_votes", "tie", "both_bad", "verdict"),
    [
        (0, 0, 0, 0, "too few votes"),
        (60, 40, 0, 0, "no difference shown"),
        (70, 30, 0, 0, "better"),
        (30, 70, 0, 0, "worse"),
        (20, 0, 15, 10, "no difference shown"),
    ],
)
def test_the_verdict(
    tuned_votes: int, base_votes: int, tie: int, both_bad: int, verdict: str
) -> None:
    total = Tally("All", tuned_votes, base_votes, tie, both_bad)
    p_value = statistics.sign_test(tuned_votes, base_votes)
    assert verdicts.judge(total, 2, p_value)[0] == verdict
    assert "these reviewers and inputs" in verdicts.judge(Tally("", 9, 0, 0, 0), 2, 0.004)[1]
    assert "over these reviewers" in verdicts.judge(Tally("", 9, 0, 0, 0), 6, 0.004)[1]
