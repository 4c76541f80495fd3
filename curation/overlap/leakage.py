"""Training rows that repeat test rows: the same words, nearly the same, or one source.

Inputs are compared, not outputs: a test proves nothing about a question that the model has seen.
Inputs are nearly the same by `curation.overlap.duplicates` (shared runs of words) or by
`curation.overlap.near.edits` (a few edits apart). Not found: a paraphrase in other
words, and one source that nobody declared.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from curation.overlap import duplicates
from curation.overlap.duplicates import Near
from curation.overlap.near import edits
from storage import steps


class How(StrEnum):
    """What a training row shares with a test row, the strongest first."""

    EXACT = "exact"
    NORMALISED = "normalised"
    NEAR = "near"
    SOURCE = "source"


TEMPLATE = 0.05
"""Rows that hang together by few edits only and are more than this share of all, such as forms with
one field filled in, are a template: only its rows that are nearer to each other are near."""
_FEW = 10
"""So many are never a template."""
_STEP = 0.02


@dataclass(frozen=True, slots=True)
class SourcedInput:
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
    """Of the two inputs, 0 to 1: exact Jaccard, or by edits where that is what makes them near."""
    how: How


Alike = Callable[[Sequence[str], float, steps.Step], tuple[list[Near], list[Near]]]
"""Of different normalised texts and a threshold, the pairs of places that share enough runs, and
those that few edits part."""


def anew(
    distinct: Sequence[str], threshold: float, step: steps.Step = steps.quiet
) -> tuple[list[Near], list[Near]]:
    """Compare all texts with each other."""
    by_runs = duplicates.pairs(list(enumerate(distinct)), threshold)
    return by_runs, edits.pairs(distinct, threshold, step)


def leaks(
    train: Sequence[SourcedInput],
    test: Sequence[SourcedInput],
    threshold: float = duplicates.THRESHOLD,
    look: Alike = anew,
    step: steps.Step = steps.quiet,
) -> list[Leak]:
    """Each pair of a training and a test row that share something, once, in the order of ids."""
    strongest: dict[tuple[int, int], Leak] = {}
    for how, pairs in (
        (How.EXACT, _sharing(train, test, lambda row: row.prompt)),
        (How.NORMALISED, _sharing(train, test, _normalised)),
    ):
        for row, tested in pairs:
            strongest.setdefault((row.id, tested.id), Leak(row.id, tested.id, 1.0, how))
    for row, tested, alike in _near(train, test, threshold, look, step):
        strongest.setdefault((row.id, tested.id), Leak(row.id, tested.id, alike, How.NEAR))
    for row, tested in _sharing(train, test, lambda row: row.source):
        if (row.id, tested.id) not in strongest:
            alike = duplicates.similarity(row.prompt, tested.prompt)
            strongest[row.id, tested.id] = Leak(row.id, tested.id, alike, How.SOURCE)
    return [strongest[ids] for ids in sorted(strongest)]


def families(
    rows: Sequence[SourcedInput],
    threshold: float = duplicates.THRESHOLD,
    look: Alike = anew,
    step: steps.Step = steps.quiet,
) -> list[list[int]]:
    """Ids of rows that would leak into each other, whichever side each came to stand on.

    A split that keeps these together has no leaks. Rows that are alone are left out.
    """
    edges = []
    for key in (_normalised, lambda row: row.source):
        for value, members in _by(rows, key).items():
            if value:
                edges += [Near(a.id, b.id, 1.0) for a, b in pairwise(members)]
    first = {plain: members[0].id for plain, members in _by(rows, _normalised).items()}
    distinct = sorted(first)
    edges += [
        Near(first[distinct[near.a]], first[distinct[near.b]], near.similarity)
        for near in _alike(distinct, threshold, look, step)
    ]
    return duplicates.groups(edges)


def _sharing(
    train: Sequence[SourcedInput],
    test: Sequence[SourcedInput],
    key: Callable[[SourcedInput], str | None],
) -> Iterator[tuple[SourcedInput, SourcedInput]]:
    """Pairs across the sides with an equal key; a missing key is equal to nothing."""
    tested = _by(test, key)
    for row in train:
        value = key(row)
        if value:
            yield from ((row, twin) for twin in tested.get(value, ()))


def _near(
    train: Sequence[SourcedInput],
    test: Sequence[SourcedInput],
    threshold: float,
    look: Alike,
    step: steps.Step,
) -> Iterator[tuple[SourcedInput, SourcedInput, float]]:
    """Pairs across the sides whose inputs are nearly the same."""
    sides = _by(train, _normalised), _by(test, _normalised)
    if not sides[0] or not sides[1]:
        return
    distinct = sorted(sides[0].keys() | sides[1].keys())
    for near in _alike(distinct, threshold, look, step):
        for a, b in ((near.a, near.b), (near.b, near.a)):
            for row in sides[0].get(distinct[a], ()):
                for tested in sides[1].get(distinct[b], ()):
                    yield row, tested, near.similarity


def _alike(distinct: Sequence[str], threshold: float, look: Alike, step: steps.Step) -> list[Near]:
    """Pairs of places of nearly equal texts, each once."""
    by_runs, edited = look(distinct, threshold, step)
    similarities = {(near.a, near.b): near.similarity for near in by_runs}
    for near in without_templates(
        edited, len(distinct), lambda places: [distinct[place] for place in places], threshold
    ):
        similarities.setdefault((near.a, near.b), near.similarity)
    return [Near(a, b, similarity) for (a, b), similarity in similarities.items()]


def without_templates(
    edited: Sequence[Near],
    count: int,
    read: Callable[[Sequence[int]], Sequence[str]],
    threshold: float = duplicates.THRESHOLD,
) -> Iterator[Near]:
    """The pairs of small groups, and of each large one those that are near enough to make it fall
    into small ones.

    `edited` are pairs by edits among `count` texts, `read` gives texts by their places.
    """
    limit = max(_FEW, TEMPLATE * count)
    large = _in_large(edited, limit)
    yield from (near for near in edited if near.a not in large)
    places = sorted(large)
    texts = dict(zip(places, read(places), strict=True))
    remaining = [
        Near(near.a, near.b, edits.closest(texts[near.a], texts[near.b], threshold) or 0.0)
        for near in edited
        if near.a in large
    ]
    while remaining:
        threshold += _STEP
        remaining = [near for near in remaining if near.a in large and near.similarity >= threshold]
        large = _in_large(remaining, limit)
        yield from (near for near in remaining if near.a not in large)


def _in_large(edited: Sequence[Near], limit: float) -> set[int]:
    return {at for group in duplicates.groups(edited) if len(group) > limit for at in group}


def _normalised(row: SourcedInput) -> str:
    return duplicates.normalised(row.prompt)


def _by(
    rows: Sequence[SourcedInput], key: Callable[[SourcedInput], str | None]
) -> dict[str, list[SourcedInput]]:
    grouped: dict[str, list[SourcedInput]] = defaultdict(list)
    for row in rows:
        grouped[key(row) or ""].append(row)
    return grouped
