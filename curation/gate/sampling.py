"""Draw rows for an audit: in proportion from each origin, author and era; when a stratum fails."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from curation import statistics

SHARE = 0.10
"""The share of the approved rows that an audit draws."""
GOOD = 0.95
"""The share of the judged rows that must be good, and that an audit sets out to prove."""
BAD = 0.05
"""The share of bad rows that a stratum may have."""
DOUBT = 0.05
"""A stratum fails where its defects would be rarer than this if it had no more than that share."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Rows that came about alike."""

    origin: str
    author_id: int | None
    era_id: int | None

    def __lt__(self, right: "Stratum") -> bool:
        """In the order of origins, then authors and eras as they came, those without first."""
        return self._order() < right._order()

    def _order(self) -> tuple[str, int, int]:
        return self.origin, self.author_id or 0, self.era_id or 0


def size(approved: int, share: float = SHARE) -> int:
    """How many of so many approved rows make this share, rounded up."""
    return ceil(approved * share - 1e-9)


def strata(rows: Iterable[tuple[int, Stratum]]) -> dict[Stratum, list[int]]:
    """The ids of rows by stratum, each and all in order."""
    groups: dict[Stratum, list[int]] = defaultdict(list)
    for pair_id, stratum in rows:
        groups[stratum].append(pair_id)
    return {group: sorted(groups[group]) for group in sorted(groups)}


def draw(
    groups: Mapping[Stratum, Sequence[int]], count: int, dice: random.Random
) -> tuple[list[int], list[int]]:
    """So many ids at random, and beside them one of each stratum that came away with none.

    Every row has the same chance: strata stand in a line, each shuffled, and every so-manieth row
    is taken from a random start (systematic sampling; Madow, 1949). So each stratum gives its
    proportion, rounded up or down by chance. The rows beside do not: they count for their stratum
    only.
    """
    line = [row for key in sorted(groups) for row in dice.sample(groups[key], len(groups[key]))]
    step, start = len(line) / count, dice.random()
    drawn = {line[int((start + at) * step)] for at in range(count)}
    beside = [dice.choice(groups[key]) for key in sorted(groups) if drawn.isdisjoint(groups[key])]
    return sorted(drawn), sorted(beside)


def fails(bad: int, judged: int) -> bool:
    """Whether a stratum has more bad rows than 5 % can explain: exact binomial test at 5 %, and two
    bad rows at least.

    Of strata with 5 % bad rows at most one in twenty fails by chance, of better ones fewer. Small
    samples miss much: with 20 % bad rows, 10 judged rows make it fail 32 times in 100, 20 rows 59
    times, 40 rows 92 times. Each bad row goes back by itself anyway, and the share of the whole set
    is asked for beside this.
    """
    return bad >= 2 and statistics.at_least(bad, judged, BAD) <= DOUBT
