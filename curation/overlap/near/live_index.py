"""The row most like a text that is being written, among all rows, while they come and change.

An index in memory of hashed shingles, row by row kept up to date and exact for the rule of
`curation.overlap.duplicates`, but for one case: a row with words and over 120 characters is not
compared with a text under eight words, or without blanks, which could only be alike if
it were as long.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import RLock

import numpy as np
import numpy.typing as npt

from curation.overlap import duplicates
from curation.overlap.duplicates import Near
from curation.overlap.near import shingles
from curation.overlap.near.shingles import Counts, Hashes, Shingles

Owners = npt.NDArray[np.int32]

_FULL = 1 << 20
"""Shingles in a part of the index from which on it is left as it is: merging takes time."""
_FEW = 120
"""Characters up to which a row with words can be nearly the same as a short text."""
_AT_ONCE = 12_000
"""Rows cut at once when many are put in."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Shingles in ascending order, each with the slot that has it."""

    hashes: Hashes
    owners: Owners

    @classmethod
    def of(cls, hashes: Hashes, owners: Owners) -> "_Part":
        """Each shingle of a slot once."""
        order = np.argsort(hashes, kind="stable")
        hashes, owners = hashes[order], owners[order]
        fresh = np.ones(len(hashes), np.bool_)
        fresh[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
        return cls(hashes[fresh], owners[fresh])


class _Postings:
    """Which slots have a shingle, for one way of cutting."""

    def __init__(self, cut: Callable[[Iterable[str]], Shingles]) -> None:
        self._cut = cut
        self._parts: list[_Part] = []
        self._sizes = np.zeros(0, np.int64)

    def add(self, first: int, plain: Sequence[str]) -> None:
        """Take in the texts of new slots, from `first` on; an empty text has no shingle."""
        cut = self._cut(plain)
        slots = np.arange(first, first + len(plain), dtype=np.int32)
        part = _Part.of(np.concatenate([*cut.chunks, _NOTHING]), np.repeat(slots, cut.counts))
        if len(self._sizes) < first + len(plain):
            grown = np.zeros(max(64, 2 * first, first + len(plain)), np.int64)
            grown[: len(self._sizes)] = self._sizes
            self._sizes = grown
        self._sizes[slots] = np.bincount(part.owners - first, minlength=len(plain))
        if len(part.hashes):
            self._parts.append(part)
            self._merge()

    def _merge(self) -> None:
        """Join small parts, so that there are never many of them."""
        parts = self._parts
        while len(parts) > 1 and len(parts[-2].hashes) < min(_FULL, 2 * len(parts[-1].hashes)):
            newer, older = parts.pop(), parts.pop()
            hashes = np.concatenate((older.hashes, newer.hashes))
            parts.append(_Part.of(hashes, np.concatenate((older.owners, newer.owners))))

    def keep(self, alive: npt.NDArray[np.bool_]) -> None:
        """Give up the shingles of all other slots."""
        for at, part in enumerate(self._parts):
            living = alive[part.owners]
            self._parts[at] = _Part(part.hashes[living], part.owners[living])

    def alike(self, plain: str) -> tuple[Counts, npt.NDArray[np.float64]]:
        """Slots that share a shingle with a text, and their similarity to it."""
        wanted = np.sort(np.concatenate([*self._cut([plain]).chunks, _NOTHING]))
        wanted = wanted[np.diff(wanted, prepend=~wanted[:1]) != 0]
        owners = [slots for part in self._parts for slots in _having(part, wanted)]
        shared = np.bincount(np.concatenate([*owners, _NOBODY]))
        slots = np.flatnonzero(shared)
        both = shared[slots]
        return slots, both / (len(wanted) + self._sizes[slots] - both)


_NOTHING = np.zeros(0, np.uint64)
_NOBODY = np.zeros(0, np.int32)


def _having(part: _Part, wanted: Hashes) -> Iterator[Owners]:
    low = np.searchsorted(part.hashes, wanted)
    high = np.searchsorted(part.hashes, wanted, side="right")
    for at in np.flatnonzero(high > low).tolist():
        yield part.owners[low[at] : high[at]]


class LiveIndex:
    """Texts by the ids of their rows, as hashes. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._words, self._chars = _Postings(shingles.tokens), _Postings(shingles.characters)
        self._slots: dict[int, int] = {}
        self._rows: list[int] = []
        """By slot: the row whose text it is; 0 once that changed or went."""
        self._worded: list[bool] = []
        self._digests: list[int] = []

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, rows: Iterable[tuple[int, str]]) -> None:
        """Take in rows (id above 0, text), in place of what they had before."""
        with self._lock:
            waiting = iter(rows)
            while some := dict(islice(waiting, _AT_ONCE)):
                self.drop(some)
                self._append(list(some), [duplicates.normalised(text) for text in some.values()])

    def drop(self, ids: Iterable[int]) -> None:
        """Forget rows; those that are not there are passed over."""
        with self._lock:
            for row_id in ids:
                slot = self._slots.pop(row_id, None)
                if slot is not None:
                    self._rows[slot] = 0
            if len(self._rows) > 2 * len(self._slots) + _AT_ONCE:
                self._tidy()

    def alike(self, text: str, minimum: float, limit: int = 10) -> list[Near]:
        """Rows at least this similar (above 0), the most similar first, then by id; `a` is 0."""
        plain = duplicates.normalised(text)
        if not plain:
            return []
        with self._lock:
            digest = _digest(plain)
            near = [
                Near(0, self._rows[slot], 1.0 if self._digests[slot] == digest else similarity)
                for slot, similarity in dict(self._similar(plain, minimum)).items()
                if self._rows[slot]
            ]
        return sorted(near, key=lambda pair: (-pair.similarity, pair.b))[:limit]

    def _similar(self, plain: str, minimum: float) -> Iterator[tuple[int, float]]:
        """Slots with their similarity: by words where both have some, else by characters."""
        worded = duplicates.worded(plain)
        for postings in (self._words, self._chars) if worded else (self._chars,):
            slots, similarity = postings.alike(plain)
            near = similarity >= minimum
            for slot, share in zip(slots[near].tolist(), similarity[near].tolist(), strict=True):
                if postings is self._words or not (worded and self._worded[slot]):
                    yield slot, min(share, duplicates.ALMOST)

    def _append(self, ids: list[int], plain: list[str]) -> None:
        first = len(self._rows)
        worded = [duplicates.worded(text) for text in plain]
        self._words.add(first, _where(plain, worded))
        few = [not long or len(text) <= _FEW for text, long in zip(plain, worded, strict=True)]
        self._chars.add(first, _where(plain, few))
        self._slots.update(zip(ids, range(first, first + len(ids)), strict=True))
        self._rows += ids
        self._worded += worded
        self._digests += map(_digest, plain)

    def _tidy(self) -> None:
        alive = np.array(self._rows) > 0
        self._words.keep(alive)
        self._chars.keep(alive)


def _where(texts: Sequence[str], wanted: Sequence[bool]) -> list[str]:
    return [text if yes else "" for text, yes in zip(texts, wanted, strict=True)]


def _digest(plain: str) -> int:
    digest = hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return int.from_bytes(digest, "big")
