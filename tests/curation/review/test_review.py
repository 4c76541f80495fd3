"""Review as stories: nobody gets the same row, no decision is lost, doubled or misplaced."""

import multiprocessing
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from curation.review import claims, conflicts, decisions, pace
from curation.review.ops import Answer
from storage import events, leases, migrate, pairs
from storage.engine import open_engine, reading, writing
from storage.errors import NotAllowed, NotFound, RuleBroken
from storage.types import Action, Card, Origin, Pair, PairStatus, Role
from tests.support import stories
from tests.support.proofs import Proof


def test_an_approved_card_is_approved_once_however_often_it_is_sent(engine: Engine) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(1))
    sent = stories.op(stories.card(engine, ben, desk))
    first, again = (stories.decide(engine, ben, sent) for _ in range(2))
    with reading(engine) as session:
        history = pairs.history(session, sent.row)
        assert pairs.get(session, sent.row).status is PairStatus.APPROVED
    assert (first.status, again.status) == (Answer.SAVED, Answer.SAVED)
    assert len(history) == 1


def test_a_double_click_in_two_threads_is_one_decision(engine: Engine) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(1))
    sent = stories.op(stories.card(engine, ben, desk))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: stories.decide(engine, ben, sent).status, range(8)))
    with reading(engine) as session:
        assert len(pairs.history(session, sent.row)) == 1
    assert set(answers) == {Answer.SAVED}


def test_two_people_never_hold_the_same_row(engine: Engine) -> None:
    desk = stories.project(engine)
    stories.waiting(engine, desk, stories.messages(30))
    ana, ben = stories.person(engine, "ana"), stories.person(engine, "ben")
    with writing(engine) as session:
        one = {c.pair.id for c in claims.lease(session, ana, desk.id)}
        two = {c.pair.id for c in claims.lease(session, ben, desk.id)}
    assert len(one) == 20
    assert len(two) == 10
    assert not one & two


def test_a_reload_gives_the_same_cards_again(engine: Engine) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(5))
    with writing(engine) as session:
        first = claims.lease(session, ben, desk.id, limit=3)
        again = claims.lease(session, ben, desk.id, limit=3)
        topped = claims.lease(session, ben, desk.id, loaded=[c.pair.id for c in first], limit=5)
    assert [(c.pair.id, c.fence) for c in first] == [(c.pair.id, c.fence) for c in again]
    assert [c.pair.id for c in topped] == [4, 5]


def test_a_late_decision_is_kept_with_its_words_and_changes_nothing(engine: Engine) -> None:
    desk = stories.project(engine)
    ana, ben = stories.person(engine, "ana"), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(1))
    held = stories.card(engine, ana, desk)
    with writing(engine) as session:
        later = datetime.now(UTC) + leases.LEASE + timedelta(seconds=1)
        taken = claims.lease(session, ben, desk.id, now=later)[0]
    words = "Where is my card, please?"
    late = stories.decide(engine, ana, stories.op(held, prompt=words))
    saved = stories.decide(engine, ben, stories.op(taken, Action.REJECT))
    with reading(engine) as session:
        kept = conflicts.late(session, desk.id)
        pair = pairs.get(session, held.pair.id)
    assert (late.status, saved.status) == (Answer.LATE, Answer.SAVED)
    assert pair.status is PairStatus.REJECTED
    assert [(d.user_id, d.prompt) for d in kept] == [(ana.id, words)]


def test_a_decision_after_the_lease_counts_while_nobody_took_the_row(engine: Engine) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(1))
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    with writing(engine) as session:
        shown = claims.lease(session, ben, desk.id, now=long_ago)[0]
    assert stories.decide(engine, ben, stories.op(shown)).status is Answer.SAVED


