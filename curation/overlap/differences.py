"""Answers side by side: in which fields of their JSON they do not say the same."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from curation.overlap import duplicates
from curation.overlap.duplicates import Schema


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A field that is not the same in all answers."""

    field: str
    """Its path, such as `customer.address` or `items[0]`."""
    values: tuple[str | None, ...]
    """What each answer has there: words as they are, else JSON; None where there is nothing."""
    label: bool
    """Whether it is the field that the project calls the label."""


def between(
    responses: Sequence[str], schema: Schema = None, label: str | None = None
) -> list[FieldDifference] | None:
    """The fields in which answers differ, the label first; None unless all are JSON objects."""
    values = [_object(response) for response in responses]
    if any(value is None for value in values):
        return None
    fields = [dict(_fields(duplicates.uniform(value, schema), "")) for value in values]
    differences = [
        FieldDifference(name, tuple(answer.get(name) for answer in fields), name == label)
        for name in dict.fromkeys(name for answer in fields for name in answer)
        if len({answer.get(name) for answer in fields}) > 1
    ]
    return sorted(differences, key=lambda difference: not difference.label)


def _object(response: str) -> dict[str, object] | None:
    try:
        value = json.loads(response)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _fields(value: Any, path: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - as above
    """Each innermost value by its path."""
    if isinstance(value, dict) and value:
        for name, child in value.items():
            yield from _fields(child, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for at, child in enumerate(value):
            yield from _fields(child, f"{path}[{at}]")
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)
