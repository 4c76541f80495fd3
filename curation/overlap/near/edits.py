"""Texts that a few edits turn into each other: small changes break most runs of three words.

Of messages of a dozen words in which one word in twenty was changed, only every sixth still shares
80 % of its word runs; edit distances (Levenshtein, 1966) find them. Candidates share rare runs of
five characters; every candidate is then measured exactly. Texts under five characters, and texts
that say the same in other words, are not found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GRAM = 5
_SAMPLE = 64
"""Runs kept of a long text, at least: by their hash, so that all texts keep the same ones."""
_LOST = 0.55
"""The share of its runs that an edited text may lose before it is no longer looked at."""
_PROBED = 16
"""The runs by which a text looks for others: its rarest among those that others have, too."""
_MOST = 50
"""Candidates measured for one text, those with most runs in common."""
_BUCKETS = 22
_BLOCK, _WORK = 2_000, 20_000_000


@dataclass(frozen=True, slots=True)
class Alike:
    """Two texts by their places, a < b, and how much stays: of the words, or of the characters."""

    a: int
    b: int
    similarity: float


def pairs(texts: Sequence[str], threshold: float = 0.8) -> list[Alike]:
    """Pairs of different texts with `similarity` at or over the threshold, in the order of places.

    Not every such pair: candidates are proposed by shared runs, at most fifty for one text.
    """
    found = []
    for a, b in sorted({(min(pair), max(pair)) for pair in _candidates(texts)}):
        alike = similarity(texts[a], texts[b], threshold)
        if alike is not None and texts[a] != texts[b]:
            found.append(Alike(a, b, alike))
    return found


def similarity(one: str, other: str, threshold: float = 0.8) -> float | None:
    """How much of two texts stays when one is edited into the other, 0 to 1; None if too little.

    Of the words at least `threshold` must stay, or of the characters a quarter nearer to 1: letters
    agree by chance more often than words do. Characters are only looked at where words are too few:
    that takes ten times as long.
    """
    words = _staying(one.split(), other.split(), threshold)
    if words is not None:
        return words
    return _staying(one, other, threshold + (1 - threshold) / 4)


def closest(one: str, other: str, threshold: float = 0.8) -> float | None:
    """As `similarity`, but the greater of words and characters: it tells finer and takes longer."""
    letters = _staying(one, other, threshold + (1 - threshold) / 4)
    words = _staying(one.split(), other.split(), threshold)
    return max((alike for alike in (letters, words) if alike is not None), default=None)


def _staying(one: Sequence[str], other: Sequence[str], least: float) -> float | None:
    longer = max(len(one), len(other))
    most = (1 - least) * longer + 1e-9
    if not longer or abs(len(one) - len(other)) > most:
        return None
    distance = levenshtein(one, other, most)
    return None if distance is None else 1 - distance / longer


def levenshtein(one: Sequence[str], other: Sequence[str], most: float) -> int | None:
    """The least number of insertions, removals and replacements; None if it is over `most`.

    In one pass with a column of the table held in the bits of two numbers (Myers, 1999; Hyyrö,
    2003).
    """
    places: dict[str, int] = {}
    for at, part in enumerate(one):
        places[part] = places.get(part, 0) | 1 << at
    whole, last = (1 << len(one)) - 1, 1 << max(0, len(one) - 1)
    up, down, distance = whole, 0, len(one)
    for left, part in enumerate(other, 1 - len(other)):
        same = places.get(part, 0)
        across = (((same & up) + up) ^ up) | same
        rising, falling = down | ~(across | up), up & across
        distance += bool(rising & last) - bool(falling & last)
        if distance + left > most:
            return None
        rising, falling = (rising << 1) | 1, falling << 1
        level = same | down
        up, down = (falling | ~(level | rising)) & whole, rising & level & whole
    return distance


def _candidates(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of places with enough rare runs in common, long texts by a sample of their runs."""
    import numpy as np

    sizes = np.array([max(1, len(text) - _GRAM + 1) for text in texts])
    levels = np.maximum(0, np.floor(np.log2(sizes / _SAMPLE))).astype(int)
    for level in np.unique(levels):
        here = np.flatnonzero((levels == level) | (levels == level - 1))
        for a, b in _joined([texts[int(at)] for at in here], int(level)):
            yield int(here[a]), int(here[b])


