"""Share rows out between training, validation and test: seeded, stratified, groups kept whole.

Each group draws a number from a hash of the seed and its name, and a part takes the numbers under
its share: so rows that are added move no others. Only where a stratum or the whole would then be
further from its share than rounding and half a per cent allow, the groups next to the limit give
way.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor

from storage.errors import BadInput
from storage.types import Split

Shares = tuple[float, float, float]
SHARES: Shares = (0.64, 0.16, 0.20)
"""Of training, validation and test."""
SLACK = 0.005
"""How far a part may be from its share, as a share of the rows, before groups are moved."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row to place."""

    id: int
    group: str
    """Rows of one group stay together: near-duplicates, one source document."""
    stratum: str
    """What each part should hold in the same proportion, such as the label."""
    pinned: Split | None = None
    """Where the row, and with it its group, must go. Test beats validation beats training."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that go to one part together."""

    name: str
    draws: tuple[float, float]
    """Two numbers of 0 to 1 by seed and name: the first for test, the second for validation."""
    ids: tuple[int, ...]
    stratum: str
    pinned: Split | None


@dataclass(slots=True)
class _Filling:
    """One part while its groups are chosen: those that may be, by draw, and how many rows it has.

    A stratum named `None` is the whole.
    """

    share: float
    draw: dict[str, float]
    free: list[_Group]
    chosen: set[str]
    rows: Counter[str | None]
    filled: Counter[str | None]

    def room(self, stratum: str | None) -> tuple[int, int]:
        """The fewest and most rows that the part should hold of a stratum."""
        rows = self.rows[stratum]
        slack = max(0.5 if stratum is None else 1 - 1e-9, SLACK * rows)
        return ceil(self.share * rows - slack), floor(self.share * rows + slack)

    def off(self, stratum: str | None, more: int = 0) -> float:
        """How far the rows of a stratum would be from its share with so many more."""
        return abs(self.filled[stratum] + more - self.share * self.rows[stratum])

    def move(self, group: _Group) -> None:
        """Take a group in, or out again."""
        size = -len(group.ids) if group.name in self.chosen else len(group.ids)
        self.chosen ^= {group.name}
        self.filled[group.stratum] += size
        self.filled[None] += size


def split(items: Sequence[Item], shares: Shares = SHARES, seed: int = 7) -> dict[int, Split]:
    """The part of each row, whatever the order of the input.

    Pinned rows count towards the shares; with more pinned test rows than the share asks for, the
    others keep the ratio of training to validation. In each stratum a part is within one row or
    0.5 % of its share, and 0.5 % of the whole, where the groups allow it.

    Raises:
        BadInput: the shares are not three numbers above 0 that make 1, or an id stands twice.
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise BadInput("The shares of training, validation and test must be above 0 and make 1.")
    if len({item.id for item in items}) < len(items):
        raise BadInput("A pair stands twice in the list to split: list each pair once.")
    groups = _groups(items, seed)
    parts = {group.name: group.pinned for group in groups}
    _fill(groups, parts, Split.TEST, shares[2], 0)
    left = [group for group in groups if parts[group.name] is not Split.TEST]
    _fill(left, parts, Split.VALIDATION, shares[1] / (shares[0] + shares[1]), 1)
    return {row: parts[group.name] or Split.TRAIN for group in groups for row in group.ids}


def _groups(items: Sequence[Item], seed: int) -> list[_Group]:
    members: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        members[item.group].append(item)
    return [
        _Group(
            name=name,
            draws=_draws(seed, name),
            ids=tuple(sorted(item.id for item in rows)),
            stratum=_commonest(item.stratum for item in rows),
            pinned=_pin(rows),
        )
        for name, rows in sorted(members.items())
    ]


def _draws(seed: int, name: str) -> tuple[float, float]:
    digest = hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64, int.from_bytes(digest[8:16]) / 2**64


def _commonest(strata: Iterable[str]) -> str:
    return min(Counter(strata).items(), key=lambda entry: (-entry[1], entry[0]))[0]


def _pin(rows: Sequence[Item]) -> Split | None:
    pins = {row.pinned for row in rows}
    order = (Split.TEST, Split.VALIDATION, Split.TRAIN)
    return next((part for part in order if part in pins), None)


def _fill(
    groups: Sequence[_Group], parts: dict[str, Split | None], part: Split, share: float, draw: int
) -> None:
    """Take free groups into a part up to its share of the rows of these groups."""
    rows: Counter[str | None] = Counter()
    filled: Counter[str | None] = Counter()
    for group in groups:
        for stratum in (group.stratum, None):
            rows[stratum] += len(group.ids)
            filled[stratum] += len(group.ids) * (parts[group.name] is part)
    draws = {group.name: group.draws[draw] for group in groups}
    free = [group for group in groups if parts[group.name] is None]
    free.sort(key=lambda group: (draws[group.name], group.name))
    filling = _Filling(share, draws, free, set(), rows, filled)
    for group in free:
        if draws[group.name] < share:
            filling.move(group)
    _mend(filling)
    parts.update(dict.fromkeys(filling.chosen, part))


def _mend(filling: _Filling) -> None:
    """Move the groups next to the limit until each stratum, then the whole, has its share."""
    strata: dict[str, list[_Group]] = defaultdict(list)
    for group in filling.free:
        strata[group.stratum].append(group)
    for stratum, free in sorted(strata.items()):
        _bring(filling, stratum, free)
    _bring(filling, None, filling.free)


def _bring(filling: _Filling, stratum: str | None, free: Sequence[_Group]) -> None:
    """Bring one stratum, or the whole, to its share: first by moves that leave all others right."""
    for careful in (True, False):
        for out in (True, False):
            inside = [group for group in free if (group.name in filling.chosen) is out]
            for group in reversed(inside) if out else inside:
                minimum, maximum = filling.room(stratum)
                now = filling.filled[stratum]
                if now <= maximum if out else now >= minimum:
                    break
                size = -len(group.ids) if out else len(group.ids)
                if _may(filling, stratum, group, size, careful):
                    filling.move(group)


def _may(filling: _Filling, stratum: str | None, group: _Group, size: int, careful: bool) -> bool:
    """Whether a move helps; if careful, without going too far here or in the group's stratum."""
    if not careful:
        return filling.off(stratum, size) < filling.off(stratum)
    minimum, maximum = filling.room(stratum)
    after = filling.filled[stratum] + size
    fits = after >= minimum if size < 0 else after <= maximum
    if stratum is None:
        minimum, maximum = filling.room(group.stratum)
        fits = fits and minimum <= filling.filled[group.stratum] + size <= maximum
    return fits
