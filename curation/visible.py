"""Show what a reader cannot see: characters without a shape, and markup that would act if rendered.

What it does not catch: letters that only look alike (Cyrillic a for Latin a), unusual but visible
spaces (no-break, ideographic), a hidden message carried by visible words, and addresses written
without a scheme or `www.`.
"""

import re
import unicodedata
from dataclasses import dataclass

# Blank by design though Unicode files them under letters, marks or symbols.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Python calls these printable, so they are looked for by themselves.
_PRINTABLE_UNSEEN = re.compile(
    f"[{''.join(sorted(_BLANK))}\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_EMOJI_STYLE = "\ufe0e\ufe0f"
_JOINER = "\u200d"
_HIDDEN_CATEGORIES = frozenset({"Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"})

_HTML = re.compile(r"</?[a-zA-Z][a-zA-Z0-9-]{0,40}(?=[\s/>])|<!--|<!doctype", re.IGNORECASE)
_IMAGE = re.compile(r"!\[[^\]\n]{0,500}\]\(\s{0,9}<?(?:[a-z][a-z0-9+.-]{0,20}:)?//", re.IGNORECASE)
_IMAGE_TAG = re.compile(r"<(?:img|image|picture|source|video|iframe|svg)\b", re.IGNORECASE)
_LINK = re.compile(
    r"\b(?:https?|ftp|wss?)://|\bwww\.\w|\]\(\s{0,9}<?//|\]\(\s{0,9}<?(?:javascript|data|file):",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Hidden:
    """One character that has no shape of its own."""

    offset: int
    code: str
    """As in `U+200B`."""
    name: str
    """Unicode's name in lower case, or "" where it has none."""


def hidden(text: str) -> tuple[Hidden, ...]:
    """Every invisible character of `text`, in order."""
    if _plain(text):
        return ()
    return tuple(
        Hidden(i, f"U+{ord(c):04X}", unicodedata.name(c, "").lower())
        for i, c in enumerate(text)
        if _unseen(text, i, c)
    )


def reveal(text: str) -> str:
    """`text` with each invisible character written as ⟦U+200B⟧. For display only, never stored."""
    if _plain(text):
        return text
    return "".join(f"⟦U+{ord(c):04X}⟧" if _unseen(text, i, c) else c for i, c in enumerate(text))


def empty(text: str) -> bool:
    """Whether a reader sees nothing at all: only white space and invisible characters."""
    stripped = text.strip()
    return not stripped or all(
        c.isspace() or _unseen(stripped, i, c) for i, c in enumerate(stripped)
    )


def has_markup(text: str) -> tuple[str, ...]:
    """Kinds of markup in `text`, in plain words; empty where there is none."""
    kinds = []
    if _HTML.search(text):
        kinds.append("HTML")
    if _IMAGE.search(text) or _IMAGE_TAG.search(text):
        kinds.append("an image from elsewhere")
    if _LINK.search(text):
        kinds.append("a link to elsewhere")
    return tuple(kinds)


def _plain(text: str) -> bool:
    """Quickly, whether nothing here can be invisible; False where a closer look is needed."""
    line = text.replace("\n", "").replace("\t", "")
    return line.isprintable() and (line.isascii() or not _PRINTABLE_UNSEEN.search(line))


def _unseen(text: str, i: int, c: str) -> bool:
    if c in "\n\t" or (c == "\r" and text[i + 1 : i + 2] == "\n"):
        return False
    if c in _EMOJI_STYLE:
        return not _emoji(text, i - 1)
    if c == _JOINER:
        return not (_emoji(text, i - 1) and _emoji(text, i + 1))
    return c in _BLANK or _selector(c) or unicodedata.category(c) in _HIDDEN_CATEGORIES


def _selector(c: str) -> bool:
    """Variation selectors change a shape they follow; long runs of them carry hidden messages."""
    return (
        "\ufe00" <= c <= "\ufe0f" or "\U000e0100" <= c <= "\U000e01ef" or "\u180b" <= c <= "\u180f"
    )


def _emoji(text: str, i: int) -> bool:
    """Whether an emoji stands at `i`, so that one style mark or joiner beside it is ordinary."""
    if not 0 <= i < len(text):
        return False
    c = text[i]
    if c == "\ufe0f":
        return i > 0 and _pictures(text[i - 1])
    return _pictures(c)


def _pictures(c: str) -> bool:
    return (
        c in "#*0123456789" or unicodedata.category(c) == "So" or "\U0001f3fb" <= c <= "\U0001f3ff"
    )
