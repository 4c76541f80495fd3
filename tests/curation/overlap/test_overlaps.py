"""Duplicates as stories: what repeats, contradicts or leaks is found, and people settle it."""

import threading
import time
from collections import OrderedDict
from typing import Any

import pytest
from sqlalchemy import Engine

from curation.overlap import overlaps
from curation.overlap.near import live_rows
from curation.review import decisions
from curation.versions import freezing
from storage import events, pairs
from storage.engine import reading, writing
from storage.errors import BadInput, NotAllowed, NotFound, RuleBroken
from storage.types import LinkKind, Origin, Pair, PairStatus, Project, Role
from tests.support import curated, stories
from tests.support.patience import PATIENCE

TEXT = "my card was eaten by the machine at the station this morning and I need a new one today"
ALIKE = f"Hello, {TEXT}"


def found(engine: Engine, desk: Project) -> list[tuple[LinkKind, int, int]]:
    """Kind and rows of each open link."""
    return [(one.kind, one.a, one.b) for one in curated.links(engine, desk)]


def two(
    engine: Engine, other: str = ALIKE, answer: str = stories.CARDS
) -> tuple[Project, list[Pair]]:
    """A project with two approved rows that are alike, compared."""
    desk = stories.project(engine)
    rows = curated.approved(engine, desk, [(TEXT, stories.CARDS), (other, answer)])
    curated.compared(engine, desk)
    return desk, rows


def test_each_kind_is_found_and_named(engine: Engine) -> None:
    desk = stories.project(engine)
    same = "Where do I see the fee for a transfer to my own savings account abroad"
    rows = curated.approved(
        engine,
        desk,
        [
            (TEXT, stories.CARDS),
            (ALIKE, stories.CARDS),
            (same, stories.PAYMENTS),
            (same, stories.PAYMENTS),
            (f"{same} please", stories.LOANS),
        ],
    )
    curated.compared(engine, desk)
    a, b, c, d, e = (row.id for row in rows)
    assert sorted(found(engine, desk)) == sorted(
        [
            (LinkKind.NEAR, a, b),
            (LinkKind.EXACT, c, d),
            (LinkKind.CONTRADICTION, c, e),
            (LinkKind.CONTRADICTION, d, e),
        ]
    )
    near = curated.links(engine, desk, LinkKind.NEAR)[0]
    assert 0.8 <= near.similarity < 1


def test_a_row_is_due_until_compared_and_again_once_it_changed(engine: Engine) -> None:
    desk, rows = two(engine)
    with writing(engine) as session:
        assert overlaps.due(session, desk.id) == 0
        pairs.rewrite(session, pairs.row_of(session, rows[0].id), "Other", stories.CARDS, None)
        assert overlaps.due(session, desk.id) == 1
    assert found(engine, desk) == []


def test_comparing_twice_finds_nothing_new(engine: Engine) -> None:
    desk, _rows = two(engine)
    assert curated.compared(engine, desk) == 0
    assert len(found(engine, desk)) == 1


def test_keeping_one_rejects_the_others_with_a_reason(engine: Engine) -> None:
    desk, (kept, other) = two(engine)
    with writing(engine) as session:
        overlaps.keep(
            session,
            curated.ana(engine),
            kept.id,
            {other.id: other.version},
            "Duplicate",
            kept.version,
        )
    kept, other = curated.now(engine, [kept, other])
    assert (kept.status, other.status) == (PairStatus.APPROVED, PairStatus.REJECTED)
    assert other.reject_reason == f"Duplicate (pair {kept.id} kept)"
    assert found(engine, desk) == []


@pytest.mark.parametrize("changed", [0, 1])
def test_a_group_that_changed_since_it_was_shown_is_left_alone(
    engine: Engine, changed: int
) -> None:
    _desk, rows = two(engine)
    with writing(engine) as session:
        row = pairs.row_of(session, rows[changed].id)
        pairs.rewrite(session, row, "Other words", stories.CARDS, None)
    with (
        writing(engine) as session,
        pytest.raises(RuleBroken, match=f"Pair {rows[changed].id} changed since it was shown"),
    ):
        overlaps.keep(
            session,
            curated.ana(engine),
            rows[0].id,
            {rows[1].id: rows[1].version},
            "Duplicate",
            rows[0].version,
        )
    assert curated.now(engine, rows)[1].status is PairStatus.APPROVED


def test_the_best_row_stands_first(engine: Engine) -> None:
    desk = stories.project(engine, two_people=False)
    ana = curated.ana(engine)
    imported = curated.approved(engine, desk, [(TEXT, stories.CARDS)])[0]
    gold = curated.approved(engine, desk, [(ALIKE, stories.CARDS)], origin=Origin.GOLD, author=ana)[
        0
    ]
    waiting = stories.waiting(engine, desk, [(f"Oh, {TEXT}", stories.CARDS)])[0]
    curated.compared(engine, desk)
    with reading(engine) as session:
        groups = overlaps.grouped(session, desk.id, [LinkKind.EXACT, LinkKind.NEAR])
    assert [[pair.id for pair in group.pairs] for group in groups] == [
        [gold.id, imported.id, waiting.id]
    ]


