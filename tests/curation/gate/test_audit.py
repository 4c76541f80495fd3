"""The audit as stories: drawn by seed, judged by someone else, honest about what it proves."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from curation.__main__ import app
from curation.gate import audit, readiness, sampling
from curation.review import decisions
from storage import events, pairs, steps
from storage.engine import reading, writing
from storage.errors import BadInput, NotAllowed, NotFound, RuleBroken
from storage.types import Action, Origin, PairStatus, Project, Role, User
from tests.support import curated, stories


def drawn(engine: Engine, rows: int = 30, share: float = sampling.SHARE) -> tuple[Project, User]:
    """A project whose rows ana approved, with an audit, and ben who may judge it."""
    desk = stories.project(engine)
    curated.approved(engine, desk, rows)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with writing(engine) as session:
        audit.draw(session, ben, desk.id, seed=3, share=share)
    return desk, ben


def judge_all(engine: Engine, desk: Project, who: User, bad: int = 0) -> audit.AuditResult:
    """Judge all rows that wait, the first so many as bad."""
    while True:
        with writing(engine) as session:
            row = audit.next_row(session, who, desk.id)
            if row is None:
                break
            audit.judge(session, who, row.id, row.version, good=bad <= 0, note="looked at")
            bad -= 1
    with reading(engine) as session:
        result = audit.latest(session, desk.id)
    assert result is not None
    return result


def test_a_tenth_is_drawn_and_the_same_seed_draws_the_same(engine: Engine) -> None:
    desks = [stories.project(engine, name) for name in ("One", "Two")]
    for desk in desks:
        curated.approved(engine, desk, 41)
    ana = curated.ana(engine)
    with writing(engine) as session:
        results = [audit.draw(session, ana, desk.id, seed=9) for desk in desks]
        again = audit.latest(session, desks[0].id)
    assert [(one.drawn, one.population, one.judged) for one in results] == [(5, 41, 0)] * 2
    assert again == results[0]


def test_whoever_approved_a_row_never_sees_it_in_the_audit(engine: Engine) -> None:
    desk, ben = drawn(engine)
    ana = curated.ana(engine)
    with writing(engine) as session:
        assert audit.next_row(session, ana, desk.id) is None
        row = audit.next_row(session, ben, desk.id)
        assert row is not None
        assert audit.waiting(session, desk.id) == 3
        assert [one.name for one in audit.auditors(session, desk.id)] == ["ben", "lena"]
        with pytest.raises(RuleBroken, match="You approved or wrote"):
            audit.judge(session, ana, row.id, row.version, good=True)


def test_whoever_wrote_a_gold_row_never_sees_it_in_the_audit(engine: Engine) -> None:
    desk, ana = stories.project(engine), curated.ana(engine)
    ben = stories.person(engine, "ben")
    curated.approved(engine, desk, 3, origin=Origin.GOLD, author=ana, by=ben)
    with writing(engine) as session:
        audit.draw(session, ana, desk.id, seed=1)
        assert audit.next_row(session, ana, desk.id) is None
        assert audit.next_row(session, ben, desk.id) is None
        assert [one.name for one in audit.auditors(session, desk.id)] == ["lena"]


def test_a_good_sample_shows_how_little_it_proves(engine: Engine) -> None:
    desk, ben = drawn(engine, rows=200)
    result = judge_all(engine, desk, ben)
    assert (result.good, result.judged, result.complete) == (20, 20, True)
    assert result.low == pytest.approx(0.839, abs=0.001)
    assert result.proven == pytest.approx(0.861, abs=0.001)
    assert result.more == 39


def test_a_bad_row_goes_back_to_review(engine: Engine) -> None:
    desk, ben = drawn(engine)
    result = judge_all(engine, desk, ben, bad=1)
    with reading(engine) as session:
        bad = audit.bad_rows(session, result.audit_id)
        row = pairs.get(session, bad[0])
    assert (result.good, result.judged) == (2, 3)
    assert row.status is PairStatus.WAITING
    assert pairs_left(engine, desk) == 29


def pairs_left(engine: Engine, desk: Project) -> int:
    """How many rows are approved."""
    with reading(engine) as session:
        return pairs.counts(session, desk.id)[PairStatus.APPROVED]


def test_a_verdict_twice_or_on_a_changed_row_is_refused(engine: Engine) -> None:
    desk, ben = drawn(engine)
    with writing(engine) as session:
        row = audit.next_row(session, ben, desk.id)
        assert row is not None
        with pytest.raises(RuleBroken, match="changed since it was shown"):
            audit.judge(session, ben, row.id, row.version - 1, good=True)
        audit.judge(session, ben, row.id, row.version, good=True)
        with pytest.raises(NotFound, match="not waiting in an audit"):
            audit.judge(session, ben, row.id, row.version, good=False)


def test_more_rows_are_drawn_until_95_percent_are_proven(engine: Engine) -> None:
    desk, ben = drawn(engine, rows=80)
    assert judge_all(engine, desk, ben).more == 51
    with writing(engine) as session:
        going_on = audit.extend(session, ben, desk.id)
    assert (going_on.drawn, going_on.judged, going_on.good) == (59, 8, 8)
    done = judge_all(engine, desk, ben)
    assert (done.judged, done.more) == (59, 0)
    assert done.proven >= 0.95
    with writing(engine) as session, pytest.raises(RuleBroken, match="needs no more pairs"):
        audit.extend(session, ben, desk.id)


def test_a_bad_row_still_counts_once_more_are_drawn(engine: Engine) -> None:
    desk, ben = drawn(engine, rows=60)
    judge_all(engine, desk, ben, bad=1)
    with writing(engine) as session:
        going_on = audit.extend(session, ben, desk.id)
        assert (going_on.judged, going_on.good) == (6, 5)
        assert going_on.drawn == 60


def test_one_audit_at_a_time(engine: Engine) -> None:
    desk, ben = drawn(engine)
    with writing(engine) as session:
        with pytest.raises(RuleBroken, match="An audit is going on"):
            audit.draw(session, ben, desk.id, seed=4)
        with pytest.raises(RuleBroken, match="Judge every pair"):
            audit.extend(session, ben, desk.id)


def test_nothing_approved_or_a_share_of_nothing_is_refused(engine: Engine) -> None:
    desk, ana = stories.project(engine), curated.ana(engine)
    with writing(engine) as session:
        with pytest.raises(RuleBroken, match="No pair is approved yet"):
            audit.draw(session, ana, desk.id, seed=1)
        with pytest.raises(BadInput, match="between 1 and 100"):
            audit.draw(session, ana, desk.id, seed=1, share=0)


def failed(engine: Engine) -> tuple[Project, User, audit.Part]:
    """A complete audit in which four of twelve gold rows by eva were bad; its failed stratum."""
    desk, ana = stories.project(engine), curated.ana(engine)
    eva = stories.person(engine, "eva", Role.EXPERT)
    gold = stories.messages(40, start=100)
    curated.approved(engine, desk, gold, origin=Origin.GOLD, author=eva, by=ana)
    curated.approved(engine, desk, 20, by=ana)
    lena = stories.person(engine, "lena")
    with writing(engine) as session:
        audit.draw(session, lena, desk.id, seed=3, share=0.3)
    bad = 4
    while True:
        with writing(engine) as session:
            row = audit.next_row(session, lena, desk.id)
            if row is None:
                break
            wrong = row.origin is Origin.GOLD and bad > 0
            bad -= wrong
            audit.judge(session, lena, row.id, row.version, good=not wrong)
    with reading(engine) as session:
        result = audit.latest(session, desk.id)
    assert result is not None
    return desk, lena, result.failed[0]


def test_a_failed_stratum_goes_back_by_decisions_but_not_what_was_judged_good(
    engine: Engine,
) -> None:
    desk, lena, part = failed(engine)
    assert (part.stratum.origin, part.rows, part.judged, part.bad) == ("gold", 40, 12, 4)
    with writing(engine) as session:
        rows = audit.reopening(session, desk.id, part.stratum)
        assert audit.reopen_stratum(session, lena, desk.id, part.stratum, (4, 12, 28)) == 28
        log = events.latest(session, desk.id, limit=1)
    assert (log[0].verb, log[0].detail["rows"], log[0].detail["bad"]) == ("reopen_stratum", 28, 4)
    for pair_id in rows:
        with reading(engine) as session:
            assert pairs.get(session, pair_id).status is PairStatus.WAITING
            made = pairs.history(session, pair_id)[-1]
        assert (made.action, made.user_id, made.reason) == (
            Action.REOPEN,
            lena.id,
            "Its stratum failed",
        )
    assert pairs_left(engine, desk) == 8 + 20


def test_a_stratum_is_reopened_by_a_lead_who_saw_these_very_figures(engine: Engine) -> None:
    desk, lena, part = failed(engine)
    rex, stratum = stories.person(engine, "rex", Role.REVIEWER), part.stratum
    sound = sampling.Stratum("import", None, None)
    with writing(engine) as session:
        with pytest.raises(NotAllowed, match="asks for the role lead"):
            audit.reopen_stratum(session, rex, desk.id, stratum, (4, 12, 28))
        with pytest.raises(RuleBroken, match="went on since these figures"):
            audit.reopen_stratum(session, lena, desk.id, stratum, (3, 12, 28))
        with pytest.raises(RuleBroken, match="No pair of this stratum was judged bad"):
            audit.reopen_stratum(session, lena, desk.id, sound, (0, 6, 14))
        gone = sampling.Stratum("draft", None, None)
        with pytest.raises(NotFound, match="no such stratum"):
            audit.reopen_stratum(session, lena, desk.id, gone, (1, 1, 1))
    assert pairs_left(engine, desk) == 56


def test_a_large_stratum_goes_back_a_few_rows_at_a_time(engine: Engine) -> None:
    """What ends the work leaves the rest approved, and the log says how many; a row that someone
    moved meanwhile is left alone; once more, with the new figures, goes on from there.
    """
    desk, lena, part = failed(engine)
    with reading(engine) as session:
        rows = audit.reopening(session, desk.id, part.stratum)

    def step(done: int, _total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt
        with writing(engine) as session:  # outside any transaction, so nobody waits
            decisions.send_back(session, lena, pairs.row_of(session, rows[0]), "By hand")

    def go(figures: tuple[int, int, int], step: steps.Step = steps.quiet) -> int:
        return audit.reopen_in_chunks(engine, lena, desk.id, part.stratum, figures, step=step)

    with pytest.raises(RuleBroken, match="went on since these figures"):
        go((4, 12, 27))
    with pytest.raises(KeyboardInterrupt):
        go((4, 12, 28), step)
    assert pairs_left(engine, desk) == 8 + 20 + 8
    with pytest.raises(RuleBroken, match="went on since these figures"):
        go((4, 12, 28))
    assert go((4, 12, 8)) == 8
    assert pairs_left(engine, desk) == 8 + 20
    with reading(engine) as session:
        log = [one for one in events.latest(session, desk.id) if one.verb == "reopen_stratum"]
        made = pairs.history(session, rows[0])
    assert [one.detail["rows"] for one in log] == [8, 19]
    assert [one.reason for one in made if one.action is Action.REOPEN] == ["By hand"]
    rex = stories.person(engine, "rex", Role.REVIEWER)
    with pytest.raises(NotAllowed, match="asks for the role lead"):
        audit.reopen_in_chunks(engine, rex, desk.id, part.stratum, (4, 12, 0))


def test_each_stratum_has_a_row_and_those_beside_the_tenth_count_for_theirs_only(
    engine: Engine,
) -> None:
    desk, ana = stories.project(engine), curated.ana(engine)
    curated.approved(engine, desk, 30, by=ana)
    for place, name in enumerate(("eva", "finn", "gina")):
        author = stories.person(engine, name, Role.EXPERT)
        rows = stories.messages(1, start=100 + place)
        curated.approved(engine, desk, rows, origin=Origin.GOLD, author=author, by=ana)
    lena = stories.person(engine, "lena")
    with writing(engine) as session:
        result = audit.draw(session, lena, desk.id, seed=3)
    assert result.drawn == 4
    assert result.left == result.drawn + result.beside > 4
    assert all(part.drawn >= 1 for part in result.parts)
    done = judge_all(engine, desk, lena)
    assert (done.complete, done.judged) == (True, 4)


def test_a_failed_stratum_blocks_the_gate_until_a_new_audit(engine: Engine) -> None:
    desk, lena, part = failed(engine)
    with writing(engine) as session:
        audit.reopen_stratum(session, lena, desk.id, part.stratum, (4, 12, 28))
        line = next(one for one in readiness.report(session, desk.id) if one.key == "audit")
        assert not line.met
        assert "groups that fail: 1" in line.measured
        again = audit.draw(session, lena, desk.id, seed=4)
    assert again.failed == ()


def test_the_command_lists_strata_and_reopens_the_one_that_failed(engine: Engine) -> None:
    desk, _, _ = failed(engine)
    stories.person(engine, "rex", Role.REVIEWER)

    def run(*given: str) -> Any:  # noqa: ANN401 - click's own result
        return CliRunner().invoke(app, ["strata", *given])

    listed = json.loads(run("--json").stdout)
    assert [(one["origin"], one["seen"]) for one in listed] == [
        ("gold", "4/12/28"),
        ("import", "0/6/14"),
    ]
    assert "profile" in run("--reopen", "1", "--seen", "4/12/28").stderr
    for given, said in (
        (("1", "4/12/28", "rex"), "asks for the role lead"),
        (("1", "4/12/27", "lena"), "went on since these figures"),
        (("1", "all", "lena"), "Give --seen as listed"),
        (("3", "4/12/28", "lena"), "has no stratum 3"),
        (("2", "0/6/14", "lena"), "No pair of this stratum was judged bad"),
    ):
        number, seen, who = given
        refused = run("--reopen", number, "--seen", seen, "--as", who)
        assert (refused.exit_code, said in refused.stderr) == (1, True), refused.stderr
    assert pairs_left(engine, desk) == 56
    done = run("--reopen", "1", "--seen", "4/12/28", "--as", "lena")
    assert "28 pairs are back in review." in done.stdout
    assert pairs_left(engine, desk) == 28
