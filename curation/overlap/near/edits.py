"""Texts that a few edits turn into each other: small changes break most runs of three words.

Of messages of a dozen words in which one word in twenty was changed, only every sixth still shares
80 % of its word runs; edit distances (Levenshtein, 1966; by rapidfuzz) find them. Candidates share
rare runs of five characters; every candidate is then measured exactly. Texts under five characters,
and texts that say the same in other words, are not found.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from curation.overlap.duplicates import Near

_GRAM = 5
_SAMPLE = 64
"""Runs taken of a long text, at least: by their hash, so that all texts keep the same ones."""
_LOST = 0.55
"""The share of its runs that an edited text may lose before it is no longer looked at."""
_PROBED = 16
"""The runs by which a text looks for others: its rarest among those that others have, too."""
_LIMIT = 50
"""Candidates measured for one text, those with most runs in common."""
_BUCKETS = 22
_BLOCK, _WORK = 2_000, 20_000_000


def pairs(texts: Sequence[str], threshold: float = 0.8) -> list[Near]:
    """Pairs of different texts, by their places, with `similarity` at or over the threshold: how
    much stays of the words, or of the characters. In the order of places.

    Not every such pair: candidates are proposed by shared runs, at most fifty for one text.
    """
    near = []
    for a, b in sorted({(min(pair), max(pair)) for pair in _candidates(texts)}):
        alike = similarity(texts[a], texts[b], threshold)
        if alike is not None and texts[a] != texts[b]:
            near.append(Near(a, b, alike))
    return near


def similarity(left: str, right: str, threshold: float = 0.8) -> float | None:
    """How much of two texts stays when one is edited into the other, 0 to 1; None if too little.

    Of the words at least `threshold` must stay, or of the characters a quarter nearer to 1: letters
    agree by chance more often than words do. Characters are only looked at where words are too few:
    that takes ten times as long.
    """
    word_share = _staying(left.split(), right.split(), threshold)
    if word_share is not None:
        return word_share
    return _staying(left, right, threshold + (1 - threshold) / 4)


def closest(left: str, right: str, threshold: float = 0.8) -> float | None:
    """As `similarity`, but the greater of words and characters: it tells finer and takes longer."""
    letter_share = _staying(left, right, threshold + (1 - threshold) / 4)
    word_share = _staying(left.split(), right.split(), threshold)
    return max((alike for alike in (letter_share, word_share) if alike is not None), default=None)


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


def _candidates(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of places with enough rare runs in common, long texts by a sample of their runs."""
    sizes = np.array([max(1, len(text) - _GRAM + 1) for text in texts])
    levels = np.maximum(0, np.floor(np.log2(sizes / _SAMPLE))).astype(int)
    for level in np.unique(levels):
        places = np.flatnonzero((levels == level) | (levels == level - 1))
        for a, b in _joined([texts[int(at)] for at in places], int(level)):
            yield int(places[a]), int(places[b])


def _joined(texts: Sequence[str], level: int) -> Iterator[tuple[int, int]]:
    """Candidates among texts of about one length, by runs whose hash ends in `level` zero bits."""
    from scipy.sparse import csr_array

    rows, runs = _runs(texts, level)
    frequency = np.bincount(runs, minlength=1 << _BUCKETS)
    counts = np.bincount(rows, minlength=len(texts))
    starts = np.concatenate([[0], np.cumsum(counts)])
    shared = frequency[runs] > 1
    order = np.lexsort((frequency[runs], ~shared, rows))
    rank = np.arange(len(rows)) - np.repeat(starts[:-1], counts)
    probing = np.zeros(len(rows), bool)
    probing[order] = rank < _PROBED
    shape = (len(texts), 1 << _BUCKETS)

    def table(chosen: NDArray[np.bool_]) -> Any:  # noqa: ANN401 - scipy has no types
        return csr_array((np.ones(chosen.sum(), np.uint16), (rows[chosen], runs[chosen])), shape)

    probes, stored = table(probing & shared), table(shared).T.tocsr()
    required = np.maximum(1, np.ceil((1 - _LOST) * counts))
    enough = 1 + (counts > 2 * _PROBED)
    marks = np.zeros(1 << _BUCKETS, bool)
    for start, common in _products(probes, stored, rows, frequency[runs] * (probing & shared)):
        for at, candidates in _best(common, start, enough):
            own = runs[starts[at] : starts[at + 1]]
            marks[own] = True
            for candidate in candidates:
                both = marks[runs[starts[candidate] : starts[candidate + 1]]].sum()
                if both >= min(required[at], required[candidate]):
                    yield at, int(candidate)
            marks[own] = False


def _products(
    probes: Any,  # noqa: ANN401 - scipy has no types
    stored: Any,  # noqa: ANN401
    rows: NDArray[Any],
    touched: NDArray[Any],
) -> Iterator[tuple[int, Any]]:
    """How many runs texts have in common, in blocks that touch about as many entries each."""
    texts = probes.shape[0]
    work = np.cumsum(np.bincount(rows, touched, texts))
    steps = np.arange(0, work[-1] + 1, _WORK) if texts else np.zeros(0)
    cuts = np.unique(np.searchsorted(work, steps))
    for start, stop in zip(cuts, [*cuts[1:], texts], strict=True):
        yield int(start), (probes[start:stop] @ stored).tocsr()


def _best(
    common: Any,  # noqa: ANN401 - scipy has no types
    start: int,
    enough: NDArray[Any],
) -> Iterator[tuple[int, NDArray[Any]]]:
    """For each text those with enough of its rare runs, those with most of them first."""
    for at in range(common.shape[0]):
        row = slice(common.indptr[at], common.indptr[at + 1])
        candidates, counts = common.indices[row], common.data[row].astype(int)
        good = (counts >= enough[start + at]) & (candidates != start + at)
        if good.any():
            ranked = np.argsort(-counts[good], kind="stable")[:_LIMIT]
            yield start + at, candidates[good][ranked]


def _runs(texts: Sequence[str], level: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Row and hash bucket of each run of five characters, once in each row."""
    blocks = [_hashed(texts[at : at + _BLOCK], level) for at in range(0, len(texts), _BLOCK)]
    keys = [(rows + n * _BLOCK, runs) for n, (rows, runs) in enumerate(blocks)]
    if not keys:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([rows for rows, _ in keys]), np.concatenate([runs for _, runs in keys])


def _hashed(texts: Sequence[str], level: int) -> tuple[NDArray[Any], NDArray[Any]]:
    padded = [text.ljust(_GRAM) for text in texts]
    sizes = np.array([len(text) for text in padded])
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
    owner = np.repeat(np.arange(len(texts)), sizes)
    remaining = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(points))
    complete = remaining >= _GRAM
    hashed = np.zeros(len(points), np.uint64)
    for at in range(_GRAM):
        hashed = hashed * np.uint64(0x100000001B3) + np.roll(points, -at)
    hashed = (hashed ^ (hashed >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    chosen = complete & ((hashed >> np.uint64(8)) % np.uint64(1 << level) == 0)
    runs = (hashed[chosen] >> np.uint64(64 - _BUCKETS)).astype(np.int64)
    keys = np.unique(owner[chosen].astype(np.int64) << _BUCKETS | runs)
    return keys >> _BUCKETS, keys & ((1 << _BUCKETS) - 1)
