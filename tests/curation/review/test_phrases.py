"""Literal phrases: whole words in any case and width, and never a pattern."""

import pytest

from curation.review import phrases


def _wide(text: str) -> str:
    """The text in full-width letters."""
    return "".join(chr(ord(c) + 0xFEE0) if c != " " else c for c in text)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Please VISIT your\n home  branch today", "visit your home branch"),
        (_wide("send to branch"), "send to branch"),
        ("It is a fee.", "fee"),
        ("don\u2019t ask", "don't"),
        ("pass\u200bbook desk", "passbook desk"),
        ("a.*b costs 3", "a.*b"),
        ("料金は銀行窓口で", "銀行"),
        ("see §5", "§5"),
    ],
)
def test_found(text: str, phrase: str) -> None:
    assert phrases.matches(text, (phrase,)) == (phrase,)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("an article", "art"),
        ("the fees", "fee"),
        ("coffee", "fee"),
        ("axxb", "a.*b"),
        ("anything", "."),
        ("words", ""),
    ],
)
def test_not_found(text: str, phrase: str) -> None:
    assert phrases.matches(text, (phrase,)) == ()


def test_only_those_that_stand_there_are_named() -> None:
    assert phrases.matches("the old desk", ("new desk", "old desk", "desk")) == ("old desk", "desk")


def test_phrases_are_cleaned() -> None:
    assert phrases.cleaned(["  a  b ", "", "a b", "c"]) == ("a b", "c")
