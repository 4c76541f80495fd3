"""Share rows out between training, validation and test: seeded, stratified, groups kept whole."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from storage.errors import BadInput
from storage.types import Split

Shares = tuple[float, float, float]
SHARES: Shares = (0.64, 0.16, 0.20)
"""Of training, validation and test."""


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

    order: str
    """A hash of seed and name: the same wherever the group stands in the input."""
    ids: tuple[int, ...]
    stratum: str
    pinned: Split | None


def split(items: Sequence[Item], shares: Shares = SHARES, seed: int = 7) -> dict[int, Split]:
    """The part of each row, whatever the order of the input.

    Within a stratum groups are taken in the order of a hash, test first, then validation, so that
    added rows move few others. Pinned rows count towards the shares; with more pinned test rows
    than the share asks for, the others keep the ratio of training to validation.

    Raises:
        BadInput: the shares are not three numbers above 0 that make 1, or an id stands twice.
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise BadInput("The shares of training, validation and test must be above 0 and make 1.")
    if len({item.id for item in items}) < len(items):
        raise BadInput("A row stands twice in the list to split: list each row once.")
    groups = _groups(items, seed)
    parts = {group.order: group.pinned for group in groups}
    tested = _fill(groups, parts, Split.TEST, shares[2] * len(items), shares[2])
    rest = shares[1] / (shares[0] + shares[1])
    _fill(groups, parts, Split.VALIDATION, rest * (len(items) - tested), shares[1])
    return {row: parts[group.order] or Split.TRAIN for group in groups for row in group.ids}


def _groups(items: Sequence[Item], seed: int) -> list[_Group]:
    members: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        members[item.group].append(item)
    groups = [
        _Group(
            order=hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest(),
            ids=tuple(sorted(item.id for item in rows)),
            stratum=_commonest(item.stratum for item in rows),
            pinned=_pin(rows),
        )
        for name, rows in members.items()
    ]
    return sorted(groups, key=lambda group: group.order)


def _commonest(strata: Iterable[str]) -> str:
    return min(Counter(strata).items(), key=lambda entry: (-entry[1], entry[0]))[0]


def _pin(rows: Sequence[Item]) -> Split | None:
    pins = {row.pinned for row in rows}
    order = (Split.TEST, Split.VALIDATION, Split.TRAIN)
    return next((part for part in order if part in pins), None)


def _fill(
    groups: Sequence[_Group],
    parts: dict[str, Split | None],
    part: Split,
    target: float,
    share: float,
) -> int:
    """Take free groups into a part up to about `target` rows. Returns how many it then holds."""
    held = sum(len(group.ids) for group in groups if parts[group.order] is part)
    quotas = _quotas(groups, parts, part, share, target - held)
    carried = 0.0
    for stratum, quota in sorted(quotas.items()):
        free = [g for g in groups if parts[g.order] is None and g.stratum == stratum]
        taken = _take(free, parts, part, quota + carried)
        held += taken
        carried += quota - taken
    free = [group for group in groups if parts[group.order] is None]
    return held + _take(free, parts, part, target - held)


def _quotas(
    groups: Sequence[_Group],
    parts: Mapping[str, Split | None],
    part: Split,
    share: float,
    missing: float,
) -> dict[str, float]:
    """How many of the missing rows each stratum should give: as much as it lacks of its share."""
    lacking: dict[str, float] = defaultdict(float)
    for group in groups:
        size = len(group.ids)
        lacking[group.stratum] += share * size - size * (parts[group.order] is part)
    wanting = {stratum: lack for stratum, lack in lacking.items() if lack > 0}
    scale = max(0.0, missing) / (sum(wanting.values()) or 1.0)
    return {stratum: lack * scale for stratum, lack in wanting.items()}


def _take(free: Iterable[_Group], parts: dict[str, Split | None], part: Split, quota: float) -> int:
    """Take groups in order, leaving out those that overshoot by over half a row."""
    taken = 0
    for group in free:
        if taken + len(group.ids) <= quota + 0.5:
            parts[group.order] = part
            taken += len(group.ids)
    return taken
