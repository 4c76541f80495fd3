"""Find literal phrases in text, whatever their case, width and spacing; no pattern of a person's.

Not found: another form of a word ("fees" for "fee"), a misspelling, the same thing in other words,
and a phrase that JSON writes with escapes (`\\u00e9`).
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from storage.blank import trim

LIMIT, LONGEST = 50, 200
"""Phrases of one search, and characters of one phrase."""
_NO_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
"""Scripts that put no space between words, so that a word's edge cannot be seen."""


def folded(text: str) -> str:
    """The text as it is compared: NFKC, case folded, single spaces, straight apostrophes, and
    without invisible joiners."""
    if text.isascii():
        return " ".join(text.lower().split())
    wide = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    visible = "".join(c for c in wide if unicodedata.category(c) != "Cf")
    return " ".join(visible.split())


def cleaned(phrases: Iterable[str]) -> tuple[str, ...]:
    """The phrases without spaces around them, empty ones and repeats."""
    return tuple(
        dict.fromkeys(filter(None, (trim(" ".join(phrase.split())) for phrase in phrases)))
    )


def matches(text: str, phrases: tuple[str, ...]) -> tuple[str, ...]:
    """Which of the phrases stand in `text` as whole words; those without a letter never do."""
    return among(folded(text), phrases) if phrases else ()


def among(plain: str, phrases: tuple[str, ...]) -> tuple[str, ...]:
    """As `matches`, in a text that is folded already."""
    return tuple(
        phrase
        for phrase, core, pattern in _sought(phrases)
        if core in plain and pattern.search(plain)
    )


@lru_cache(maxsize=64)
def _sought(phrases: tuple[str, ...]) -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    both = ((phrase, folded(phrase)) for phrase in phrases)
    return tuple(
        (phrase, core, re.compile(_edge(core[0], "<") + re.escape(core) + _edge(core[-1], "")))
        for phrase, core in both
        if any(c.isalnum() for c in core)
    )


def _edge(letter: str, behind: str) -> str:
    """What must not stand beside this letter of a phrase."""
    spaced = not unicodedata.name(letter, "").startswith(_NO_SPACES)
    return rf"(?{behind}!\w)" if spaced and (letter.isalnum() or letter == "_") else ""
