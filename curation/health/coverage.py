"""What a set holds, for `report`: topics, labels, lengths, difficulty, edge cases."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import quantiles
from typing import Any

from curation.health.measured import Bars, Marks, Measure, Set, Task, of
from curation.statistics import count

FEW = 5
"""Rows under which a topic or a label is called thin."""
_EDGE = frozenset({"edge", "edge case", "edge-case", "edge cases", "edge_case"})


def topics(s: Set) -> Measure:
    counted = Counter(row.topic for row in s.rows if row.topic)
    thin = {topic for topic, n in counted.items() if n < FEW}
    without = sum(row.topic is None for row in s.rows)
    return Measure(
        "topics",
        "Topics",
        "coverage",
        f"{count(len(counted), 'topic')}; {len(thin)} with under {FEW} pairs; "
        f"{count(without, 'pair')} without a topic.",
        "Topics are what people or files called them; two names for one thing count twice.",
        len(s.rows) - without,
        tuple(row.id for row in s.rows if row.topic in thin),
        look=False,
        bars=tuple(counted.most_common()),
    )


def labels(s: Set) -> Measure:
    name = s.task.label_field
    named = {row.id: m.label for row, m in zip(s.rows, s.marks, strict=True)} if name else {}
    counted = Counter(label for label in named.values() if label is not None)
    for label in _declared(s.task):
        counted.setdefault(label, 0)
    thin = {label for label, n in counted.items() if n < FEW}
    summary = "This set has no label field."
    if counted:
        highest, lowest = max(counted.values()), min(counted.values())
        summary = (
            f"{count(len(counted), 'label')}; the commonest has {highest} pairs, the rarest "
            f"{lowest}; {len(thin)} with under {FEW} pairs."
        )
    return Measure(
        "labels",
        "Labels",
        "coverage",
        summary,
        "Balance is not right or wrong by itself: rare labels are learnt badly, but even shares "
        "are not what the model will meet.",
        sum(counted.values()),
        tuple(i for i, label in named.items() if label in thin),
        look=False,
        bars=tuple(counted.most_common()),
    )


def _declared(task: Task) -> Iterable[str]:
    """The labels that the schema lists, so that those without a row are counted too."""
    schema: Any = task.output_schema or {}
    part = schema.get("properties", {}).get(task.label_field or "", {})
    listed = part.get("enum", []) if isinstance(part, dict) else []
    return [
        label if isinstance(label, str) else json.dumps(label, sort_keys=True) for label in listed
    ]


def length(key: str, name: str, tokens: Callable[[Marks], int]) -> Callable[[Set], Measure]:
    def measure(s: Set) -> Measure:
        counts = [tokens(m) for m in s.marks]
        summary, far = "No pairs.", float("inf")
        if len(counts) > 1:
            first, middle, third = quantiles(counts, n=4)
            far = third + 3 * max(third - first, 5)
            summary = (
                f"Tokens, estimated: median {middle:.0f}, nine of ten under "
                f"{quantiles(counts, n=10)[-1]:.0f}, longest {max(counts)}."
            )
        rows = [row.id for row, n in zip(s.rows, counts, strict=True) if n > far]
        return Measure(
            key,
            name,
            "coverage",
            summary + (f" {count(len(rows), 'pair is', 'pairs are')} far longer." if rows else ""),
            "Estimated: one token a word, digit and mark; within about 10 % on English prose, 16 % "
            "too high on JSON. Launch counts with the model's own tokenizer.",
            len(s.rows),
            tuple(rows),
            look=False,
            bars=histogram(counts),
        )

    return measure


def histogram(counts: Sequence[int], limit: int = 12) -> Bars:
    """Counts in up to `limit` + 1 equal bins of a round width, as ("10-19", n); none of nothing."""
    if not counts:
        return ()
    low, high = min(counts), max(counts)
    widths = (step * 10**power for power in range(9) for step in (1, 2, 5))
    width = next(width for width in widths if (high - low) // width < limit)
    binned = Counter(n // width for n in counts)
    bins = range(low // width, high // width + 1)
    return tuple(
        (f"{b * width}-{(b + 1) * width - 1}" if width > 1 else f"{b}", binned[b]) for b in bins
    )


def difficulty(s: Set) -> Measure:
    counted = Counter(row.difficulty for row in s.rows if row.difficulty)
    summary = "No pair says how difficult it is, so nothing is counted here."
    if counted:
        summary = f"{sum(counted.values())} of {len(s.rows)} pairs say how difficult they are."
    return Measure(
        "difficulty",
        "Difficulty",
        "coverage",
        summary,
        "Taken from a pair's source where a file gave it. Assay does not guess it: length and "
        "rare words say little about how hard an input is.",
        sum(counted.values()),
        look=False,
        bars=tuple(counted.most_common()),
    )


def edge(s: Set) -> Measure:
    rows = tuple(
        row.id
        for row in s.rows
        if row.flagged or {(row.topic or "").lower(), (row.difficulty or "").lower()} & _EDGE
    )
    return Measure(
        "edge",
        "Edge cases",
        "coverage",
        f"{of(rows, s.rows)} are flagged, or tagged as an edge case by topic or difficulty.",
        "Only what somebody tagged. A set without edge cases teaches none.",
        len(s.rows),
        rows,
        look=False,
    )
