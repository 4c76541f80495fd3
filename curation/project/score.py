"""Judge an answer against the expected one: valid against the task's schema, correct, label right.

Correct means the same JSON value where the task has a schema, else the same words; an answer that
says the right thing in other words counts as wrong.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation import schema_check, strict_json
from curation.statistics import wilson
from storage.blank import trim
from storage.errors import BadInput

_LONGEST = 65_536
"""Characters beyond which an answer is not read as JSON."""

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Score:
    """What became of one answer."""

    valid: bool
    correct: bool
    label: bool | None
    """Whether the label field is right; None where the task has none."""
    field_matches: dict[str, bool]
    """For each expected key of a JSON object: whether the answer has its value."""


def score(text: str, expected: str, schema: Schema | None, label_field: str | None) -> Score:
    """Judge one answer. The schema must have passed `schema_check.check_schema`.

    Without a schema any words are valid, and the spaces between them do not count.
    """
    if schema is None:
        return Score(bool(trim(text)), text.split() == expected.split(), None, {})
    value, wanted = _parsed(text), _parsed(expected)
    matches = _matches(value, wanted)
    return Score(
        valid=value is not None and not schema_check.problems(text.strip(), schema),
        correct=value is not None and wanted is not None and _equal(value[0], wanted[0]),
        label=matches.get(label_field, False) if label_field else None,
        field_matches=matches,
    )


def _parsed(text: str) -> tuple[Any] | None:
    """The strict JSON value of a text, wrapped since it may be null; None where it is not JSON."""
    if len(text) > _LONGEST:
        return None
    try:
        return (strict_json.loads(text.strip()),)
    except BadInput:
        return None


def canonical(value: object) -> str:
    """A JSON value in its one form: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _equal(left: object, right: object) -> bool:
    return canonical(left) == canonical(right)


def _matches(value: tuple[Any] | None, wanted: tuple[Any] | None) -> dict[str, bool]:
    if wanted is None or not isinstance(wanted[0], dict):
        return {}
    got = value[0] if value is not None and isinstance(value[0], dict) else {}
    return {key: key in got and _equal(got[key], part) for key, part in wanted[0].items()}


@dataclass(frozen=True, slots=True)
class Metric:
    """One rate of a comparison. Pages, cards, the demo and the commands show each of `METRICS`."""

    key: str
    """Its name on cards."""
    title: str
    figure: str
    """Its name among the figures of `tally`."""
    hit: Callable[[Score], bool | None]
    """Whether an answer counts; None for one that the metric does not ask about."""


METRICS = (
    Metric("correct", "Exactly right", "accuracy", lambda score: score.correct),
    Metric("valid", "Fits the schema", "valid", lambda score: score.valid),
    Metric("label", "Right label", "label_accuracy", lambda score: score.label),
)


@dataclass(frozen=True, slots=True)
class Rate:
    """Answers that count, of those asked about."""

    hits: int
    n: int


def tally(scores: Sequence[Score], arm: str) -> dict[str, Any]:
    """Shares of one arm with counts and 95 % Wilson intervals, under names that begin with it."""
    measured: dict[str, list[bool]] = {
        metric.figure: [hit for score in scores if (hit := metric.hit(score)) is not None]
        for metric in METRICS
    }
    for key in sorted({key for score in scores for key in score.field_matches}):
        measured[f"field_{key}"] = [score.field_matches.get(key, False) for score in scores]
    figures: dict[str, Any] = {}
    for name, hits in measured.items():
        if hits:
            figures[f"{arm}_{name}"] = sum(hits) / len(hits)
            figures[f"{arm}_{name}_count"] = sum(hits)
            figures[f"{arm}_{name}_n"] = len(hits)
            figures[f"{arm}_{name}_interval"] = list(wilson(sum(hits), len(hits)))
    return figures


def rates(summary: Mapping[str, Any], arm: str) -> dict[Metric, Rate]:
    """What an arm of a comparison came to, from the comparison's summary; the metrics that it was
    not asked about are left out.

    Comparisons of before 0.4 counted no `n` for each metric: all held-out pairs then.
    """
    figures, n = summary["made"], summary["n"]
    counts = {
        metric: summary.get(arm, {}).get(metric.key, figures.get(f"{arm}_{metric.figure}_count"))
        for metric in METRICS
    }
    return {
        metric: Rate(hits, figures.get(f"{arm}_{metric.figure}_n", n))
        for metric, hits in counts.items()
        if hits is not None
    }
