"""Every pair of sets with at least a given Jaccard similarity, exactly and without trying all.

Sets are put in one order, rare shingles first, so that two sets alike enough must share one of
their first few (prefix filter: Chaudhuri et al. 2006; with positions and shorter prefixes for the
smaller set: PPJoin, Xiao et al. 2008). What shares one is dropped where 512-bit sketches already
differ in too many bits; the rest is counted out. Equal sets are compared once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.overlap.near.shingles import Counts, Hashes, Shingles

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_RANK_BITS = np.uint64(4)
_RANK_AT = np.uint64(60)
_COMMONEST = 15
_NEVER = np.uint64(0xFFFFFFFFFFFFFFFF)
"""Stands for no shingle; as a hash it is as unlikely as any other."""
_AT_ONCE = 1 << 18
"""Shingles, or candidate pairs, worked on at once."""
_TABLE_STEP = 1 << 16
_SKETCH_BITS = 512
_SLACK = 1e-9
"""Bounds are loosened by this much against rounding; the exact count has the last word."""


@dataclass(frozen=True, slots=True)
class Sets:
    """The distinct sets of some rows, the smallest first; rows without a shingle are left out."""

    keys: Hashes
    """Shingles of each set in ascending order: four bits of rank, rare ones low, then the hash.
    Behind the last set is room for the largest."""
    starts: Counts
    """Where each set begins in `keys`."""
    sizes: Counts
    rows: Counts
    """The rows that have each set, set after set, ascending within one."""
    row_starts: Counts
    """Where the rows of each set begin in `rows`; one more than there are sets."""

    def having(self, place: int) -> list[int]:
        """The rows that have the set at this place."""
        rows: list[int] = self.rows[self.row_starts[place] : self.row_starts[place + 1]].tolist()
        return rows


@dataclass(frozen=True, slots=True)
class Alike:
    """Pairs of sets by their places, with their exact similarity, 0 to 1."""

    a: Counts
    b: Counts
    similarity: Floats
    done: float
    """The share of the work that is done with these."""


def sets(shingles: Shingles, threshold: float = 0) -> Sets:
    """Distinct sets in a common order. Takes the hashes out of `shingles` to save memory.

    Rows that no other can be this similar to, since too many of their shingles occur only once,
    may be left out.
    """
    ranks = _Ranks.of(shingles.chunks)
    rows, flat = _that_may_meet(shingles, ranks, threshold)
    counts = shingles.counts[rows]
    # Rows are read in blocks as wide as the widest, so that the last ones read past their end.
    spare = int(counts.max(initial=0))
    flat = np.append(flat, np.empty(spare, np.uint64))
    ends = np.cumsum(counts)
    order = np.argsort(counts, kind="stable")
    rows, counts, starts = rows[order], counts[order], (ends - counts)[order]
    keys = np.empty_like(flat)
    sizes, sums = np.empty_like(rows), np.empty(len(rows), np.uint64)
    filled = 0
    for first, last in _blocks(counts):
        block = _windows(flat, starts[first:last], int(counts[last - 1]))
        ranks.put(block)
        _cut_off(block, counts[first:last])
        block.sort(axis=1)
        fresh = block != _NEVER
        fresh[:, 1:] &= block[:, 1:] != block[:, :-1]
        sizes[first:last] = fresh.sum(axis=1)
        distinct = block[fresh]
        size = sizes[first:last]
        sums[first:last] = np.add.reduceat(distinct * distinct, np.cumsum(size) - size)
        keys[filled : filled + len(distinct)] = distinct
        filled += len(distinct)
    return _collapsed(keys[: filled + spare], sizes, sums, rows)


def pairs(sets: Sets, threshold: float) -> Iterator[Alike]:
    """All pairs of distinct sets with at least this similarity, each once, in no special order.

    Works for a threshold above 0; the lower it is, the more sets have to be compared.
    """
    entries = _Entries.of(sets, threshold)
    sketches = _sketches(sets, entries.sets)
    total = max(1, int(entries.candidates.sum()))
    done = 0
    for first, last in _set_ranges(entries.probes, entries.candidates):
        a, b = entries.expanded(first, last, sets, threshold)
        near = _may_be_alike(sketches, sets, a, b, threshold)
        # The same two may have met at several shingles.
        code = _distinct(b[near] * len(sets.sizes) + a[near])
        done += int(entries.candidates[first:last].sum())
        yield from counted(sets, code, threshold, done / total)


class Together:
    """Which sets hang together by the pairs joined so far."""

    def __init__(self, sets: Sets) -> None:
        self._found = sets
        self._first = np.arange(len(sets.sizes))

    def join(self, near: Alike) -> None:
        """Take more pairs in."""
        a, b = near.a, near.b
        while len(a):
            left, right = self._first[a], self._first[b]
            apart = left != right
            a, b = a[apart], b[apart]
            low, high = np.minimum(left, right)[apart], np.maximum(left, right)[apart]
            np.minimum.at(self._first, high, low)
            while np.any((further := self._first[self._first]) != self._first):
                self._first = further

    def groups(self) -> list[list[int]]:
        """Rows that hang together, two or more, each group and all groups in their order."""
        order = np.argsort(self._first, kind="stable")
        edges = np.flatnonzero(np.diff(self._first[order])) + 1
        groups = (
            sorted(row for place in places.tolist() for row in self._found.having(place))
            for places in np.split(order, edges)
        )
        return sorted(group for group in groups if len(group) > 1)


def row_pairs(
    sets: Sets,
    threshold: float,
    together: Together | None = None,
    search: Callable[[Sets, float], Iterator[Alike]] = pairs,
) -> Iterator[tuple[int, int, float]]:
    """All pairs of rows with at least this similarity, the lower row first; copies come first.

    Pairs are made as they are asked for: 10,000 copies of one row are 50 million of them. `search`
    finds the pairs of distinct sets.
    """
    for place in np.flatnonzero(np.diff(sets.row_starts) > 1).tolist():
        yield from ((a, b, 1.0) for a, b in combinations(sets.having(place), 2))
    for near in search(sets, threshold):
        if together is not None:
            together.join(near)
        places = zip(near.a.tolist(), near.b.tolist(), near.similarity.tolist(), strict=True)
        for a, b, similarity in places:
            for left, right in product(sets.having(a), sets.having(b)):
                yield min(left, right), max(left, right), similarity


def _that_may_meet(shingles: Shingles, ranks: "_Ranks", threshold: float) -> tuple[Counts, Hashes]:
    """The rows that another may be this similar to, and their hashes; each chunk is given up."""
    chunks, ends = shingles.chunks, np.cumsum(shingles.counts)
    rows, hashes, done = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)], 0
    while chunks:
        chunk = chunks.pop(0)
        first, last = np.searchsorted(ends, (done, done + len(chunk)), side="right").tolist()
        counts = shingles.counts[first:last]
        meets = _may_meet(chunk, counts, ranks, threshold)
        rows.append(first + np.flatnonzero(meets))
        hashes.append(chunk[np.repeat(meets, counts)])
        done += len(chunk)
    return np.concatenate(rows), np.concatenate(hashes)


def _may_meet(chunk: Hashes, counts: Counts, ranks: "_Ranks", threshold: float) -> Bools:
    """Whether enough of a row's shingles occur again for another to be this similar to it.

    Repeats within the row count, too: a row shares at most so many with another.
    """
    again = np.concatenate(([0], np.cumsum(ranks.of_hashes(chunk) != 0)))
    ends = np.cumsum(counts)
    enough: Bools = again[ends] - again[ends - counts] >= threshold * counts - _SLACK
    return enough & (counts > 0)


@dataclass(frozen=True, slots=True)
class _Ranks:
    """How common each shingle is: the exponent of about how often it occurs.

    Occurrences are counted in a table smaller than the hashes would need: a shingle may pass for
    more common than it is, never for rarer, and only one that occurs once has the rank 0.
    """

    table: npt.NDArray[np.uint8]
    shift: np.uint64

    @classmethod
    def of(cls, chunks: Sequence[Hashes]) -> "_Ranks":
        """Count these hashes."""
        count = sum(map(len, chunks))
        shift = np.uint64(64 - max(10, int(0.7 * count).bit_length()))
        return cls(_ranks(_occurrences(chunks, count, shift)), shift)

    def of_hashes(self, hashes: Hashes) -> npt.NDArray[np.uint8]:
        """The rank of each."""
        ranks: npt.NDArray[np.uint8] = self.table.take((hashes >> self.shift).view(np.int64))
        return ranks

    def put(self, hashes: Hashes) -> None:
        """Put its rank before each hash, in place of its last bits."""
        rank = self.of_hashes(hashes).astype(np.uint64)
        hashes >>= _RANK_BITS
        hashes |= rank << _RANK_AT


def _ranks(table: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.uint8]:
    """0 for one, 1 for two, 2 for three and four, and so on up to 15."""
    ranks = np.empty(len(table), np.uint8)
    for at in range(0, len(table), _TABLE_STEP):
        others = table[at : at + _TABLE_STEP].astype(np.float32) - np.float32(1)
        ranks[at : at + _TABLE_STEP] = np.minimum(np.frexp(others)[1], _COMMONEST)
    return ranks


def _occurrences(
    chunks: Sequence[Hashes], count: int, shift: np.uint64
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """How many of so many hashes have the same first bits."""
    kinds: tuple[type[np.unsignedinteger[Any]], ...] = (np.uint16, np.uint32)
    for kind in kinds:
        table = np.zeros(1 << 64 - int(shift), kind)
        for chunk in chunks:
            np.add.at(table, chunk >> shift, kind(1))
        if int(table.sum(dtype=np.uint64)) == count:
            break  # else some count went over what the smaller table holds
    return table


def _blocks(widths: Counts) -> Iterator[tuple[int, int]]:
    """Ranges of ascending widths that, padded to the widest, hold about `_AT_ONCE` cells."""
    first = 0
    while first < len(widths):
        last = first + max(1, _AT_ONCE // int(widths[first]))
        while last > first + 1 and (last - first) * int(widths[min(last, len(widths)) - 1]) > (
            2 * _AT_ONCE
        ):
            last = first + (last - first) // 2
        last = min(last, len(widths))
        yield first, last
        first = last


def _padded(flat: Hashes, starts: Counts, counts: Counts) -> npt.NDArray[np.uint64]:
    """Rows of `flat` under each other, filled up with `_NEVER`."""
    block = _windows(flat, starts, int(counts.max()))
    _cut_off(block, counts)
    return block


def _windows(flat: Hashes, starts: Counts, width: int) -> npt.NDArray[np.uint64]:
    """The next so many of `flat` from each start on, under each other."""
    windows = np.ndarray((len(flat) - width + 1, width), np.uint64, flat, strides=(8, 8))
    block: npt.NDArray[np.uint64] = windows[starts]
    return block


def _cut_off(block: npt.NDArray[np.uint64], counts: Counts) -> None:
    """Put `_NEVER` behind as many of each row, in place."""
    block[np.arange(block.shape[1]) >= counts[:, None]] = _NEVER


def _collapsed(keys: Hashes, sizes: Counts, sums: Hashes, rows: Counts) -> Sets:
    """Equal sets become one. Sums only propose which are equal; the sets themselves decide."""
    starts = np.cumsum(sizes) - sizes
    order = np.lexsort((rows, sums, sizes))
    starts, sizes, sums, rows = starts[order], sizes[order], sums[order], rows[order]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (sizes[1:] != sizes[:-1]) | (sums[1:] != sums[:-1])
    first = np.flatnonzero(new)[np.cumsum(new) - 1]
    for block in _parts(sizes, np.flatnonzero(~new)):
        equal = keys[_ranges(starts[block], sizes[block])]
        equal = equal == keys[_ranges(starts[first[block]], sizes[block])]
        new[block] = ~np.logical_and.reduceat(equal, np.cumsum(sizes[block]) - sizes[block])
    # A set that only has the same sum becomes one of its own, in front of the one it stood in.
    owner = np.where(new, np.arange(len(rows)), first)
    order = np.lexsort((rows, owner))
    head = np.flatnonzero(np.diff(owner[order], prepend=-1))
    owners = owner[order][head]
    return Sets(keys, starts[owners], sizes[owners], rows[order], np.append(head, len(rows)))


def _parts(sizes: Counts, wanted: Counts) -> Iterator[Counts]:
    """Some sets, in parts of about `_AT_ONCE` shingles."""
    if len(wanted):
        yield from np.split(wanted, _cuts(sizes[wanted]))


def _cuts(weights: Counts) -> Counts:
    """Where to cut so that the parts weigh about `_AT_ONCE` each."""
    return np.flatnonzero(np.diff(np.cumsum(weights) // _AT_ONCE)) + 1


def _ranges(starts: Counts, lengths: Counts) -> Counts:
    """`starts[0], starts[0] + 1, ...`, `lengths[0]` of them, then those of the next."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