def test_a_lead_takes_a_late_decision_or_keeps_the_row(engine: Engine) -> None:
    desk = stories.project(engine)
    ana, ben, lea = (stories.person(engine, name) for name in ("ana", "ben", "lea"))
    stories.waiting(engine, desk, stories.messages(1))
    held = stories.card(engine, ana, desk)
    with writing(engine) as session:
        later = datetime.now(UTC) + leases.LEASE * 2
        taken = claims.lease(session, ben, desk.id, now=later)[0]
    stories.decide(engine, ben, stories.op(taken, Action.REJECT))
    stories.decide(engine, ana, stories.op(held, response=stories.CARDS))
    with writing(engine) as session:
        conflicts.settle(session, lea, conflicts.late(session, desk.id)[0].id, take=True)
        pair = pairs.get(session, held.pair.id)
        assert conflicts.late(session, desk.id) == []
        assert pairs.approvers(session, [pair.id]) == {pair.id: lea.id}
    assert (pair.status, pair.response) == (PairStatus.APPROVED, stories.CARDS)


def test_an_author_cannot_approve_their_own_gold(engine: Engine) -> None:
    desk = stories.project(engine)
    ana = stories.person(engine, "ana", Role.EXPERT)
    pair = stories.waiting(engine, desk, [("Hello?", stories.CARDS)], Origin.GOLD, ana)[0]
    with writing(engine) as session:
        assert claims.lease(session, ana, desk.id) == []
        row = pairs.row_of(session, pair.id)
        with pytest.raises(RuleBroken, match=f"You wrote pair {pair.id}. Ask another reviewer"):
            decisions.check(session, ana, row, row.prompt, row.response)


def test_an_output_outside_the_schema_is_refused_and_stays(engine: Engine) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, [("Hello?", '{"team": "sales"}')])
    shown = stories.card(engine, ben, desk)
    with pytest.raises(RuleBroken, match="does not fit the schema"):
        stories.decide(engine, ben, stories.op(shown))
    mended = stories.decide(engine, ben, stories.op(shown, response=stories.LOANS))
    assert mended.status is Answer.SAVED


def test_an_edit_keeps_the_draft_and_undo_brings_it_back(engine: Engine) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, [("Hello?", stories.CARDS)])
    sent = stories.op(stories.card(engine, ben, desk), prompt="Hello!", response=stories.LOANS)
    done = stories.decide(engine, ben, sent)
    undo = stories.op(
        Card(stories_pair(engine, sent.row), sent.fence, datetime.now(UTC), "", "", None),
        Action.UNDO,
        target=sent.op,
    )
    undone = stories.decide(engine, ben, undo)
    with reading(engine) as session:
        pair = pairs.get(session, sent.row)
        actions = [d.action for d in pairs.history(session, sent.row)]
    assert (pair.prompt, pair.response) == ("Hello?", stories.CARDS)
    assert pair.status is PairStatus.WAITING
    assert actions == [Action.APPROVE, Action.UNDO]
    assert (done.version, undone.version, undone.fence) == (2, 3, sent.fence)


def stories_pair(engine: Engine, pair_id: int) -> Pair:
    """The pair as it stands now."""
    with reading(engine) as session:
        return pairs.get(session, pair_id)


def test_only_ones_own_newest_decision_can_be_undone(engine: Engine) -> None:
    desk = stories.project(engine)
    ana, ben = stories.person(engine, "ana"), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(1))
    shown = stories.card(engine, ben, desk)
    sent = stories.op(shown)
    stories.decide(engine, ben, sent)
    with pytest.raises(NotFound, match="no decision of yours"):
        stories.decide(engine, ana, stories.op(shown, Action.UNDO, target=sent.op))
    with writing(engine) as session:
        decisions.reopen(session, ana, shown.pair.id, 2, "look again")
    with pytest.raises(RuleBroken, match="decided again since"):
        stories.decide(engine, ben, stories.op(shown, Action.UNDO, target=sent.op))


def test_a_skipped_row_comes_back_last(engine: Engine) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(3))
    first = stories.card(engine, ben, desk, 1)
    stories.decide(engine, ben, stories.op(first, Action.SKIP))
    with writing(engine) as session:
        again = claims.lease(session, ben, desk.id)
        assert pairs.get(session, 1).version == 1
    assert {c.pair.id for c in again} == {1, 2, 3}