def _joined(texts: Sequence[str], level: int) -> Iterator[tuple[int, int]]:
    """Candidates among texts of about one length, by runs whose hash ends in `level` zero bits."""
    import numpy as np
    from scipy.sparse import csr_array

    rows, runs = _runs(texts, level)
    known = np.bincount(runs, minlength=1 << _BUCKETS)
    many = np.bincount(rows, minlength=len(texts))
    starts = np.concatenate([[0], np.cumsum(many)])
    shared = known[runs] > 1
    order = np.lexsort((known[runs], ~shared, rows))
    rank = np.arange(len(rows)) - np.repeat(starts[:-1], many)
    probing = np.zeros(len(rows), bool)
    probing[order] = rank < _PROBED
    shape = (len(texts), 1 << _BUCKETS)

    def table(kept: "NDArray[np.bool_]") -> Any:  # noqa: ANN401 - scipy has no types
        return csr_array((np.ones(kept.sum(), np.uint16), (rows[kept], runs[kept])), shape)

    probes, stored = table(probing & shared), table(shared).T.tocsr()
    kept = np.maximum(1, np.ceil((1 - _LOST) * many))
    enough = 1 + (many > 2 * _PROBED)
    marks = np.zeros(1 << _BUCKETS, bool)
    for start, common in _products(probes, stored, rows, known[runs] * (probing & shared)):
        for at, others in _best(common, start, enough):
            mine = runs[starts[at] : starts[at + 1]]
            marks[mine] = True
            for other in others:
                both = marks[runs[starts[other] : starts[other + 1]]].sum()
                if both >= min(kept[at], kept[other]):
                    yield at, int(other)
            marks[mine] = False


def _products(
    probes: Any,  # noqa: ANN401 - scipy has no types
    stored: Any,  # noqa: ANN401
    rows: "NDArray[Any]",
    touched: "NDArray[Any]",
) -> Iterator[tuple[int, Any]]:
    """How many runs texts have in common, in blocks that touch about as many entries each."""
    import numpy as np

    texts = probes.shape[0]
    work = np.cumsum(np.bincount(rows, touched, texts))
    steps = np.arange(0, work[-1] + 1, _WORK) if texts else np.zeros(0)
    cuts = np.unique(np.searchsorted(work, steps))
    for start, stop in zip(cuts, [*cuts[1:], texts], strict=True):
        yield int(start), (probes[start:stop] @ stored).tocsr()


def _best(
    common: Any,  # noqa: ANN401 - scipy has no types
    start: int,
    enough: "NDArray[Any]",
) -> Iterator[tuple[int, "NDArray[Any]"]]:
    """For each text the others with enough of its rare runs, those with most of them first."""
    import numpy as np

    for at in range(common.shape[0]):
        one = slice(common.indptr[at], common.indptr[at + 1])
        others, counts = common.indices[one], common.data[one].astype(int)
        good = (counts >= enough[start + at]) & (others != start + at)
        if good.any():
            ranked = np.argsort(-counts[good], kind="stable")[:_MOST]
            yield start + at, others[good][ranked]


def _runs(texts: Sequence[str], level: int) -> tuple["NDArray[Any]", "NDArray[Any]"]:
    """Row and hash bucket of each run of five characters, once in each row."""
    import numpy as np

    found = [_hashed(texts[at : at + _BLOCK], level) for at in range(0, len(texts), _BLOCK)]
    keys = [(rows + n * _BLOCK, runs) for n, (rows, runs) in enumerate(found)]
    if not keys:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([rows for rows, _ in keys]), np.concatenate([runs for _, runs in keys])


def _hashed(texts: Sequence[str], level: int) -> tuple["NDArray[Any]", "NDArray[Any]"]:
    import numpy as np

    padded = [text.ljust(_GRAM) for text in texts]
    sizes = np.array([len(text) for text in padded])
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
    owner = np.repeat(np.arange(len(texts)), sizes)
    left = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(points))
    whole = left[: len(points)] >= _GRAM
    hashed = np.zeros(len(points), np.uint64)
    for at in range(_GRAM):
        hashed = hashed * np.uint64(0x100000001B3) + np.roll(points, -at)
    hashed = (hashed ^ (hashed >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    kept = whole & ((hashed >> np.uint64(8)) % np.uint64(1 << level) == 0)
    runs = (hashed[kept] >> np.uint64(64 - _BUCKETS)).astype(np.int64)
    keys = np.unique(owner[kept].astype(np.int64) << _BUCKETS | runs)
    return keys >> _BUCKETS, keys & ((1 << _BUCKETS) - 1)
