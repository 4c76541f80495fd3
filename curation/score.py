"""Judge an answer against the expected one: valid against the task's schema, correct, label right.

Correct means the same JSON value where the task has a schema, else the same words; an answer that says the right thing
in other words counts as wrong.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry

from curation.statistics import wilson
from storage.errors import BadInput

_LONGEST = 65_536
_DEEPEST = 64
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_SLOW = ("pattern", "patternProperties")

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Score:
    """What became of one answer."""

    valid: bool
    correct: bool
    label: bool | None
    """Whether the label field is right; None where the task has none."""
    fields: dict[str, bool]
    """For each expected key of a JSON object: whether the answer has its value."""


def validator(schema: Schema) -> Draft202012Validator:
    """A validator that never reaches out of the schema.

    Raises:
        BadInput: it is no JSON schema, points outside itself, or uses patterns (which can run for ever).
    """
    for key, value in _entries(schema):
        if key in _REFERENCES and not (isinstance(value, str) and value.startswith("#")):
            raise BadInput(f"The output schema's {key} must point inside the schema (start with #).")
        if key in _SLOW:
            raise BadInput(f"The output schema uses {key!r}, which can take for ever. List the values as enum.")
    try:
        Draft202012Validator.check_schema(schema)
    except (SchemaError, RecursionError):
        raise BadInput("The output schema is not a valid JSON schema (draft 2020-12).") from None
    return Draft202012Validator(schema, registry=Registry())


def _entries(value: object) -> Iterator[tuple[str, object]]:
    """Each key and value at any depth."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Mapping):
            yield from current.items()
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)


def _no_constant(_name: str) -> object:
    raise ValueError


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def parsed(text: str) -> tuple[bool, object]:
    """Whether a text is one strict JSON value (no NaN, no key twice, not too deep), and the value."""
    if len(text) > _LONGEST or text.count("[") + text.count("{") > _LONGEST // _DEEPEST:
        return False, None
    try:
        return True, json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return False, None


def canonical(value: object) -> str:
    """A JSON value in its one form: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def score(text: str, expected: str, schema: Schema | None, label_field: str | None) -> Score:
    """Judge one answer. Without a schema any words are valid, and spaces do not count."""
    if schema is None:
        return Score(bool(text.strip()), text.split() == expected.split(), None, {})
    return _scored(text, expected, validator(schema), label_field)


def scores(
    answers: Sequence[tuple[str, str]], schema: Schema | None, label_field: str | None
) -> list[Score]:
    """Judge many answers, each with the one expected; the schema is read once."""
    if schema is None:
        return [score(text, expected, None, label_field) for text, expected in answers]
    judge = validator(schema)
    return [_scored(text, expected, judge, label_field) for text, expected in answers]


def _scored(
    text: str, expected: str, judge: Draft202012Validator, label_field: str | None
) -> Score:
    is_json, value = parsed(text.strip())
    _, wanted = parsed(expected.strip())
    fields = _fields(value, wanted)
    return Score(
        valid=is_json and judge.is_valid(value),
        correct=is_json and canonical(value) == canonical(wanted),
        label=fields.get(label_field, False) if label_field else None,
        fields=fields,
    )


def _fields(value: object, wanted: object) -> dict[str, bool]:
    if not isinstance(wanted, dict):
        return {}
    got = value if isinstance(value, dict) else {}
    return {
        key: key in got and canonical(got[key]) == canonical(part) for key, part in wanted.items()
    }


def tally(found: Sequence[Score], arm: str) -> dict[str, Any]:
    """Shares of one arm with their 95 % Wilson intervals, under names that begin with the arm's."""
    counts = {
        "accuracy": [one.correct for one in found],
        "valid": [one.valid for one in found],
        "label_accuracy": [one.label for one in found if one.label is not None],
    }
    for key in sorted({key for one in found for key in one.fields}):
        counts[f"field_{key}"] = [one.fields.get(key, False) for one in found]
    figures: dict[str, Any] = {}
    for name, hits in counts.items():
        if hits:
            figures[f"{arm}_{name}"] = sum(hits) / len(hits)
            figures[f"{arm}_{name}_count"] = sum(hits)
            figures[f"{arm}_{name}_interval"] = list(wilson(sum(hits), len(hits)))
    return figures
