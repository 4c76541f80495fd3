"""Near-duplicates against brute force, on sentences made from a few hundred words."""

import json
import random
from itertools import combinations

import pytest
from hypothesis import given, settings, strategies as st

from curation.overlap import duplicates
from curation.overlap.duplicates import Near
from storage.errors import BadInput

SPOKEN = (
    "card bank account transfer money payment cash app limit fee refund charge balance top up "
    "today please when how why can not my the a to for with is was arrive pending declined lost "
    "stolen new old phone address change close open order still after before week day abroad"
)
WORDS = SPOKEN.split()
MIXED = [*["a", "bb", "ccc", "银行", "卡", "Ä", "ü"], *WORDS[:5]]


def sentences(count: int, seed: int, shortest: int = 3, longest: int = 30) -> list[str]:
    """Made-up messages, half of them edits of others."""
    dice = random.Random(seed)
    texts = [dice.choices(WORDS, k=dice.randint(shortest, longest)) for _ in range(count // 2)]
    return [" ".join(t) for t in texts + [_edited(dice, t) for t in texts]]


def _edited(dice: random.Random, words: list[str]) -> list[str]:
    changed = list(words)
    for _ in range(dice.randint(0, 2)):
        at = dice.randrange(len(changed))
        changed[at : at + dice.randint(0, 1)] = [dice.choice(WORDS)]
    return changed


def test_no_pair_over_the_threshold_is_missed_and_none_under_it_reported() -> None:
    rows = list(enumerate(sentences(900, seed=1)))
    close = [
        Near(a, b, duplicates.similarity(one, other))
        for (a, one), (b, other) in combinations(rows, 2)
        if abs(len(one) - len(other)) <= 60 and duplicates.similarity(one, other) >= 0.8
    ]
    assert len(close) > 150
    assert duplicates.pairs(rows) == close


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.sampled_from(
                ["a", "bb", "ccc", "银行", "卡", "Ä", "ü", "my", "card", "was", "eaten"]
            ),
            max_size=14,
        ),
        max_size=14,
    ),
    st.sampled_from([" ", ""]),
    st.sampled_from([0.5, 0.7, 0.8, 1.0]),
)
def test_long_short_and_unspaced_rows_meet_as_by_hand(
    parts: list[list[str]], joint: str, threshold: float
) -> None:
    texts = [" ".join(one) for one in parts] + [joint.join(one[1:]) for one in parts]
    wanted = [
        Near(a, b, duplicates.similarity(texts[a], texts[b]))
        for a, b in combinations(range(len(texts)), 2)
        if duplicates.similarity(texts[a], texts[b]) >= threshold
    ]
    assert duplicates.pairs(list(enumerate(texts)), threshold) == wanted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is my card?", "where is  my CARD"),
        ("\uff37here is my card", "Where is my card!"),
        ("请问我的银行卡什么时候到", "请问我的银行卡什么时候到?"),
        ("???", " ??? "),
    ],
)
def test_the_same_words_are_an_exact_pair(one: str, other: str) -> None:
    assert duplicates.digest(one) == duplicates.digest(other)
    assert duplicates.pairs([(4, one), (2, other)]) == [Near(2, 4, 1.0)]


def test_short_rows_and_rows_without_blanks_are_compared_by_characters() -> None:
    found = duplicates.pairs(
        [
            (1, "please cancel my transfer"),
            (2, "please cancel my transfers"),
            (3, "please close my account"),
            (4, "我想知道我的银行卡什么时候能寄到我在北京的新地址谢谢你们的帮助"),
            (5, "我想知道我的银行卡什么时候能寄到我在北京的新地址谢谢你们的帮"),
        ]
    )
    assert [(near.a, near.b) for near in found] == [(1, 2), (4, 5)]
    assert all(0.8 <= near.similarity < 1 for near in found)


def test_a_short_row_meets_a_long_one() -> None:
    seven, eight = "please tell me where my card is", "please tell me where my new card is"
    assert duplicates.similarity(seven, eight) > 0.6
    assert duplicates.pairs([(1, seven), (2, eight)], 0.6) == [
        Near(1, 2, duplicates.similarity(seven, eight))
    ]


def test_many_copies_stay_one_group_without_millions_of_pairs() -> None:
    rows = [(n, "the same words again") for n in range(1_000)]
    found = duplicates.pairs(rows)
    assert len(found) < 51_000
    assert duplicates.groups(found) == [list(range(1_000))]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30))
def test_groups_are_what_hangs_together(edges: list[tuple[int, int]]) -> None:
    found = duplicates.groups(Near(a, b, 1) for a, b in edges)
    together = {row: set(group) for group in found for row in group}
    assert set(together) == {row for edge in edges for row in edge}
    assert sum(map(len, found)) == len(together)
    assert all(together[a] is together[b] or together[a] == together[b] for a, b in edges)
    for group in found:
        inside = [edge for edge in edges if edge[0] in group]
        assert len(inside) >= len(group) - 1


def test_contradictions_ask_the_same_and_answer_differently() -> None:
    ask = "My card was charged twice for one coffee at the same shop yesterday morning"
    rows = [
        (1, ask, '{"team": "cards", "urgency": "low"}'),
        (2, ask + "!", '{"urgency":"low","team":"cards"}'),
        (3, "Hello. " + ask, '{"team": "fraud", "urgency": "low"}'),
        (4, "Something else entirely, how do I change my address", '{"team": "fraud"}'),
        (5, ask, "cards"),
    ]
    found = duplicates.contradictions(rows)
    assert [(near.a, near.b) for near in found] == [(1, 3), (1, 5), (2, 3), (2, 5), (3, 5)]
    assert {near.similarity for near in found if near.b == 5 and near.a < 3} == {1.0}


def test_short_prompts_contradict_only_when_they_ask_the_same() -> None:
    rows = [(1, "Hi", "a"), (2, "hi!", "b"), (3, "Bye", "c"), (4, "", "d"), (5, " ", "e")]
    assert [(near.a, near.b) for near in duplicates.contradictions(rows)] == [(1, 2), (4, 5)]


def test_a_late_answer_among_many_copies_is_not_missed() -> None:
    rows = [(n, "where is my card", "a") for n in range(200)] + [(200, "where is my card", "b")]
    assert {near.b for near in duplicates.contradictions(rows)} == {200}


def test_the_nearest_row() -> None:
    rows = [(7, "where is my card"), (8, "close my account now"), (9, "close my account now")]
    found = duplicates.nearest("Close my account, now", rows)
    assert found == Near(0, 8, 1.0)
    assert duplicates.nearest("anything", []) is None


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=12))
def test_any_text_can_be_compared(texts: list[str]) -> None:
    rows = list(enumerate(texts))
    found = duplicates.pairs(rows)
    assert found == duplicates.pairs(rows[::-1])
    for near in found:
        assert near.a < near.b
        same = duplicates.digest(texts[near.a]) == duplicates.digest(texts[near.b])
        assert (near.similarity == 1) is same
    duplicates.contradictions([(n, text, json.dumps(text)) for n, text in rows])


def test_nonsense_is_refused() -> None:
    with pytest.raises(BadInput):
        duplicates.pairs([], threshold=0.2)
    with pytest.raises(BadInput):
        duplicates.pairs([(1, "a"), (1, "b")])
