"""Texts a few edits apart: the distance is exact, and the search finds what it promises."""

import random

import pytest
from hypothesis import given, strategies as st

from curation.overlap import leakage
from curation.overlap.near import edits
from tests.support import leaks, stories

few = st.text(alphabet="ab c", min_size=1, max_size=12)


def by_the_book(one: str, other: str) -> int:
    """The table of Wagner and Fischer, row by row."""
    before = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
        before = row
    return before[-1]


@given(few, few, st.integers(0, 12))
def test_the_distance_is_exact_up_to_a_limit(one: str, other: str, most: int) -> None:
    wanted = by_the_book(one, other)
    assert edits.levenshtein(one, other, most) == (wanted if wanted <= most else None)


@given(few, few)
def test_words_are_edited_like_characters(one: str, other: str) -> None:
    assert edits.levenshtein(one.split(), one.split(), 0) == 0
    left, right = list(one), list(other)
    assert edits.levenshtein(left, right, 99) == edits.levenshtein(one, other, 99)


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        ("how can i order a card today", 6 / 7),
        ("how do i order a card tody", 6 / 7),
        ("ho do i odrer a card today", 24 / 27),
        ("where did my money go last week", None),
        ("", None),
    ],
)
def test_one_word_of_seven_or_a_slip_of_the_pen_is_near(other: str, alike: float | None) -> None:
    found = edits.similarity("how do i order a card today", other)
    assert found == (None if alike is None else pytest.approx(alike))


def test_what_measuring_every_pair_finds_is_found() -> None:
    dice = random.Random(5)
    texts = [prompt.lower() for prompt, _ in stories.messages(150)]
    texts += [leaks.words(text, dice) for text in texts[:60]]
    texts += [" ".join(dice.sample(texts, 12)) for _ in range(40)]
    texts += [leaks.characters(text, dice) for text in texts[-40:]]
    places = {}
    for b, other in enumerate(texts):
        for a, one in enumerate(texts[:b]):
            alike = edits.similarity(one, other)
            if alike is not None and one != other:
                places[a, b] = alike
    found = {(one.a, one.b): one.similarity for one in edits.pairs(texts)}
    assert found.items() <= places.items()
    assert len(found) >= 0.99 * len(places) >= 90


def test_nothing_and_almost_nothing_are_like_nothing() -> None:
    assert edits.pairs([]) == []
    assert edits.pairs(["", "a", "b", "ab"]) == []


def test_forms_with_one_field_filled_in_are_a_template_not_copies() -> None:
    forms = [f"Please tell me what the capital city of {name} is called" for name in _names(60)]
    train = [leakage.SourcedInput(n, text) for n, text in enumerate(forms[:40])]
    test = [leakage.SourcedInput(100 + n, text) for n, text in enumerate(forms[40:])]
    assert all(edits.similarity(forms[0].lower(), form.lower()) for form in forms[1:])
    again = leakage.SourcedInput(99, forms[45].replace("tell", "teel"))
    found = leakage.leaks([*train, again], test)
    assert len(found) < 0.05 * len(train) * len(test)
    assert (99, 105) in {(leak.train_id, leak.test_id) for leak in found}


def _names(count: int) -> list[str]:
    dice = random.Random(1)
    return ["".join(dice.choices("bdfgklmnprst", k=7)) for _ in range(count)]
