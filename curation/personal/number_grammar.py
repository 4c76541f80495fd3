"""A small grammar for account and order numbers: no regular expression ever comes from a person.

`9` a digit, `A` a capital letter, `a` a letter, `*` a letter or digit; `{6}` or `{4,8}` after one
of them says how often. Letters and digits that stand for themselves are quoted: `"ORD"-9{6}`. A
space and `- . / : # _ +` stand for themselves. Nothing is found inside longer words or numbers.

Each pattern becomes a regular expression that never goes back on what it took, so the time is in
proportion to the text. What this cannot say: either-or, counts over 40, numbers with check digits.
"""

import re
from dataclasses import dataclass
from functools import cache

from storage.errors import BadInput

MAX_LENGTH = 60
MAX_COUNT = 40
_CLASSES = {"9": r"\d", "A": "[A-Z]", "a": "[A-Za-z]", "*": "[A-Za-z0-9]"}
_ITEM = re.compile(
    r'(?:"(?P<quoted>[^"\s{}]{1,20})"|(?P<kind>[9Aa*])|(?P<plain>[ ./:#_+-]))'
    r"(?:\{(?P<low>\d{1,2})(?:,(?P<high>\d{1,2}))?\})?"
)
_SAMPLES = {"9": "5", "A": "Q", "a": "Qq", "*": "5Qq"}
_ADVICE = 'Write 9 for a digit, A for a capital letter, and quote fixed letters: "ORD"-9{6}.'


@dataclass(frozen=True, slots=True)
class _Item:
    """One part of a pattern and how often it stands there."""

    regex: str
    kind: str
    """`9`, `A`, `a`, `*`; empty for characters that stand for themselves."""
    literal: str
    low: int
    high: int

    def meets(self, following: "_Item") -> bool:
        """Whether what follows could begin with a character that this part would have taken."""
        mine = re.compile(self.regex)
        starts = _SAMPLES[following.kind] if following.kind else following.literal[:1]
        return any(mine.fullmatch(char) for char in starts)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern.

    Raises:
        BadInput: the pattern is not in the grammar, too long, or would match ordinary words.
    """
    items = _parsed(pattern)
    _refuse_overlaps(items)
    _refuse_loose(items)
    body = "".join(f"{item.regex}{{{item.low},{item.high}}}+" for item in items)
    return re.compile(rf"(?<![^\W_]){body}(?![^\W_])", re.ASCII)


def _parsed(pattern: str) -> list[_Item]:
    if not pattern.strip() or len(pattern) > MAX_LENGTH:
        raise BadInput(f"A pattern has 1 to {MAX_LENGTH} characters.")
    items, at = [], 0
    while at < len(pattern):
        match = _ITEM.match(pattern, at)
        if match is None:
            raise BadInput(f"The pattern cannot be read from character {at + 1} on. {_ADVICE}")
        items.append(_item(match))
        at = match.end()
    return items


def _item(match: re.Match[str]) -> _Item:
    low = int(match["low"] or 1)
    high = int(match["high"] or low)
    if high > MAX_COUNT or high < max(1, low):
        raise BadInput(f"A count is a number up to {MAX_COUNT}, the smaller first: 9{{4,8}}.")
    kind = match["kind"] or ""
    literal = match["quoted"] or match["plain"] or ""
    if len(literal) > 1 and (low, high) != (1, 1):
        raise BadInput("A count stands after one character or class, not after quoted words.")
    regex = _CLASSES[kind] if kind else f"(?:{re.escape(literal)})"
    return _Item(regex, kind, literal, low, high)


def _refuse_overlaps(items: list[_Item]) -> None:
    """A part of changing length must end where the next one begins, or it would take too much."""
    for place, item in enumerate(items):
        if item.low == item.high:
            continue
        for after in items[place + 1 :]:
            if item.meets(after):
                raise BadInput(
                    "After a count such as {4,8} something else must follow, or it is not clear "
                    "where the one ends. Join the two into one count."
                )
            if after.low:
                break


def _refuse_loose(items: list[_Item]) -> None:
    least = sum(item.low * max(1, len(item.literal)) for item in items)
    digits = sum(item.low for item in items if item.kind == "9")
    fixed = any(len(item.literal) > 1 for item in items)
    if least < 4 or not (digits >= 2 or (fixed and digits)):
        raise BadInput(
            "A pattern needs at least 4 characters with 2 digits (9) among them, or quoted letters "
            "and a digit: anything looser would match ordinary words."
        )
