"""Share the rows of a file out: what is kept together, what came out, and what could not be met."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from curation.exchange.reading import file_rows
from curation.exchange.reading.file_rows import FileRow
from curation.overlap import duplicates, leakage
from curation.overlap.duplicates import Near
from curation.versions.split import Item, Shares, split
from storage.errors import BadInput
from storage.types import Split

PARTS = (Split.TRAIN, Split.VALIDATION, Split.TEST)
MISSING = "(missing)"
NEAR_ENOUGH = 0.01
_NAMED = 20


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """What a split should look like. Fields are paths such as `response.team`, or empty."""

    shares: Shares
    seed: int
    stratify: str
    group: str
    text: str
    threshold: float


class GroupCounts(msgspec.Struct, frozen=True):
    """Groups of more than one row."""

    count: int
    rows: int
    largest: int


class StratumShares(msgspec.Struct, frozen=True):
    """What came out in one stratum."""

    rows: dict[str, int]
    train: float
    validation: float
    test: float


class SplitReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked and what came out, as it is written beside the parts."""

    seed: int
    shares: dict[str, float]
    threshold: float
    stratify: str | None
    group: str | None
    rows: dict[str, int]
    achieved: dict[str, float]
    groups: GroupCounts
    strata: dict[str, StratumShares]
    cannot: list[str]
    """What could not be met, in sentences."""


def share_out(
    rows: Sequence[FileRow],
    request: SplitRequest,
    name: str,
    earlier: Sequence[Sequence[FileRow]] | None = None,
) -> tuple[list[str], SplitReport]:
    """The part of each row, and the report: counts by stratum, groups, what could not be met.

    `earlier` are the rows of an earlier split by part: they, and what belongs to them, stay there.

    Raises:
        BadInput: a field is in no row, or the shares or the threshold cannot be used.
    """
    strata = _strata(rows, request.stratify, name)
    groups = _groups(rows, request, name)
    pins = _pins(earlier or ())
    items = [
        Item(at, groups[at], stratum, pins.get(row.key))
        for at, (row, stratum) in enumerate(zip(rows, strata, strict=True))
    ]
    parts = split(items, request.shares, request.seed)
    placed = [parts[at].value for at in range(len(rows))]
    return placed, _report(items, placed, request, rows)


def _strata(rows: Sequence[FileRow], fields: str, name: str) -> list[str]:
    paths = [path.strip() for path in fields.split(",") if path.strip()]
    columns = [_column(rows, path, name) for path in paths]
    if not columns:
        return [""] * len(rows)
    return [
        " · ".join(MISSING if label is None else label for label in values)
        for values in zip(*columns, strict=True)
    ]


def _column(rows: Sequence[FileRow], path: str, name: str) -> list[str | None]:
    labels = [file_rows.label(row, path) for row in rows]
    if rows and all(label is None for label in labels):
        raise BadInput(f'No row of {name} has the field "{path}".')
    return labels


def _groups(rows: Sequence[FileRow], request: SplitRequest, name: str) -> list[str]:
    """The name of each row's group: of its members' keys the one whose hash is the smallest."""
    sources = _column(rows, request.group, name) if request.group else [None] * len(rows)
    candidates = [
        leakage.SourcedInput(at, file_rows.prompt(row, request.text), source)
        for at, (row, source) in enumerate(zip(rows, sources, strict=True))
    ]
    edges = [
        Near(members[0], member, 1.0)
        for members in leakage.families(candidates, request.threshold)
        for member in members
    ]
    texts = [(at, file_rows.full_text(row, request.text)) for at, row in enumerate(rows)]
    if any(text != row.prompt for (_, text), row in zip(texts, candidates, strict=True)):
        edges += duplicates.pairs([entry for entry in texts if entry[1].strip()], request.threshold)
    names = [_hashed(row) for row in rows]
    for members in duplicates.groups(edges):
        first = min(names[member] for member in members)
        for member in members:
            names[member] = first
    return names


def _hashed(row: FileRow) -> str:
    return hashlib.sha256(row.key.encode()).hexdigest()


def _pins(earlier: Sequence[Sequence[FileRow]]) -> dict[str, Split]:
    return {row.key: part for part, rows in zip(PARTS, earlier, strict=False) for row in rows}


def _report(
    items: Sequence[Item], placed: Sequence[str], request: SplitRequest, rows: Sequence[FileRow]
) -> SplitReport:
    sizes = Counter(item.group for item in items)
    together = [size for size in sizes.values() if size > 1]
    totals = Counter(placed)
    strata: dict[str, Counter[str]] = defaultdict(Counter)
    for item, part in zip(items, placed, strict=True):
        strata[item.stratum][part] += 1
    wanted = {part.value: share for part, share in zip(PARTS, request.shares, strict=True)}
    cannot = [*_parts_off(totals, wanted, sizes), *_strata_off(strata, wanted)]
    if rows and not any(file_rows.full_text(row, request.text).strip() for row in rows):
        cannot.append("No row has a prompt, text or messages: near-duplicates were not looked for.")
    return SplitReport(
        seed=request.seed,
        shares=wanted,
        threshold=request.threshold,
        stratify=request.stratify or None,
        group=request.group or None,
        rows=_rows(totals, wanted),
        achieved=_shares(totals, wanted),
        groups=GroupCounts(len(together), sum(together), max(together, default=0)),
        strata={
            stratum: StratumShares(_rows(counts, wanted), **_shares(counts, wanted))
            for stratum, counts in sorted(strata.items())
        },
        cannot=cannot,
    )


def _rows(counts: Counter[str], wanted: Iterable[str]) -> dict[str, int]:
    return {part: counts[part] for part in wanted}


def _shares(counts: Counter[str], wanted: Iterable[str]) -> dict[str, float]:
    return {part: round(counts[part] / (counts.total() or 1), 6) for part in wanted}


def _parts_off(counts: Counter[str], wanted: dict[str, float], sizes: Counter[str]) -> list[str]:
    """The parts that are further from their share than 1 % or than one row, and why."""
    total = counts.total()
    why = (
        f"rows that belong together are kept whole, up to {max(sizes.values(), default=0)} of them"
    )
    return [
        f"{part} has {counts[part] / total:.1%} of the rows, not {share:.1%}: {why}."
        for part, share in wanted.items()
        if abs(counts[part] - share * total) > max(1, NEAR_ENOUGH * total)
    ]


def _strata_off(strata: dict[str, Counter[str]], wanted: dict[str, float]) -> list[str]:
    """The strata in which a part is further from its share than 1 % or than one row, and why."""
    off = [
        stratum
        for stratum, counts in sorted(strata.items())
        if any(
            abs(counts[part] - share * counts.total()) > max(1, NEAR_ENOUGH * counts.total())
            for part, share in wanted.items()
        )
    ]
    small = sum(any(not counts[part] for part in wanted) for counts in strata.values())
    sentences = []
    if off:
        named = ", ".join(f'"{stratum}"' for stratum in off[:_NAMED]) + " and more" * (
            len(off) > _NAMED
        )
        sentences.append(
            f"{len(off)} of {len(strata)} strata are more than a row and 1 % off, because rows "
            f"that belong together are kept whole: {named}."
        )
    if small:
        sentences.append(
            f"{small} of {len(strata)} strata are too small to have a row in every part."
        )
    return sentences