@dataclass(frozen=True, slots=True)
class _Entries:
    """Where sets meet: first shingles of each, and the smaller sets that have them among theirs."""

    probes: Counts
    """The larger set of each meeting; ascending."""
    probe_at: Counts
    """Where in that set the shingle stands."""
    low: Counts
    candidates: Counts
    """How many of `indexed`, from `low` on, it meets there."""
    indexed: Counts
    indexed_at: Counts
    sets: Counts
    """All sets that meet another, ascending."""

    @classmethod
    def of(cls, sets: Sets, threshold: float) -> "_Entries":
        """Every meeting at a shingle of the prefixes, of sets whose sizes allow the threshold."""
        minimum = np.ceil(threshold * sets.sizes - _SLACK).astype(np.int64)
        key, owner, at = _prefixes(sets, sets.sizes - minimum + 1)
        order = np.argsort(key, kind="stable")
        key, owner, at = key[order], owner[order], at[order]
        group = np.cumsum(np.diff(key, prepend=key[:1]) != 0)
        # Of two sets the smaller shares at least this much, so that its prefix is shorter.
        both = np.ceil(2 * threshold / (1 + threshold) * sets.sizes - _SLACK).astype(np.int64)
        listed = at < (sets.sizes - both + 1)[owner]
        span = int(sets.sizes.max(initial=0)) + 1
        place = group * span + sets.sizes[owner]
        low = np.searchsorted(place[listed], group * span + minimum[owner])
        count = np.cumsum(listed) - listed - low
        meets = np.flatnonzero(count > 0)
        meets = meets[np.argsort(owner[meets], kind="stable")]
        indexed = owner[listed]
        named = np.zeros(len(sets.sizes), np.bool_)
        named[indexed] = named[owner[meets]] = True
        return cls(
            owner[meets],
            at[meets],
            low[meets],
            count[meets],
            indexed,
            at[listed],
            np.flatnonzero(named),
        )

    def expanded(
        self, first: int, last: int, sets: Sets, threshold: float
    ) -> tuple[Counts, Counts]:
        """Pairs, smaller set first, that can still share enough from where they meet."""
        count = self.candidates[first:last]
        index = _ranges(self.low[first:last], count)
        a, b = self.indexed[index], np.repeat(self.probes[first:last], count)
        size_a, size_b = sets.sizes[a], sets.sizes[b]
        remaining_a = size_a - self.indexed_at[index]
        remaining_b = size_b - np.repeat(self.probe_at[first:last], count)
        ok = np.minimum(remaining_a, remaining_b) >= _needed(size_a, size_b, threshold)
        return a[ok], b[ok]


