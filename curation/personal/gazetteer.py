"""Word lists of the scan: given names, places, everyday words, and the model's dictionary.

The lists lie in `word_lists` beside this file, with a README that says where each comes from.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

Dictionary = Callable[[str], bool]
"""Whether it holds a word, which is in lower case."""
_AMBIGUOUS = "Chad|Georgia|Guinea|Jersey|Jordan|Mali|Niger|Oman|Togo|Turkey|Maine|Washington"
"""Places that are also words or names: only with a capital, or after "in", "to" or "from"."""
_SUFFIXES = (
    "'s",
    "\u2019s",
    "s'",
    "es",
    "s",
    "ed",
    "d",
    "ing",
    "ly",
    "er",
    "ers",
    "r",
    "n't",
    "al",
    "able",
)


@cache
def word_list(name: str) -> frozenset[str]:
    """One list, in lower case."""
    file = Path(__file__).with_name("word_lists") / f"{name}.txt"
    return frozenset(file.read_text(encoding="utf-8").casefold().splitlines())


def first_names() -> frozenset[str]:
    """Given names."""
    return word_list("first_names")


def desk_terms() -> frozenset[str]:
    """Words of a support desk that the model takes for names; a finding of only such is none."""
    return word_list("desk_terms")


@cache
def places() -> re.Pattern[str]:
    """Countries and states, in any case where they are nothing else."""
    longest_first = sorted(word_list("places"), key=lambda name: (-len(name), name))
    low = _AMBIGUOUS.casefold()
    return re.compile(
        rf"(?<!\w)(?:(?i:{'|'.join(map(re.escape, longest_first))})|{_AMBIGUOUS})(?!\w)"
        rf"|(?:(?<=\bin )|(?<=\bto )|(?<=\bfrom ))(?:{low})(?!\w)"
    )


def dictionary(entries: frozenset[str]) -> Dictionary:
    """Whether a word or the word it is formed from is among the entries."""

    @lru_cache(maxsize=20_000)
    def holds(word: str) -> bool:
        if word in entries or word in word_list("function_words"):
            return True
        if "-" in word:
            return all(part in entries or len(part) < 3 for part in word.split("-"))
        stems = {word[: -len(end)] for end in _SUFFIXES if word.endswith(end)}
        stems |= {stem + "e" for stem in stems} | {
            stem[:-1] for stem in stems if stem[-1:] == stem[-2:-1]
        }
        if word.endswith(("ies", "ied")):
            stems.add(word[:-3] + "y")
        return any(len(stem) > 2 and stem in entries for stem in stems)

    return holds