def test_both_can_be_right_with_a_reason(engine: Engine) -> None:
    desk, _rows = two(engine)
    link = curated.links(engine, desk)[0]
    with writing(engine) as session:
        with pytest.raises(BadInput, match="Say in a few words"):
            overlaps.both_right(session, curated.ana(engine), link.id, "  ")
        overlaps.both_right(session, curated.ana(engine), link.id, "Two greetings.")
    assert found(engine, desk) == []
    assert curated.compared(engine, desk) == 0
    with reading(engine) as session:
        assert overlaps.current(session, desk.id, state=None)[0].reason == "Two greetings."


def test_a_reviewer_alone_cannot_excuse_a_contradiction(engine: Engine) -> None:
    desk, _rows = two(engine, answer=stories.LOANS)
    link = curated.links(engine, desk, LinkKind.CONTRADICTION)[0]
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with writing(engine) as session, pytest.raises(NotAllowed, match="expert or lead"):
        overlaps.both_right(session, ben, link.id, "They are.")


def test_a_leak_is_found_never_excused_and_stops_the_freeze(engine: Engine) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 12)
    test_row = curated.approved(engine, desk, [(TEXT, stories.CARDS)], held_out=True)[0]
    training = curated.approved(engine, desk, [(ALIKE, stories.CARDS)])[0]
    curated.compared(engine, desk)
    leak = curated.links(engine, desk, LinkKind.LEAK)[0]
    ana = curated.ana(engine)
    assert (leak.a, leak.b) == (test_row.id, training.id)
    with writing(engine) as session:
        with pytest.raises(RuleBroken, match="cannot train"):
            overlaps.both_right(session, ana, leak.id, "They are.")
        with pytest.raises(RuleBroken, match="pairs repeat held-out test pairs"):
            freezing.freeze(session, ana, desk.id)
        with pytest.raises(RuleBroken, match="held out for testing"):
            overlaps.keep(session, ana, training.id, {test_row.id: test_row.version}, "Leak")
        overlaps.keep(session, ana, test_row.id, {training.id: training.version}, "Leak")
        assert overlaps.current(session, desk.id, [LinkKind.LEAK]) == []


def test_there_is_no_link_without_a_number(engine: Engine) -> None:
    ana = curated.ana(engine)
    with writing(engine) as session, pytest.raises(NotFound, match="no link 99"):
        overlaps.both_right(session, ana, 99, "They are.")


def nearest(engine: Engine, desk: Project, words: str = TEXT) -> int | None:
    """The row that these words nearly repeat."""
    with reading(engine) as session:
        link = overlaps.nearest(session, desk.id, words)
        return None if link is None else link.b


def test_the_nearest_row_follows_what_is_added_edited_and_rejected(engine: Engine) -> None:
    desk = stories.project(engine)
    assert nearest(engine, desk) is None
    first, second = stories.waiting(engine, desk, [(TEXT, stories.CARDS), (ALIKE, stories.CARDS)])
    assert nearest(engine, desk) == first.id
    with writing(engine) as session:
        pairs.rewrite(session, pairs.row_of(session, first.id), "Other", stories.CARDS, None)
    assert nearest(engine, desk) == second.id
    ana = curated.ana(engine)
    with writing(engine) as session:
        decisions.reject(session, ana, pairs.row_of(session, second.id), "Duplicate")
    assert nearest(engine, desk) is None


