"""Texts that may be nearly the same: they share rare runs of characters, far fewer than all pairs.

The time grows little faster than the number of texts: a run that many of them have proposes
nothing, and longer runs, of which more are rare, are looked at too where there are very many texts.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage import steps

Places = NDArray[np.int64]

_GRAMS = (5, 9)
"""Characters in a run. The longer runs are only looked at where there are very many texts: some
texts have no rare run of the shorter kind then."""
_SAMPLE = 64
"""Runs taken of a long text, at least: by their hash, so that all texts keep the same ones."""
_PROBED = 16
"""The runs by which a text looks for others: its rarest among those that others have, too."""
_LIMIT = 100
"""Candidates proposed for one text, those with most runs in common."""
_BUCKETS = 22
_BLOCK, _WORK = 2_000, 2_500_000
_COMMON, _MEETINGS = 100, 2_500_000
"""A run in more texts than the first, and than the second over the number of texts, is no probe:
what so many say tells little, and meeting by it would grow with the square."""
BINS, _BIN_BITS = 128, 7
EMPTY = np.uint16(0xFFFF)
_HINT = 0.12
"""The share of bins in which the sketches of two texts must agree. Nearly the same ones share a
quarter of their runs at least: of ten thousand such pairs fewer than five look unlike."""
_AT_ONCE = 1 << 16


def proposed(
    texts: Sequence[str], step: steps.Step = steps.quiet
) -> Iterator[tuple[Places, Places]]:
    """Pairs of places with enough rare runs in common, long texts by a sample of their runs."""
    passes = list(_passes(texts))
    total, done = sum(len(places) for places, *_ in passes), 0
    for places, level, gram, most in passes:
        step(done, total)
        tell = steps.part(step, done / total, (done + len(places)) / total, total)
        for a, b in _joined([texts[int(at)] for at in places], level, gram, most, tell):
            yield places[a], places[b]
        done += len(places)


def _passes(texts: Sequence[str]) -> Iterator[tuple[Places, int, int, int]]:
    """Texts of about one length by their places, with what they are compared by: the level and
    length of the runs, and in how many texts one may be."""
    sizes = np.array([max(1, len(text) - _GRAMS[0] + 1) for text in texts])
    levels = np.maximum(0, np.floor(np.log2(sizes / _SAMPLE))).astype(int)
    for level in np.unique(levels):
        places = np.flatnonzero((levels == level) | (levels == level - 1))
        most = max(_COMMON, _MEETINGS // len(places))
        for gram in _GRAMS if most < len(places) else _GRAMS[:1]:
            yield places, int(level), gram, most


def _joined(
    texts: Sequence[str], level: int, gram: int, most: int, step: steps.Step
) -> Iterator[tuple[Places, Places]]:
    """Candidates among texts of about one length, by runs whose hash ends in `level` zero bits and
    that are in no more than `most` of them."""
    rows, runs = _runs(texts, level, gram, step)
    counts = np.bincount(rows, minlength=len(texts))
    sketches = _sketches(rows, runs, len(texts))
    frequency = np.bincount(runs, minlength=1 << _BUCKETS).astype(np.int32)[runs]
    useful = (frequency > 1) & (frequency <= most)
    rows, runs, frequency = rows[useful], runs[useful], frequency[useful]
    probing = _rarest(rows, frequency, len(texts))
    enough = 1 + (counts > 2 * _PROBED)
    for start, common in _products(len(texts), rows, runs, frequency, probing):
        step(start, len(texts))
        a, b = _best(common, start, enough)
        alike = _agreeing(sketches, a, b)
        yield a[alike], b[alike]


def _rarest(rows: NDArray[Any], frequency: NDArray[Any], count: int) -> NDArray[np.bool_]:
    """Which runs are among the rarest of their row. Rows are in ascending order."""
    starts = np.searchsorted(rows, np.arange(0, count + _BLOCK, _BLOCK))
    rarest = np.zeros(len(rows), np.bool_)
    for first, last in pairwise(starts.tolist()):
        order = np.lexsort((frequency[first:last], rows[first:last])) + first
        ascending = rows[order]
        rank = np.arange(first, last) - np.searchsorted(ascending, ascending) - first
        rarest[order[rank < _PROBED]] = True
    return rarest


def _products(
    count: int,
    rows: NDArray[Any],
    runs: NDArray[Any],
    frequency: NDArray[Any],
    probing: NDArray[np.bool_],
) -> Iterator[tuple[int, Any]]:
    """How many runs texts have in common, in blocks that touch about as many entries each."""
    from scipy.sparse import csr_array

    def table(rows: NDArray[Any], runs: NDArray[Any]) -> Any:  # noqa: ANN401 - scipy has no types
        return csr_array((np.ones(len(rows), np.uint16), (rows, runs)), (count, 1 << _BUCKETS))

    probes, stored = table(rows[probing], runs[probing]), table(rows, runs).T.tocsr()
    work = np.cumsum(np.bincount(rows[probing], frequency[probing], count))
    edges = np.arange(0, work[-1] + 1, _WORK) if count else np.zeros(0)
    cuts = np.unique(np.searchsorted(work, edges))
    for start, stop in zip(cuts, [*cuts[1:], count], strict=True):
        yield int(start), (probes[start:stop] @ stored).tocsr()


def _best(
    common: Any,  # noqa: ANN401 - scipy has no types
    start: int,
    enough: NDArray[Any],
) -> tuple[Places, Places]:
    """For each text those with enough of its rare runs, of many those with most of them."""
    good = common.data >= np.repeat(enough[start : start + common.shape[0]], np.diff(common.indptr))
    a = np.repeat(np.arange(common.shape[0]), np.diff(common.indptr))[good] + start
    b, counts = common.indices[good].astype(np.int64), common.data[good].astype(np.int64)
    # The text itself, which shares all of its probes with itself, stands first.
    many = np.bincount(a, minlength=1)[a] > _LIMIT + 1
    if many.any():
        key = (a[many] << 8 | 255 - np.minimum(counts[many], 255)) * len(enough) + b[many]
        key.sort()
        ranked = key // len(enough) >> 8
        key = key[np.arange(len(key)) - np.searchsorted(ranked, ranked) <= _LIMIT]
        a = np.append(a[~many], key // len(enough) >> 8)
        b = np.append(b[~many], key % len(enough))
    return a[a != b], b[a != b]


def _sketches(rows: NDArray[Any], runs: NDArray[Any], count: int) -> NDArray[np.uint16]:
    """Of the runs that fall into each bin the lowest: sets that share many agree in many bins."""
    sketches = np.full(count * BINS, EMPTY, np.uint16)
    for at in range(0, len(rows), _AT_ONCE):
        some = runs[at : at + _AT_ONCE]
        cells = rows[at : at + _AT_ONCE].astype(np.int64) * BINS + (some & (BINS - 1))
        np.minimum.at(sketches, cells, (some >> _BIN_BITS).astype(np.uint16))
    return sketches.reshape(count, BINS)


def sketched(texts: Sequence[str]) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Sketches of all runs of five characters of texts, some at a time, with the place of the first
    of them: of the runs in each of `BINS` bins the lowest, `EMPTY` where there is none."""
    for first in range(0, len(texts), _BLOCK):
        some = texts[first : first + _BLOCK]
        yield first, _sketches(*_hashed(some, 0, _GRAMS[0]), len(some))


