"""A policy change and its rows: found, sent back, retired, cloned; nobody's card is taken away."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from curation.gate import readiness
from curation.overlap import overlaps
from curation.overlap.near import lineage
from curation.policy import era_rows, era_search, eras
from curation.policy.era_rows import Effect
from curation.policy.era_search import Search
from curation.review import claims, decisions
from curation.versions import archive, freezing
from storage import events, pairs, projects
from storage.engine import reading, writing
from storage.errors import BadInput, NotFound, RuleBroken
from storage.types import Action, Era, Origin, Pair, PairStatus, Project, Role, Split, User
from tests.support import curated, stories

OLD = "Please visit your home branch with the card"


@pytest.fixture
def lea(engine: Engine) -> User:
    """A lead."""
    return stories.person(engine, "lea", Role.LEAD)


@pytest.fixture
def desk(engine: Engine) -> Project:
    """A project with a retired era and the one after it."""
    desk, lea = stories.project(engine), stories.person(engine, "lea", Role.LEAD)
    with writing(engine) as session:
        eras.add(
            session,
            lea,
            desk.id,
            "old",
            curated.today() - timedelta(days=900),
            retired=True,
            phrases=["home branch"],
        )
        eras.add(session, lea, desk.id, "new", curated.today() - timedelta(days=90))
    return desk


def known(engine: Engine, desk: Project) -> dict[str, Era]:
    with reading(engine) as session:
        return {era.name: era for era in projects.eras(session, desk.id)}


def found(engine: Engine, desk: Project, search: Search) -> era_search.Affected:
    with reading(engine) as session:
        return era_search.affected(session, desk.id, search)


def seen(rows: list[Pair]) -> Mapping[int, int]:
    return {row.id: row.version for row in rows}


def status(engine: Engine, row: Pair) -> PairStatus:
    return stories.again(engine, row).status


def reject(engine: Engine, lea: User, desk: Project, rows: Mapping[int, int]) -> Effect:
    with writing(engine) as session:
        return era_rows.reject(session, lea, desk.id, rows)


def clone(engine: Engine, lea: User, desk: Project, rows: list[Pair], era: Era) -> Effect:
    with writing(engine) as session:
        return era_rows.clone(session, lea, desk.id, seen(rows), era.id)


def newest(engine: Engine, desk: Project) -> era_rows.PolicyChange:
    with reading(engine) as session:
        return era_rows.changes(session, desk.id)[0]


def undo(engine: Engine, lea: User, desk: Project) -> Effect:
    with writing(engine) as session:
        return era_rows.undo(session, lea, newest(engine, desk).event_id)


def test_rows_are_found_by_era_phrase_topic_and_label(engine: Engine, desk: Project) -> None:
    old = known(engine, desk)["old"]
    with writing(engine) as session:
        rows = [
            pairs.add(session, desk.id, OLD, stories.CARDS, Origin.IMPORT),
            pairs.add(
                session,
                desk.id,
                "My card is lost",
                stories.CARDS,
                Origin.IMPORT,
                era_id=old.id,
                topic="lost",
            ),
            pairs.add(session, desk.id, "My loan", stories.LOANS, Origin.IMPORT, topic="lost"),
        ]
        worded, tagged, loan = (row.id for row in rows)
    for search, wanted in [
        (Search(era_id=old.id), [worded, tagged]),
        (Search(phrases=("VISIT your", "no such")), [worded]),
        (Search(topic="lost"), [tagged, loan]),
        (Search(label="cards"), [worded, tagged]),
        (Search(topic="lost", label="cards"), [tagged]),
        (Search(phrases=("vis.*",)), []),
    ]:
        assert [pair.id for pair in found(engine, desk, search).pairs] == wanted, search
    counts = found(engine, desk, Search(topic="lost", label="cards")).counts
    assert counts == {"of the topic lost": 2, "with the label cards": 2}


@pytest.mark.parametrize("search", [Search(), Search(phrases=(" ", "")), Search(phrases=("?!",))])
def test_a_search_for_nothing_is_refused(engine: Engine, desk: Project, search: Search) -> None:
    with pytest.raises(BadInput, match=r"Say what to look for|letter or digit"):
        found(engine, desk, search)
    other = stories.project(engine, "Other")
    with pytest.raises(NotFound, match="another project"):
        found(engine, other, Search(era_id=known(engine, desk)["old"].id))


def test_approvals_are_withdrawn_by_a_new_decision(
    engine: Engine, lea: User, desk: Project
) -> None:
    done, waiting = curated.approved(engine, desk, 1)[0], None
    (waiting,) = stories.waiting(engine, desk, stories.messages(1, 50))
    with writing(engine) as session:
        rows = seen([done, waiting])
        with pytest.raises(BadInput, match="why these pairs go back"):
            era_rows.send_back(session, lea, desk.id, rows, " ")
        told = era_rows.send_back(session, lea, desk.id, rows, "The fee changed")
        history = pairs.history(session, done.id)
    assert (told.rows, told.already) == ((done.id,), (waiting.id,))
    assert status(engine, done) is PairStatus.WAITING
    assert [one.action for one in history] == [Action.APPROVE, Action.REOPEN]
    assert history[-1].reason == "The fee changed"
    with pytest.raises(RuleBroken, match="approve these pairs again"):
        undo(engine, lea, desk)


def test_retired_rows_are_rejected_and_no_longer_block(
    engine: Engine, lea: User, desk: Project
) -> None:
    (row,) = curated.approved(engine, desk, [(OLD, stories.CARDS)])
    with reading(engine) as session:
        line = {one.key: one for one in readiness.report(session, desk.id)}["retired_era"]
    assert line.pairs.ids == (row.id,)
    assert reject(engine, lea, desk, seen([row])).rows == (row.id,)
    after = stories.again(engine, row)
    assert (after.status, after.reject_reason) == (PairStatus.REJECTED, era_rows.RETIRED)
    with reading(engine) as session:
        line = {one.key: one for one in readiness.report(session, desk.id)}["retired_era"]
    assert line.met
    assert found(engine, desk, Search(phrases=("home branch",))).rejected == 1


def test_a_retirement_is_undone_once_and_approves_nothing(
    engine: Engine, lea: User, desk: Project
) -> None:
    first, second = curated.approved(engine, desk, 2)
    reject(engine, lea, desk, seen([first, second]))
    with writing(engine) as session:
        decisions.reopen(session, lea, second.id, stories.again(engine, second).version, "look")
    assert newest(engine, desk).undoable
    told = undo(engine, lea, desk)
    assert (told.rows, told.changed) == ((first.id,), (second.id,))
    assert status(engine, first) is PairStatus.WAITING
    with reading(engine) as session:
        undone = era_rows.changes(session, desk.id)[1]
    assert "undone" in undone.summary
    assert not undone.undoable
    with writing(engine) as session, pytest.raises(RuleBroken, match="taken back already"):
        era_rows.undo(session, lea, undone.event_id)


def test_a_clone_waits_keeps_its_lineage_and_is_never_approved(
    engine: Engine, lea: User, desk: Project
) -> None:
    ana, new = curated.ana(engine), known(engine, desk)["new"]
    ben = stories.person(engine, "ben", Role.REVIEWER)
    (row,) = curated.approved(
        engine, desk, [(OLD, stories.CARDS)], origin=Origin.GOLD, author=ana, by=ben
    )
    told = clone(engine, lea, desk, [row], new)
    with reading(engine) as session:
        made = pairs.get(session, told.rows[0])
    assert (made.status, made.version, made.era_id) == (PairStatus.WAITING, 1, new.id)
    assert (made.origin, made.author_id, made.prompt) == (Origin.GOLD, ana.id, OLD)
    assert made.source == {"cloned_from": row.id}
    assert status(engine, row) is PairStatus.APPROVED
    assert clone(engine, lea, desk, [row], new).already == (row.id,)
    assert clone(engine, lea, desk, [made], new).already == (made.id,)
    with reading(engine) as session:
        assert eras.names_of(session, [made.id, row.id]) == {made.id: "new"}
        assert era_search.tagged(session, desk.id) == {new.id: 1}


def test_a_clone_of_a_test_row_stays_held_out(engine: Engine, lea: User, desk: Project) -> None:
    (row,) = curated.approved(engine, desk, [(OLD, stories.CARDS)], held_out=True)
    told = clone(engine, lea, desk, [row], known(engine, desk)["new"])
    with reading(engine) as session:
        assert pairs.get(session, told.rows[0]).held_out
        assert pairs.get(session, row.id).held_out


def test_a_clone_goes_into_an_era_of_this_project_that_is_in_force(
    engine: Engine, lea: User, desk: Project
) -> None:
    (row,) = curated.approved(engine, desk, 1)
    with pytest.raises(RuleBroken, match="The era old is retired"):
        clone(engine, lea, desk, [row], known(engine, desk)["old"])
    other = stories.project(engine, "Other")
    with writing(engine) as session:
        foreign = eras.add(session, lea, other.id, "x", curated.today())
    with pytest.raises(NotFound, match="another project"):
        clone(engine, lea, desk, [row], foreign)


def test_clones_are_taken_back_unless_somebody_touched_them(
    engine: Engine, lea: User, desk: Project
) -> None:
    rows = curated.approved(engine, desk, 3)
    made = clone(engine, lea, desk, rows, known(engine, desk)["new"]).rows
    shown = stories.card(engine, stories.person(engine, "ben", Role.REVIEWER), desk, limit=1)
    assert shown.pair.id == made[0]
    told = undo(engine, lea, desk)
    assert (told.rows, told.claimed) == (made[1:], (made[0],))
    with reading(engine) as session:
        assert pairs.get(session, made[1]).status is PairStatus.REJECTED
        assert pairs.get(session, made[0]).status is PairStatus.WAITING


def test_rows_in_a_reviewers_hand_and_changed_rows_are_left_alone(
    engine: Engine, lea: User, desk: Project
) -> None:
    held, free = stories.waiting(engine, desk, stories.messages(2))
    ben = stories.person(engine, "ben", Role.REVIEWER)
    assert stories.card(engine, ben, desk, limit=1).pair.id == held.id
    search = Search(phrases=("ticket",))
    assert found(engine, desk, search).claimed == {held.id}
    told = reject(engine, lea, desk, {held.id: held.version, free.id: free.version + 1})
    assert (told.rows, told.claimed, told.changed) == ((), (held.id,), (free.id,))
    assert status(engine, held) is status(engine, free) is PairStatus.WAITING
    words = newest(engine, desk).summary
    assert "1 in a reviewer's hand, 1 changed since they were shown" in words
    with writing(engine) as session:
        claims.lease(session, ben, desk.id, limit=1, now=datetime.now(UTC) - timedelta(hours=2))
    assert reject(engine, lea, desk, seen([held])).rows == (held.id,)


def test_rows_of_another_project_and_too_many_are_refused(
    engine: Engine, lea: User, desk: Project
) -> None:
    (foreign,) = stories.waiting(engine, stories.project(engine, "Other"), stories.messages(1))
    with pytest.raises(RuleBroken, match="another project"):
        reject(engine, lea, desk, seen([foreign]))
    for rows in ({}, dict.fromkeys(range(1, era_rows.LIMIT + 2), 1)):
        with pytest.raises(BadInput, match="Choose 1 to 1,000 pairs"):
            reject(engine, lea, desk, rows)


def test_a_row_of_a_retired_era_trains_by_a_waiver_only(
    engine: Engine, lea: User, desk: Project
) -> None:
    rows = curated.approved(engine, desk, [(OLD, stories.CARDS), *stories.messages(11)])
    with writing(engine) as session:
        overlaps.sweep(session, lea, desk.id)
        version = freezing.freeze(session, lea, desk.id)
        blocking = [one.key for one in readiness.unmet(readiness.report(session, desk.id, version))]
        assert "retired_era" in blocking
        readiness.waive(session, lea, desk.id, "retired_era", "Kept to compare.", curated.SOON)
        blocking = [one.key for one in readiness.unmet(readiness.report(session, desk.id, version))]
    assert "retired_era" not in blocking
    assert rows


def test_a_family_of_clones_is_split_as_one_and_tests_as_one(
    engine: Engine, lea: User, desk: Project
) -> None:
    new = known(engine, desk)["new"]
    rows = curated.approved(engine, desk, 12)
    made = clone(engine, lea, desk, rows, new).rows
    curated.frozen(engine, desk)
    with reading(engine) as session:
        held = {row.id for row in rows if pairs.get(session, row.id).held_out}
        clones = {i for i in made if pairs.get(session, i).source["cloned_from"] in held}
        assert held
        assert lineage.tested(session, desk.id) == held | clones
    reviewed = [(i, f"Rewritten and unlike before, number {i * 7919}.") for i in made]
    with writing(engine) as session:
        for card in claims.lease(session, curated.ana(engine), desk.id, limit=50):
            words = dict(reviewed)[card.pair.id]
            op = stories.op(card, prompt=words)
            decisions.decide(session, curated.ana(engine), op)
    version = curated.frozen(engine, desk)
    with reading(engine) as session:
        parts = {row.pair_id: row.split for row in archive.rows(session, version.id)}
        families = lineage.families(session, desk.id)
    assert {parts[i] for i in held | clones} == {Split.TEST}
    assert len(families) == 12
    assert all(len({parts[i] for i in family}) == 1 for family in families)


def test_the_log_holds_numbers_and_no_words(engine: Engine, lea: User, desk: Project) -> None:
    (row,) = curated.approved(engine, desk, [(OLD, stories.CARDS)])
    clone(engine, lea, desk, [row], known(engine, desk)["new"])
    with reading(engine) as session:
        told = events.latest(session, desk.id)
        assert events.verify(session)[1] is None
    assert {one.verb for one in told} >= {"clone", "policy_clone"}
    assert "branch" not in str([one.detail for one in told])
