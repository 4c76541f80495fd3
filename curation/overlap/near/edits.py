"""Texts that a few edits turn into each other: small changes break most runs of three words.

Of messages of a dozen words in which one word in twenty was changed, only every sixth still shares
80 % of its word runs; edit distances (Levenshtein, 1966; by rapidfuzz) find them. Candidates share
rare runs of characters (`candidates`); every candidate is then measured exactly. Texts under five
characters, and texts that say the same in other words, are not found.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from curation.overlap.duplicates import Near
from curation.overlap.near.candidates import Places, proposed
from storage import steps

_LETTERS = 0x110000
"""How many characters there are to stand for words."""
_SLACK = 1e-6
"""Limits are loosened by this much where many are measured; the exact measure has the last word."""


def pairs(
    texts: Sequence[str], threshold: float = 0.8, step: steps.Step = steps.quiet
) -> list[Near]:
    """Pairs of different texts, by their places, with `similarity` at or over the threshold: how
    much stays of the words, or of the characters. In the order of places.

    Not every such pair: candidates are proposed by shared runs, at most a hundred for one text.
    """
    near: dict[tuple[int, int], float] = {}
    ruler = Ruler(texts, threshold)
    for a, b in proposed(texts, step):
        near.update(ruler.measured(np.minimum(a, b), np.maximum(a, b)))
    return [Near(a, b, near[a, b]) for a, b in sorted(near)]


def similarity(left: str, right: str, threshold: float = 0.8) -> float | None:
    """How much of two texts stays when one is edited into the other, 0 to 1; None if too little.

    Of the words at least `threshold` must stay, or of the characters a quarter nearer to 1: letters
    agree by chance more often than words do. Characters are only looked at where words are too few:
    that takes ten times as long.
    """
    word_share = _staying(left.split(), right.split(), threshold)
    if word_share is not None:
        return word_share
    return _staying(left, right, _of_letters(threshold))


def closest(left: str, right: str, threshold: float = 0.8) -> float | None:
    """As `similarity`, but the greater of words and characters: it tells finer and takes longer."""
    letter_share = _staying(left, right, _of_letters(threshold))
    word_share = _staying(left.split(), right.split(), threshold)
    return max((alike for alike in (letter_share, word_share) if alike is not None), default=None)


def _of_letters(threshold: float) -> float:
    return threshold + (1 - threshold) / 4


def _staying(left: Sequence[str], right: Sequence[str], minimum: float) -> float | None:
    longer = max(len(left), len(right))
    limit = (1 - minimum) * longer + 1e-9
    if not longer or abs(len(left) - len(right)) > limit:
        return None
    distance = levenshtein(left, right, limit)
    return None if distance is None else 1 - distance / longer


def levenshtein(left: Sequence[str], right: Sequence[str], limit: float) -> int | None:
    """The fewest insertions, removals and replacements; None if they are over `limit`."""
    distance = Levenshtein.distance(left, right, score_cutoff=int(limit))
    return None if distance > limit else distance


class Ruler:
    """Measures many pairs of texts at once, in C; what passes is measured again by `similarity`."""

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        self._texts, self._threshold = texts, threshold
        numbers: dict[str, int] = {}
        # A word becomes a character, so that edits of words are counted as fast as those of
        # characters. Of more words than there are characters some share one: too many pass then.
        self._words = [
            "".join([chr(numbers.setdefault(w, len(numbers)) % _LETTERS) for w in text.split()])
            for text in texts
        ]

    def measured(self, a: Places, b: Places) -> dict[tuple[int, int], float]:
        """Those of the pairs of places that are near and not the same, with their similarity."""
        near = _may_stay(self._words, a, b, self._threshold)
        unlike = np.flatnonzero(~near)
        letters = _of_letters(self._threshold)
        near[unlike] = _may_stay(self._texts, a[unlike], b[unlike], letters)
        alike = {}
        for one, other in zip(a[near].tolist(), b[near].tolist(), strict=True):
            share = similarity(self._texts[one], self._texts[other], self._threshold)
            if share is not None and self._texts[one] != self._texts[other]:
                alike[one, other] = share
        return alike


def _may_stay(texts: Sequence[str], a: Places, b: Places, minimum: float) -> npt.NDArray[np.bool_]:
    """Which pairs keep about this much of one another."""
    left = [texts[place] for place in a.tolist()]
    right = [texts[place] for place in b.tolist()]
    sizes = [np.fromiter(map(len, side), np.int64, len(side)) for side in (left, right)]
    longer = np.maximum(*sizes)
    may = (np.abs(sizes[0] - sizes[1]) <= (1 - minimum) * longer + _SLACK) & (longer > 0)
    at = np.flatnonzero(may)
    share = process.cpdist(
        [left[place] for place in at.tolist()],
        [right[place] for place in at.tolist()],
        scorer=Levenshtein.normalized_similarity,
        score_cutoff=minimum - _SLACK,
    )
    may[at] = share > 0
    near: npt.NDArray[np.bool_] = may
    return near