def test_of_many_rows_the_first_question_does_not_wait_for_the_index(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, built = stories.project(engine), []
    row = stories.waiting(engine, desk, [(TEXT, stories.CARDS)])[0]
    catch_up = live_rows._catch_up

    def noted(*given: Any) -> None:  # noqa: ANN401 - handed on
        built.append(threading.current_thread().name)
        catch_up(*given)

    monkeypatch.setattr(live_rows, "_WAITED_FOR", 0)
    monkeypatch.setattr(live_rows, "_catch_up", noted)
    assert nearest(engine, desk) is None
    end = time.monotonic() + PATIENCE
    while (found := nearest(engine, desk)) is None and time.monotonic() < end:
        time.sleep(0.01)
    assert found == row.id
    assert built[0] == f"index-{desk.id}"


def test_the_nearest_row_is_of_the_same_project(engine: Engine) -> None:
    desk, other = stories.project(engine), stories.project(engine, name="Other desk")
    stories.waiting(engine, other, [(TEXT, stories.CARDS)])
    assert nearest(engine, desk) is None


def test_another_process_and_a_restart_see_the_same_rows(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = stories.project(engine)
    assert nearest(engine, desk) is None
    here = dict(live_rows._indexes)
    monkeypatch.setattr(live_rows, "_indexes", OrderedDict())
    row = stories.waiting(engine, desk, [(TEXT, stories.CARDS)])[0]
    assert nearest(engine, desk) == row.id
    monkeypatch.setattr(live_rows, "_indexes", OrderedDict(here))
    assert nearest(engine, desk) == row.id


def test_a_row_that_was_rolled_back_is_not_remembered(engine: Engine) -> None:
    desk = stories.project(engine)
    stories.waiting(engine, desk, stories.messages(1))

    def seen_but_not_kept() -> None:
        with writing(engine) as session:
            pairs.add(session, desk.id, TEXT, stories.CARDS, Origin.IMPORT)
            assert overlaps.nearest(session, desk.id, TEXT)
            raise RuleBroken("Not this one.")

    with pytest.raises(RuleBroken):
        seen_but_not_kept()
    assert nearest(engine, desk) is None
    row = stories.waiting(engine, desk, [(f"Well, {TEXT}", stories.CARDS)])[0]
    with reading(engine) as session:
        link = overlaps.nearest(session, desk.id, TEXT)
    assert link is not None
    assert link.b == row.id
    assert link.similarity < 1


def test_a_look_from_before_the_last_change_changes_nothing(engine: Engine) -> None:
    desk = stories.project(engine)
    first = stories.waiting(engine, desk, [(ALIKE, stories.CARDS)])[0]
    with reading(engine) as earlier:
        assert overlaps.nearest(earlier, desk.id, TEXT)
        second = stories.waiting(engine, desk, [(TEXT, stories.CARDS)])[0]
        assert nearest(engine, desk) == second.id
        index = next(reversed(live_rows._indexes.values())).index
        link = overlaps.nearest(earlier, desk.id, TEXT)
        assert link is not None
        assert link.b == first.id
    assert next(reversed(live_rows._indexes.values())).index is index
    assert nearest(engine, desk) == second.id


def test_few_indexes_are_kept_at_once(engine: Engine) -> None:
    for name in "abcdef":
        assert nearest(engine, stories.project(engine, name=name)) is None
    assert len(live_rows._indexes) == live_rows._PROJECTS


def merged(engine: Engine, rows: list[Pair], prompt: str, response: str = stories.CARDS) -> None:
    """The second row merged into the first, as both were shown."""
    one, other = rows
    ana = curated.ana(engine)
    with writing(engine) as session:
        seen = {other.id: other.version}
        overlaps.merge(session, ana, one.id, seen, prompt, response, one.version)


def test_merged_words_are_a_new_revision_that_waits_for_review(engine: Engine) -> None:
    desk, rows = two(engine)
    merged(engine, rows, "Both at once")
    one, other = curated.now(engine, rows)
    assert (one.prompt, one.status) == ("Both at once", PairStatus.WAITING)
    assert (other.status, other.reject_reason) == (
        PairStatus.REJECTED,
        f"Merged into pair {one.id}",
    )
    with reading(engine) as session:
        assert pairs.text_at(session, one.id, rows[0].version)[0] == TEXT
        assert events.latest(session, desk.id)[0].verb == "merge"
    assert found(engine, desk) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((TEXT, stories.CARDS), "change them, or keep that pair"),
        ((" ", stories.CARDS), "needs an input and an output"),
        (("Both", '{"team": "moon"}'), "does not fit the schema"),
    ],
)
def test_words_that_cannot_be_merged_change_nothing(
    engine: Engine, words: tuple[str, str], said: str
) -> None:
    _desk, rows = two(engine)
    with pytest.raises((BadInput, RuleBroken), match=said):
        merged(engine, rows, *words)
    assert curated.now(engine, rows) == rows


def test_a_test_row_is_never_merged(engine: Engine) -> None:
    desk = stories.project(engine)
    rows = curated.approved(engine, desk, [(TEXT, stories.CARDS)], held_out=True)
    rows += curated.approved(engine, desk, [(ALIKE, stories.CARDS)])
    for asked in (rows, rows[::-1]):
        with pytest.raises(RuleBroken, match="held out for testing"):
            merged(engine, asked, "Both at once")


def test_a_row_that_changed_is_not_merged(engine: Engine) -> None:
    _desk, rows = two(engine)
    with writing(engine) as session:
        pairs.rewrite(session, pairs.row_of(session, rows[1].id), "Other", stories.CARDS, None)
    with pytest.raises(RuleBroken, match="changed since it was shown"):
        merged(engine, rows, "Both at once")


def test_the_order_of_what_the_schema_calls_unique_is_no_contradiction(engine: Engine) -> None:
    tags = {"type": "array", "uniqueItems": True, "items": {"type": "string"}}
    schema = {"type": "object", "properties": {"tags": tags, "steps": {"type": "array"}}}
    desk = stories.project(engine, output_schema=schema, label_field=None)
    curated.ana(engine)
    stories.waiting(
        engine,
        desk,
        [
            (TEXT, '{"tags": ["a", "b"], "n": 1}'),
            (TEXT, '{"n": 1.0, "tags": ["b", "a"]}'),
            (TEXT, '{"tags": ["a", "b"], "n": 2}'),
        ],
    )
    curated.compared(engine, desk)
    links = curated.links(engine, desk, LinkKind.CONTRADICTION)
    assert len({(link.a, link.b) for link in links}) == 2
