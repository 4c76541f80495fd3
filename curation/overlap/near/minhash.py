"""Near-duplicates as most tools find them: MinHash proposes, exact counting decides.

The way of Broder (1997) with datasketch's sketches in 25 bands of 5: at a similarity of 0.8 a pair
shares a band with a probability of 0.99995, at 0.9 practically always. It is several times slower
than `jaccard_join`, which misses none; it stands here to check that one by another
way.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from curation.overlap.near.jaccard_join import Alike, Sets, counted

BANDS, BAND_ROWS = 25, 5
LOWEST = 0.8
"""Below, these bands would miss too many pairs."""
_AT_ONCE = 1 << 16


def pairs(sets: Sets, threshold: float) -> Iterator[Alike]:
    """Pairs of distinct sets with at least this similarity, from `LOWEST` on, in no special order.

    Similarities are exact; a pair that shares no band is missed.
    """
    codes = np.array(sorted(_proposed(sets)), dtype=np.int64)
    for first in range(0, len(codes), _AT_ONCE):
        last = min(first + _AT_ONCE, len(codes))
        yield from counted(sets, codes[first:last], threshold, last / len(codes))


def _proposed(sets: Sets) -> set[int]:
    """Pairs of places whose sketches have an equal band, the lower one first, as one number."""
    from datasketch import MinHash

    sketches = MinHash.generator(
        (_hashes(sets, place) for place in range(len(sets.sizes))),
        num_perm=BANDS * BAND_ROWS,
        hashfunc=int,
    )
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for place, sketch in enumerate(sketches):
        for band in range(BANDS):
            values = sketch.hashvalues[band * BAND_ROWS : (band + 1) * BAND_ROWS]
            buckets[band, values.tobytes()].append(place)
    count = len(sets.sizes)
    return {
        high * count + low for places in buckets.values() for low, high in combinations(places, 2)
    }


def _hashes(sets: Sets, place: int) -> list[int]:
    """The shingles of a set as 32-bit hashes, which is what a sketch takes."""
    start = sets.starts[place]
    keys = sets.keys[start : start + sets.sizes[place]]
    hashes: list[int] = (keys & np.uint64(0xFFFFFFFF)).tolist()
    return hashes
