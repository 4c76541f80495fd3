"""What a reader cannot see: characters without a shape, and texts that hold nothing else.

What it does not catch: letters that only look alike, and unusual but visible spaces inside a text.
"""

import re
import unicodedata

# Blank by design though Unicode files them under letters, marks or symbols.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Python calls these printable, so they are looked for by themselves.
_PRINTABLE_UNSEEN = re.compile(
    f"[{''.join(sorted(_BLANK))}\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_EMOJI_STYLE = "\ufe0e\ufe0f"
_JOINER = "\u200d"
_HIDDEN_CATEGORIES = frozenset({"Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"})


def trim(text: str) -> str:
    """The text without white space around it; "" where a reader sees nothing at all.

    Each field that must not be empty is asked this, in every verb: what looks empty is empty.
    """
    return text.strip() if any(not c.isspace() for c in seen(text)) else ""


def seen(text: str) -> str:
    """The text without its invisible characters."""
    if plain(text):
        return text
    return "".join(c for i, c in enumerate(text) if not unseen(text, i, c))


def plain(text: str) -> bool:
    """Quickly, whether nothing here can be invisible; False where a closer look is needed."""
    line = text.replace("\n", "").replace("\t", "")
    return line.isprintable() and (line.isascii() or not _PRINTABLE_UNSEEN.search(line))


def unseen(text: str, i: int, c: str) -> bool:
    """Whether the character `c` at `i` of `text` has no shape of its own."""
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