def _prefixes(sets: Sets, lengths: Counts) -> tuple[Hashes, Counts, Counts]:
    """The first shingles of each set, its place and theirs; none that occurs only once."""
    parts = []
    for block in _parts(lengths, np.arange(len(lengths))):
        length = lengths[block]
        key = sets.keys[_ranges(sets.starts[block], length)]
        met = key >> _RANK_AT != 0
        at = _ranges(np.zeros_like(length), length)[met]
        parts.append((key[met], np.repeat(block, length)[met], at))
    if not parts:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    key, owner, at = (np.concatenate(part) for part in zip(*parts, strict=True))
    return key, owner, at


def _needed(size_a: Counts, size_b: Counts, threshold: float) -> Counts:
    """How many shingles two sets of these sizes must share."""
    share = threshold / (1 + threshold)
    needed: Counts = np.ceil(share * (size_a + size_b) - _SLACK).astype(np.int64)
    return needed


def _set_ranges(probes: Counts, weights: Counts) -> Iterator[tuple[int, int]]:
    """Ranges of about `_AT_ONCE` candidates that never part the meetings of one set."""
    cuts = np.searchsorted(probes, probes[_cuts(weights)])
    edges = _distinct(np.concatenate(([0], cuts, [len(probes)])))
    yield from zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)


