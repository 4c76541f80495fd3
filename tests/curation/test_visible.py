"""What a reader cannot see is shown, and what would act if rendered is named."""

import pytest
from hypothesis import given, strategies as st

from curation import visible
from storage.blank import trim


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext\r\n", "plain\n\ttext\r\n"),
        ("a\u200bb", "a⟦U+200B⟧b"),
        ("\u202egnp.exe", "⟦U+202E⟧gnp.exe"),
        ("hi\U000e0041\U000e0042", "hi⟦U+E0041⟧⟦U+E0042⟧"),
        ("\ufeffa\u00adb\u2060", "⟦U+FEFF⟧a⟦U+00AD⟧b⟦U+2060⟧"),
        ("a\x1b[31m", "a⟦U+001B⟧[31m"),
        ("a\u3164\u2800", "a⟦U+3164⟧⟦U+2800⟧"),
        ("old\rmac", "old⟦U+000D⟧mac"),
        ("❤\ufe0f 👩\u200d🚀 👍🏽", "❤\ufe0f 👩\u200d🚀 👍🏽"),
        ("❤\ufe0f\ufe01\U000e0101", "❤\ufe0f⟦U+FE01⟧⟦U+E0101⟧"),
        ("a\u200db", "a⟦U+200D⟧b"),
        ("Grüße, 你好, مرحبا", "Grüße, 你好, مرحبا"),
    ],
)
def test_reveal(text: str, shown: str) -> None:
    assert visible.reveal(text) == shown


def test_hidden_lists_where_and_what() -> None:
    assert visible.hidden("a\u200bb\u202e") == (
        visible.Hidden(1, "U+200B", "zero width space"),
        visible.Hidden(3, "U+202E", "right-to-left override"),
    )


@given(st.text())
def test_what_is_revealed_hides_nothing(text: str) -> None:
    shown = visible.reveal(text)
    added = sum(len(found.code) + 1 for found in visible.hidden(text))
    assert len(shown) == len(text) + added
    assert visible.hidden(shown) == ()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("2 < 3 and 5 > 4", ()),
        ("<b>bold</b>", ("HTML",)),
        ("<img src=//x.example/a>", ("HTML", "an image from elsewhere")),
        (
            "![x](https://x.example/?q=1)",
            ("an image from elsewhere", "a link to elsewhere"),
        ),
        ("![x](//x.example/a.png)", ("an image from elsewhere", "a link to elsewhere")),
        ("[x][1]\n[1]: http://x.example", ("a link to elsewhere",)),
        ("[x](javascript:alert(1))", ("a link to elsewhere",)),
        ("see www.example.org", ("a link to elsewhere",)),
        ("<!-- hidden -->", ("HTML",)),
    ],
)
def test_markup_is_named(text: str, kinds: tuple[str, ...]) -> None:
    assert visible.has_markup(text) == kinds


def test_long_hostile_text_takes_no_time() -> None:
    for piece in ("![", "<a", "](", "[" * 9, "\u200b"):
        visible.has_markup(piece * 20_000)
        visible.reveal(piece * 20_000)


def test_empty_to_the_eye() -> None:
    assert not trim(" \u200b\n\u2060")
    assert trim(" a ") == "a"
