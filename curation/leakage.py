"""Training rows that repeat test rows: the same words, nearly the same, or one source.

Wording is compared by `curation.duplicates`; a paraphrase in other words is not found.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from curation import duplicates


class How(StrEnum):
    """What a training row shares with a test row, the strongest first."""

    EXACT = "exact"
    NORMALISED = "normalised"
    NEAR = "near"
    SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Row:
    """One row as far as leaks go: its input and the document it comes from, if known."""

    id: int
    prompt: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Leak:
    """A training row and the test row it gives away."""

    train_id: int
    test_id: int
    similarity: float
    """Exact Jaccard similarity of the two inputs, 0 to 1."""
    how: How


def leaks(
    train: Sequence[Row], test: Sequence[Row], threshold: float = duplicates.THRESHOLD
) -> list[Leak]:
    """Each pair of a training and a test row that share something, once, in the order of ids."""
    found: dict[tuple[int, int], Leak] = {}
    for how, pairs in (
        (How.EXACT, _sharing(train, test, lambda row: row.prompt)),
        (How.NORMALISED, _sharing(train, test, lambda row: duplicates.normalised(row.prompt))),
        (How.NEAR, _near(train, test, threshold)),
        (How.SOURCE, _sharing(train, test, lambda row: row.source)),
    ):
        for one, other in pairs:
            if (one.id, other.id) not in found:
                alike = duplicates.similarity(one.prompt, other.prompt)
                found[one.id, other.id] = Leak(one.id, other.id, alike, how)
    return [found[ids] for ids in sorted(found)]


def _sharing(
    train: Sequence[Row], test: Sequence[Row], key: Callable[[Row], str | None]
) -> Iterator[tuple[Row, Row]]:
    """Pairs across the sides with an equal key; a missing key is equal to nothing."""
    tested = _by(test, key)
    for row in train:
        value = key(row)
        if value:
            yield from ((row, other) for other in tested.get(value, ()))


def _near(train: Sequence[Row], test: Sequence[Row], threshold: float) -> Iterator[tuple[Row, Row]]:
    """Pairs across the sides whose inputs are nearly the same."""
    sides = _by(train, _words), _by(test, _words)
    distinct = sorted(sides[0].keys() | sides[1].keys())
    for near in duplicates.pairs(list(enumerate(distinct)), threshold):
        for a, b in ((near.a, near.b), (near.b, near.a)):
            for row in sides[0].get(distinct[a], ()):
                yield from ((row, other) for other in sides[1].get(distinct[b], ()))


def _words(row: Row) -> str:
    return duplicates.normalised(row.prompt)


def _by(rows: Sequence[Row], key: Callable[[Row], str | None]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[key(row) or ""].append(row)
    return grouped
