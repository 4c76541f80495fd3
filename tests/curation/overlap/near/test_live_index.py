"""The live index against comparing a text with every row, through additions, edits and removals."""

import random

import pytest
from hypothesis import given, settings, strategies as st

from curation.overlap import duplicates
from curation.overlap.duplicates import Near
from curation.overlap.near import live_index
from curation.overlap.near.live_index import LiveIndex
from tests.curation.overlap.test_duplicates import WORDS, sentences

SPOKEN = "my card was eaten by the machine at Ä 银行 银 a b c"
PIECES = st.sampled_from(SPOKEN.split())
TEXTS = st.lists(PIECES, max_size=16).map(" ".join)


def by_hand(text: str, rows: dict[int, str], at_least: float) -> list[Near]:
    """The text against every row."""
    near = [Near(0, row, duplicates.similarity(text, other)) for row, other in rows.items()]
    alike = [one for one in near if one.similarity >= at_least]
    return sorted(alike, key=lambda one: (-one.similarity, one.b))[:10]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.one_of(st.none(), TEXTS)), max_size=25),
    st.lists(TEXTS, min_size=1, max_size=4),
    st.sampled_from([0.3, 0.6, 0.8, 1.0]),
)
def test_it_answers_as_comparing_all_does_whatever_came_before(
    steps: list[tuple[int, str | None]], asked: list[str], at_least: float
) -> None:
    index, rows = LiveIndex(), dict[int, str]()
    for row, text in steps:
        if text is None:
            index.drop([row])
            rows.pop(row, None)
        else:
            index.put([(row, text)])
            rows[row] = text
    assert len(index) == len(rows)
    for text in asked + list(rows.values()):
        if duplicates.normalised(text):
            assert index.alike(text, at_least) == by_hand(text, rows, at_least)


def test_many_rows_at_once_one_by_one_and_after_a_tidying(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = dict(enumerate(sentences(400, seed=3), 1))
    whole, single = LiveIndex(), LiveIndex()
    whole.put(rows.items())
    for row, text in rows.items():
        single.put([(row, text)])
    dice = random.Random(1)
    for text in [*dice.sample(sorted(rows.values()), 40), " ".join(WORDS[:9])]:
        assert whole.alike(text, 0.5) == single.alike(text, 0.5) == by_hand(text, rows, 0.5)
    monkeypatch.setattr(live_index, "_AT_ONCE", 7)
    single.drop(range(1, 350))
    single.put([(1, rows[1])])
    left = {row: text for row, text in rows.items() if row == 1 or row >= 350}
    assert single.alike(rows[360], 0.5) == by_hand(rows[360], left, 0.5)
    assert sum(map(len, (part.hashes for part in single._words._parts))) < 100 * 30


def test_without_words_there_is_nothing_to_compare() -> None:
    index = LiveIndex()
    assert index.alike("my card", 0.1) == []
    index.put([(1, ""), (2, "my card")])
    assert index.alike(" ", 0.1) == []
    assert index.alike("my card", 0.1) == [Near(0, 2, 1.0)]
