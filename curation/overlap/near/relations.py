"""Which texts of a set are nearly the same, and what it takes to see it of a few more.

Of each text a sketch of 128 bytes is kept: where a few texts are new, each is held against all
sketches (10 ms for 100,000), and what looks alike is measured exactly. Where many are new, all are
compared anew: that finds no less, and is sooner done.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from curation.overlap import duplicates
from curation.overlap.near import candidates, edits
from curation.overlap.near.candidates import Places
from storage import steps

Keys = npt.NDArray[np.uint64]
Sketches = npt.NDArray[np.uint8]
Fetch = Callable[[Places], list[str]]
"""Normalised texts by their places among the keys."""

_FEW, _SHARE = 200, 200
"""So many new texts, or one of so many, are looked up one by one."""
_BINS = candidates.BINS
_NOWHERE = np.uint8(255)
_BY_EDITS, _BY_RUNS = 0.16, 0.3
"""Shares of bins in which sketches agree from which on two texts are measured. Rows that share 80 %
of their runs of words share far more of their characters' than this."""


@dataclass(frozen=True, slots=True)
class Relations:
    """Texts by their keys, and each two of them that are nearly the same."""

    keys: Keys
    """Ascending, each once."""
    sketches: Sketches
    edges: npt.NDArray[np.int32]
    """Two places among the keys, the lower one first."""
    runs: npt.NDArray[np.float64]
    """Of each edge the exact Jaccard similarity of the runs; 0 where it is under the threshold."""
    edits: npt.NDArray[np.float64]
    """Of each edge what stays under edits; 0 where that is too little, or was not asked for."""


Edges = dict[tuple[int, int], list[float]]


def related(
    old: Relations | None,
    keys: Keys,
    fetch: Fetch,
    *,
    by_edits: bool,
    step: steps.Step = steps.quiet,
) -> Relations:
    """What is nearly the same among the texts with these keys (ascending, each once).

    `old` spares the work for the texts that are in it; `by_edits` must be as it was then.
    """
    if old is None or not len(old.keys):
        return _anew(keys, fetch, by_edits, step)
    at = np.searchsorted(old.keys, keys).clip(max=len(old.keys) - 1)
    stored = old.keys[at] == keys
    fresh = np.flatnonzero(~stored)
    if len(fresh) > max(_FEW, len(keys) // _SHARE):
        return _anew(keys, fetch, by_edits, step)
    place = np.full(len(old.keys), -1, np.int32)
    place[at[stored]] = np.flatnonzero(stored)
    edges = place[old.edges]
    alive = (edges >= 0).all(axis=1)
    sketches = np.empty((len(keys), _BINS), np.uint8)
    sketches[stored] = old.sketches[at[stored]]
    texts = fetch(fresh)
    sketches[fresh] = _sketched(texts)
    more = _looked_up(sketches, fresh, texts, fetch, by_edits, step)
    both = _arrays(more)
    return Relations(
        keys,
        sketches,
        np.concatenate([edges[alive], both[0]]),
        np.concatenate([old.runs[alive], both[1]]),
        np.concatenate([old.edits[alive], both[2]]),
    )


def among(relations: Relations, places: Places) -> Relations:
    """The relations without the edges of texts that are at none of these places."""
    present = np.zeros(len(relations.keys), np.bool_)
    present[places] = True
    both = present[relations.edges].all(axis=1)
    return replace(
        relations,
        edges=relations.edges[both],
        runs=relations.runs[both],
        edits=relations.edits[both],
    )


def key(plain: str) -> int:
    """The key of a normalised text."""
    digest = hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _anew(keys: Keys, fetch: Fetch, by_edits: bool, step: steps.Step) -> Relations:
    step(0, len(keys))
    texts = fetch(np.arange(len(keys)))
    step(0, len(keys))
    edges: Edges = {}
    worded = {place: text for place, text in enumerate(texts) if text}
    for a, b, alike in duplicates.joined(worded, duplicates.THRESHOLD):
        edges[min(a, b), max(a, b)] = [min(alike, duplicates.ALMOST), 0.0]
    if by_edits:
        step(0, len(keys))
        for near in edits.pairs(texts, duplicates.THRESHOLD, step):
            edges.setdefault((near.a, near.b), [0.0, 0.0])[1] = near.similarity
    return Relations(keys, _sketched(texts), *_arrays(edges))


def _arrays(
    edges: Edges,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    places = np.array(sorted(edges), np.int32).reshape(-1, 2)
    shares = np.array([edges[pair] for pair in sorted(edges)], np.float64).reshape(-1, 2)
    return places, shares[:, 0], shares[:, 1]


def _looked_up(
    sketches: Sketches,
    fresh: Places,
    texts: list[str],
    fetch: Fetch,
    by_edits: bool,
    step: steps.Step,
) -> Edges:
    """The edges of new texts, with all others and with each other."""
    filled = (sketches > 0).sum(axis=1)
    meetings = []
    for done, place in enumerate(fresh.tolist()):
        step(done, len(fresh))
        meetings.append(_agreeing(sketches, filled, place, by_edits))
    wanted = np.unique(np.concatenate([np.zeros(0, np.int64), *(near for near, _ in meetings)]))
    others = wanted[~np.isin(wanted, fresh)]
    by_place = dict(zip(fresh.tolist(), texts, strict=True))
    by_place |= dict(zip(others.tolist(), fetch(others), strict=True))
    places = list(by_place)
    at = {place: n for n, place in enumerate(places)}
    edges: Edges = {}
    a = np.repeat(fresh, [len(near) for near, _ in meetings])
    b = np.concatenate([np.zeros(0, np.int64), *(near for near, _ in meetings)])
    if by_edits:
        ruler = edits.Ruler([by_place[place] for place in places], duplicates.THRESHOLD)
        left = np.array([at[place] for place in a.tolist()], np.int64)
        right = np.array([at[place] for place in b.tolist()], np.int64)
        for (one, other), alike in ruler.measured(left, right).items():
            edges[_ordered(places[one], places[other])] = [0.0, alike]
    for one, (near, close) in zip(fresh.tolist(), meetings, strict=True):
        for other in near[close].tolist():
            alike = duplicates.alike(by_place[one], by_place[other])
            if alike >= duplicates.THRESHOLD:
                edges.setdefault(_ordered(one, other), [0.0, 0.0])[0] = alike
    return edges


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _agreeing(
    sketches: Sketches, filled: Places, place: int, by_edits: bool
) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Places whose sketches agree with that of one, and which of them agree in more bins."""
    wanted = np.where(sketches[place] > 0, sketches[place], _NOWHERE)
    equal = (sketches == wanted).view(np.uint64)
    agreeing = np.bitwise_count(equal).sum(axis=1, dtype=np.int32)
    most = np.maximum(filled, filled[place])
    near = np.flatnonzero(agreeing >= np.maximum(1, (_BY_EDITS if by_edits else _BY_RUNS) * most))
    near = near[near != place]
    return near, agreeing[near] >= _BY_RUNS * most[near]


def _sketched(texts: list[str]) -> Sketches:
    """Of the runs of characters that fall into each bin the lowest, as a number of 1 to 254; 0
    where a bin is empty."""
    sketches = np.zeros((len(texts), _BINS), np.uint8)
    for first, lowest in candidates.sketched(texts):
        numbers = (lowest % 254 + 1).astype(np.uint8)
        numbers[lowest == candidates.EMPTY] = 0
        sketches[first : first + len(lowest)] = numbers
    return sketches
