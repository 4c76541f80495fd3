"""The base model's best prompt: how many worked examples to put before a question.

Zero, two, four and eight are tried on validation rows, and the number that answers most of them
exactly is taken; of equals the one with more answers that fit the schema, then the shortest.
Examples are train rows. Held-out rows are never shown and have no say in the choice. Not tried:
other words in the system message, other examples, retrieval.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

from curation.versions.evidence import label
from storage.types import Origin, Project, VersionRow
from training.records.parts import Prompting, PromptTrial

TRIED = (0, 2, 4, 8)
"""Numbers of examples."""
MOST_ROWS = 50
"""Validation rows that a number is tried on."""

Examples = Sequence[tuple[str, str]]
"""Inputs with their answers."""


def examples(rows: Sequence[VersionRow], project: Project) -> list[VersionRow]:
    """The train rows to show, first to last: written by hand before others, of each label in turn.

    The same rows give the same choice, in whatever order they come.
    """
    labels: dict[str, list[VersionRow]] = {}
    for row in sorted(rows, key=lambda row: (row.origin is not Origin.GOLD, row.content_sha256)):
        labels.setdefault(label(project, row.response, None), []).append(row)
    turns = chain.from_iterable(zip_longest(*labels.values()))
    return [row for row in turns if row is not None][: TRIED[-1]]


def numbers(available: int) -> Iterator[int]:
    """The numbers to try where there are so many examples."""
    return (count for count in TRIED if count <= available)


def best(trials: Sequence[PromptTrial]) -> PromptTrial:
    """The one to take."""
    return max(trials, key=lambda trial: (trial.correct, trial.valid, -trial.examples))


def prompt_used(prompting: Prompting | None) -> str:
    """What the base model was given in a comparison; without a record it was the system message."""
    if prompting is None:
        return "the system message alone; a better prompt may do better"
    phrase = f"{prompting.chosen} examples" if prompting.chosen else "no example"
    return f"its best prompt: the system message and {phrase} from the training pairs"


def prompt_scores(prompting: Prompting | None) -> str:
    """The same with what came of each number of examples that was tried: scores, which nobody sees
    while a blind trial is planned or open.
    """
    sentence = prompt_used(prompting)
    if prompting is None or not prompting.tried:
        return sentence
    tried = [f"{trial.correct} of {trial.n} with {trial.examples}" for trial in prompting.tried]
    return f"{sentence}. Right on validation pairs: {', '.join(tried)} examples"
