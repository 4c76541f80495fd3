"""A decision needs the claim: what was never handed to a person cannot be decided by them."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select

from curation.review import claims, conflicts, decisions, late
from curation.review.ops import Answer, Op
from storage import leases, pairs, people
from storage.engine import reading, writing
from storage.errors import NotAllowed, RuleBroken
from storage.tables import DecisionRow, EventRow
from storage.types import Action, Card, PairStatus, Project, Role, User
from tests.support import stories
from tests.support.proofs import Proof

EXACT = "I paid\r\n\t€ 3 \u2013 \u200b\u2028 \U0001f469\u200d\U0001f52c \u05e9\u05dc\u05d5\u05dd  "
"""Words with everything that careless code would trim or change."""


def desk_of(engine: Engine, rows: int = 1) -> tuple[Project, User, User, User]:
    """A desk with waiting rows, two reviewers and a lead."""
    desk = stories.project(engine)
    stories.waiting(engine, desk, stories.messages(rows))
    ana, ben = (stories.person(engine, name, Role.REVIEWER) for name in ("ana", "ben"))
    return desk, ana, ben, stories.person(engine, "lea", Role.LEAD)


def again(card: Card, **changes: object) -> Op:
    """What a browser would send for a card, changed by hand."""
    return replace(stories.op(card), **changes)  # type: ignore[arg-type]


def reclaimed(engine: Engine, desk: Project, user: User, rows: int = 1) -> Card:
    """The first of these rows, claimed when the lease of whoever held them had run out."""
    later = datetime.now(UTC) + 2 * leases.LEASE
    with writing(engine) as session:
        return claims.lease(session, user, desk.id, limit=rows, now=later)[0]


def stored(engine: Engine) -> tuple[int, int]:
    """How many decisions and events there are."""
    with reading(engine) as session:
        counts = [session.scalar(select(func.count(row.id))) for row in (DecisionRow, EventRow)]
        return counts[0] or 0, counts[1] or 0


def test_what_was_never_handed_out_cannot_be_decided(engine: Engine) -> None:
    _, ana, _, _ = desk_of(engine, 30)
    before = stored(engine)
    for pair_id in range(1, 31):
        for fence in range(4):
            forged = Op(str(uuid.uuid4()), pair_id, 1, fence, Action.APPROVE)
            assert stories.decide(engine, ana, forged).status is Answer.CONFLICT
    with reading(engine) as session:
        assert pairs.counts(session, 1)[PairStatus.APPROVED] == 0
    assert stored(engine) == before, "nothing is written, so nothing grows"


def test_nobody_decides_under_the_claim_of_someone_else(engine: Engine) -> None:
    desk, ana, ben, _ = desk_of(engine)
    card = stories.card(engine, ana, desk)
    assert stories.decide(engine, ben, stories.op(card)).status is Answer.CONFLICT
    assert stories.decide(engine, ana, stories.op(card)).status is Answer.SAVED


def test_a_flagged_pair_is_decided_by_leads_even_where_a_claim_is_left(engine: Engine) -> None:
    desk, ana, _, lea = desk_of(engine)
    stories.decide(engine, ana, stories.op(stories.card(engine, ana, desk), Action.FLAG))
    card = stories.card(engine, lea, desk)
    ada = stories.person(engine, "ada", Role.ADMIN)
    with writing(engine) as session:
        people.set_roles(session, ada, lea.id, frozenset({Role.REVIEWER}))
    with pytest.raises(NotAllowed, match="may not decide a flagged pair"):
        stories.decide(engine, lea, stories.op(card))
    with writing(engine) as session:
        people.set_roles(session, ada, lea.id, frozenset({Role.LEAD}))
    assert stories.decide(engine, lea, stories.op(card)).status is Answer.SAVED


def test_a_late_decision_needs_a_fence_that_was_handed_to_this_person(engine: Engine) -> None:
    desk, ana, ben, _ = desk_of(engine)
    card = stories.card(engine, ana, desk)
    taken = reclaimed(engine, desk, ben)
    for fence in (0, taken.fence, taken.fence + 1, 2**50):
        assert stories.decide(engine, ana, again(card, fence=fence)).status is Answer.CONFLICT
    assert stories.decide(engine, ana, stories.op(card, Action.SKIP)).status is Answer.LATE
    with reading(engine) as session:
        assert pairs.history(session, card.pair.id) == []
    assert stories.decide(engine, ana, stories.op(card)).status is Answer.LATE
    with reading(engine) as session:
        assert len(conflicts.late(session, desk.id)) == 1


def test_one_late_decision_of_a_person_about_a_pair_waits(engine: Engine) -> None:
    desk, ana, ben, lea = desk_of(engine)
    card = stories.card(engine, ana, desk)
    reclaimed(engine, desk, ben)
    first = stories.op(card, prompt="one")
    for _ in range(2):
        assert stories.decide(engine, ana, first).status is Answer.LATE
    with pytest.raises(RuleBroken, match="earlier decision of yours about pair 1 waits"):
        stories.decide(engine, ana, stories.op(card, prompt="two"))
    with writing(engine) as session:
        conflicts.settle(session, lea, conflicts.late(session, desk.id)[0].id, take=False)
    assert stories.decide(engine, ana, stories.op(card, prompt="two")).status is Answer.LATE


def test_so_many_late_decisions_of_a_person_wait_and_a_lead_settles_them_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "CAP", 3)
    desk, ana, ben, lea = desk_of(engine, 5)
    with writing(engine) as session:
        cards = claims.lease(session, ana, desk.id)
    reclaimed(engine, desk, ben, rows=5)
    for card in cards[:3]:
        assert stories.decide(engine, ana, stories.op(card)).status is Answer.LATE
    with pytest.raises(RuleBroken, match="3 late decisions of yours wait"):
        stories.decide(engine, ana, stories.op(cards[3]))
    with reading(engine) as session:
        (own,) = conflicts.by_person(session, desk.id)
    assert (own.user_id, own.count) == (ana.id, 3)
    with writing(engine) as session:
        with pytest.raises(NotAllowed):
            conflicts.keep_pairs(session, ben, desk.id, ana.id, own.newest)
        assert conflicts.keep_pairs(session, lea, desk.id, ana.id, own.newest - 1) == 2
    assert stories.decide(engine, ana, stories.op(cards[3])).status is Answer.LATE
    with reading(engine) as session:
        assert [own.count for own in conflicts.by_person(session, desk.id)] == [2]
        assert pairs.counts(session, desk.id)[PairStatus.WAITING] == 5


Stale = Callable[[Engine, Project, User, User, Op], Op]


def other_saves(engine: Engine, desk: Project, _ana: User, ben: User, sent: Op) -> Op:
    """The lease ran out, and someone else decided the pair meanwhile."""
    stories.decide(engine, ben, stories.op(reclaimed(engine, desk, ben), Action.REJECT))
    return sent


def other_holds(engine: Engine, desk: Project, _ana: User, ben: User, sent: Op) -> Op:
    """The lease ran out, and someone else holds the pair now."""
    reclaimed(engine, desk, ben)
    return sent


def second_tab(engine: Engine, _desk: Project, ana: User, _ben: User, sent: Op) -> Op:
    """The same person decided the pair in another tab."""
    stories.decide(engine, ana, replace(sent, op=str(uuid.uuid4()), action=Action.REJECT))
    return sent


def skipped_tab(engine: Engine, _desk: Project, ana: User, _ben: User, sent: Op) -> Op:
    """The same person skipped the pair in another tab."""
    stories.decide(engine, ana, replace(sent, op=str(uuid.uuid4()), action=Action.SKIP))
    return sent


def reopened(engine: Engine, _desk: Project, ana: User, _ben: User, sent: Op) -> Op:
    """The pair was decided, then sent back to review from another page."""
    stories.decide(engine, ana, replace(sent, op=str(uuid.uuid4())))
    with writing(engine) as session:
        decisions.reopen(session, ana, sent.row, sent.version + 1, "look again")
    return sent


@pytest.mark.T06
def test_no_stale_decision_overwrites_and_its_words_are_kept_to_the_byte(
    engine: Engine, proof: Proof
) -> None:
    desk, ana, ben, _ = desk_of(engine, 50)
    ways: list[Stale] = [other_saves, other_holds, second_tab, skipped_tab, reopened]
    overwritten = lost = 0
    for number in range(50):
        with writing(engine) as session:
            card = claims.lease(session, ana, desk.id, limit=1)[0]
        words = f"{EXACT}{number}"
        sent = stories.op(card, prompt=words, response=stories.FRAUD)
        sent = ways[number % len(ways)](engine, desk, ana, ben, sent)
        before = stories.again(engine, card.pair)
        answer = stories.decide(engine, ana, sent).status
        overwritten += stories.again(engine, card.pair) != before
        with writing(engine) as session:
            entries = [entry.prompt for entry in conflicts.late(session, desk.id)]
            lost += answer is not Answer.LATE or entries[-1].encode() != words.encode()  # type: ignore[union-attr]
            row = pairs.row_of(session, card.pair.id)
            if row.status is PairStatus.WAITING:  # out of the way of the next round
                decisions.reject(session, ana, row, "Other")
    proof(stale_decisions=50, silently_overwritten=overwritten, words_lost=lost)
    assert (overwritten, lost) == (0, 0)


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=-1)])
def test_claims_of_another_clock_are_over_and_nothing_waits_for_it(
    engine: Engine, ahead: timedelta
) -> None:
    desk, ana, ben, _ = desk_of(engine)
    with writing(engine) as session:
        card = claims.lease(session, ana, desk.id, now=datetime.now(UTC) + ahead)[0]
        assert leases.holders(session) == {}
    taken = stories.card(engine, ben, desk)
    assert taken.pair == card.pair
    with reading(engine) as session:
        assert leases.holders(session, [card.pair.id]) == {card.pair.id: ben.id}
    assert stories.decide(engine, ana, stories.op(card)).status is Answer.LATE


def test_a_decision_counts_although_the_clock_was_set_back_since(engine: Engine) -> None:
    desk, ana, _, _ = desk_of(engine)
    with writing(engine) as session:
        later = datetime.now(UTC) + timedelta(days=1)
        card = claims.lease(session, ana, desk.id, now=later)[0]
    assert stories.decide(engine, ana, stories.op(card)).status is Answer.SAVED


def test_a_clock_set_right_by_a_second_ends_no_claim(engine: Engine) -> None:
    desk, ana, ben, _ = desk_of(engine)
    with writing(engine) as session:
        claims.lease(session, ana, desk.id, now=datetime.now(UTC) + timedelta(seconds=1))
        assert claims.lease(session, ben, desk.id) == []
