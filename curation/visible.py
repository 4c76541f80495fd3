"""Show what a reader cannot see: characters without a shape, and markup that would act if rendered.

What it does not catch: letters that only look alike (Cyrillic a for Latin a), unusual but visible
spaces (no-break, ideographic), a hidden message carried by visible words, and addresses written
without a scheme or `www.`.
"""

import re
import unicodedata
from dataclasses import dataclass

from storage.blank import plain, unseen

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
    if plain(text):
        return ()
    return tuple(
        Hidden(i, f"U+{ord(c):04X}", unicodedata.name(c, "").lower())
        for i, c in enumerate(text)
        if unseen(text, i, c)
    )


def reveal(text: str) -> str:
    """`text` with each invisible character written as ⟦U+200B⟧. For display only, never stored."""
    if plain(text):
        return text
    return "".join(f"⟦U+{ord(c):04X}⟧" if unseen(text, i, c) else c for i, c in enumerate(text))


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