def _distinct(numbers: Counts) -> Counts:
    """Each number once, ascending; numpy's own would first import its masked arrays."""
    ascending = np.sort(numbers)
    distinct: Counts = ascending[np.diff(ascending, prepend=-1) != 0]
    return distinct


def _sketches(sets: Sets, wanted: Counts) -> npt.NDArray[np.uint64]:
    """512 bits for each wanted set (others are zero): parities of how many shingles fall on each.

    Two sketches differ in at most as many bits as the sets do in shingles.
    """
    sketches = np.zeros((len(sets.sizes), _SKETCH_BITS // 64), np.uint64)
    for block in _parts(np.maximum(sets.sizes, _SKETCH_BITS), wanted):
        sizes = sets.sizes[block]
        bit = sets.keys[_ranges(sets.starts[block], sizes)] & np.uint64(_SKETCH_BITS - 1)
        cell = np.repeat(np.arange(len(block)) * _SKETCH_BITS, sizes) + bit.astype(np.int64)
        odd = (np.bincount(cell, minlength=len(block) * _SKETCH_BITS) & 1).astype(np.bool_)
        sketches[block] = np.packbits(odd).view(np.uint64).reshape(len(block), -1)
    return sketches


def _may_be_alike(
    sketches: npt.NDArray[np.uint64], sets: Sets, a: Counts, b: Counts, threshold: float
) -> Bools:
    """Whether sketches leave it open that two sets are alike enough."""
    size_a, size_b = sets.sizes[a], sets.sizes[b]
    limit = size_a + size_b - 2 * _needed(size_a, size_b, threshold)
    apart = np.zeros(len(a), np.int64)
    for word in range(sketches.shape[1]):
        column = sketches[:, word]
        apart += np.bitwise_count(column[a] ^ column[b])
    maybe: Bools = apart <= limit
    return maybe


def counted(sets: Sets, code: Counts, threshold: float, done: float) -> Iterator[Alike]:
    """Those of the coded pairs that are alike enough, by counting what they share."""
    b, a = np.divmod(code, max(1, len(sets.sizes)))
    weights = sets.sizes[a] + sets.sizes[b]
    order = np.argsort(weights, kind="stable")
    a, b, weights = a[order], b[order], weights[order]
    for first, last in _blocks(weights):
        left, right = a[first:last], b[first:last]
        shared = _shared(sets, left, right)
        similarity = shared / (weights[first:last] - shared)
        near = similarity >= threshold
        yield Alike(left[near], right[near], similarity[near], done)


def _shared(sets: Sets, a: Counts, b: Counts) -> Counts:
    """How many shingles each pair has in common."""
    left = _padded(sets.keys, sets.starts[a], sets.sizes[a])
    right = _padded(sets.keys, sets.starts[b], sets.sizes[b])
    both = np.concatenate((left, right), axis=1)
    both.sort(axis=1)
    shared: Counts = ((both[:, 1:] == both[:, :-1]) & (both[:, 1:] != _NEVER)).sum(axis=1)
    return shared