def test_a_flagged_row_is_for_leads(engine: Engine) -> None:
    desk = stories.project(engine)
    ben, lea = stories.person(engine, "ben", Role.REVIEWER), stories.person(engine, "lea")
    stories.waiting(engine, desk, stories.messages(1))
    stories.decide(engine, ben, stories.op(stories.card(engine, ben, desk), Action.FLAG))
    with writing(engine) as session:
        assert claims.lease(session, ben, desk.id) == []
        assert len(claims.lease(session, lea, desk.id)) == 1


def test_a_role_taken_away_counts_at_once(engine: Engine) -> None:
    desk = stories.project(engine)
    lea, ada = stories.person(engine, "lea"), stories.person(engine, "ada", Role.ADMIN)
    with writing(engine) as session, pytest.raises(NotAllowed, match="asks for the role"):
        claims.lease(session, ada, desk.id)
    with writing(engine) as session:
        assert claims.lease(session, lea, desk.id) == []


def test_recent_and_progress_count_what_was_done(engine: Engine) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(3))
    for _ in range(2):
        stories.decide(engine, ben, stories.op(stories.card(engine, ben, desk)))
    with reading(engine) as session:
        recent = pace.recent(session, ben, desk.id)
        progress = pace.progress(session, ben, desk.id)
    assert [(r.pair_id, r.undoable) for r in recent] == [(2, True), (1, True)]
    assert (progress.waiting, progress.approved, progress.decided_today) == (1, 2, 2)


def test_every_decision_leaves_one_link_in_an_unbroken_chain(engine: Engine) -> None:
    desk, ben = stories.project(engine), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(4))
    for _ in range(4):
        stories.decide(engine, ben, stories.op(stories.card(engine, ben, desk)))
    with reading(engine) as session:
        count, broken = events.verify(session)
        approvals = [e for e in events.latest(session, desk.id) if e.verb == "approve"]
    assert broken is None
    assert count >= 4
    assert len(approvals) == 4


def _work(path: str, name: str, desk_id: int) -> list[int]:
    """One reviewer in a process of its own: claim and approve until nothing is left."""
    engine = open_engine(Path(path))
    who = stories.person(engine, name)
    done: list[int] = []
    while True:
        with writing(engine) as session:
            cards = claims.lease(session, who, desk_id, limit=3)
        if not cards:
            return done
        for shown in cards:
            answer = stories.decide(engine, who, stories.op(shown))
            assert answer.status is Answer.SAVED
            done.append(shown.pair.id)


@pytest.mark.T03
def test_four_processes_share_a_queue_without_a_row_twice(tmp_path: Path, proof: Proof) -> None:
    path = tmp_path / "assay.db"
    engine = open_engine(path)
    migrate.upgrade(engine)
    desk = stories.project(engine)
    stories.waiting(engine, desk, stories.messages(120))
    names = ["ana", "ben", "cleo", "dan"]
    for name in names:
        stories.person(engine, name)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        done = pool.starmap(_work, [(str(path), name, desk.id) for name in names])
    flat = [pair_id for one in done for pair_id in one]
    proof(processes=4, pairs=120, claimed=len(flat), doubled=len(flat) - len(set(flat)))
    assert sorted(flat) == list(range(1, 121))
    with reading(engine) as session:
        assert all(len(pairs.history(session, i)) == 1 for i in flat)
    engine.dispose()


def test_an_op_of_someone_else_is_not_answered_as_ones_own(engine: Engine) -> None:
    desk = stories.project(engine)
    ana, ben = stories.person(engine, "ana"), stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(1))
    sent = stories.op(stories.card(engine, ben, desk), op=str(uuid.uuid4()))
    stories.decide(engine, ben, sent)
    with pytest.raises(RuleBroken, match="made by someone else"):
        stories.decide(engine, ana, sent)