def _agreeing(sketches: NDArray[np.uint16], a: Places, b: Places) -> NDArray[np.bool_]:
    """Which pairs agree in enough of the bins that one of them fills."""
    agreeing = np.zeros(len(a), np.bool_)
    for at in range(0, len(a), _AT_ONCE):
        left, right = sketches[a[at : at + _AT_ONCE]], sketches[b[at : at + _AT_ONCE]]
        filled = (left != EMPTY) | (right != EMPTY)
        equal = (left == right) & filled
        agreeing[at : at + _AT_ONCE] = equal.sum(1) >= _HINT * filled.sum(1)
    return agreeing


def _runs(
    texts: Sequence[str], level: int, gram: int, step: steps.Step
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Row and hash bucket of each run of characters, once in each row."""
    blocks = []
    for at in range(0, len(texts), _BLOCK):
        step(0, len(texts))
        blocks.append(_hashed(texts[at : at + _BLOCK], level, gram))
    rows = [rows + np.int32(n * _BLOCK) for n, (rows, _) in enumerate(blocks)]
    nothing = np.zeros(0, np.int32)
    return np.concatenate([nothing, *rows]), np.concatenate(
        [nothing, *(runs for _, runs in blocks)]
    )


def _hashed(
    texts: Sequence[str], level: int, gram: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    padded = [text.ljust(gram) for text in texts]
    sizes = np.array([len(text) for text in padded])
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
    owner = np.repeat(np.arange(len(texts)), sizes)
    remaining = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(points))
    complete = remaining >= gram
    hashed = np.zeros(len(points), np.uint64)
    for at in range(gram):
        hashed = hashed * np.uint64(0x100000001B3) + np.roll(points, -at)
    hashed = (hashed ^ (hashed >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    chosen = complete & ((hashed >> np.uint64(8)) % np.uint64(1 << level) == 0)
    runs = (hashed[chosen] >> np.uint64(64 - _BUCKETS)).astype(np.int64)
    keys = np.sort(owner[chosen] << _BUCKETS | runs)
    keys = keys[np.diff(keys, prepend=-1) != 0]  # numpy's own `unique` takes five times as long
    rows, runs = keys >> _BUCKETS, keys & ((1 << _BUCKETS) - 1)
    return rows.astype(np.int32), runs.astype(np.int32)
