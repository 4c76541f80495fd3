"""Outputs against the task's schema in plain words, and schemas that are not accepted."""

import json
import socket
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator
from referencing.exceptions import Unresolvable

from curation import schema_check
from curation.schema_check import check_schema, problems
from storage.errors import BadInput

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "team": {"enum": ["accounts", "loans"]},
        "urgency": {"$ref": "#/$defs/urgency"},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}},
    },
    "required": ["team", "urgency"],
    "additionalProperties": False,
    "$defs": {"urgency": {"enum": ["low", "high"]}},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"team": "loans", "urgency": "low"}', ()),
        (
            '{"team": "cards", "urgency": "low"}',
            ('"team" is "cards"; allowed are: "accounts", "loans".',),
        ),
        ("{}", ('"team" is missing.', '"urgency" is missing.')),
        (
            '{"team": "loans", "urgency": "low", "x": 1}',
            ('"x" is not a key of this output; remove it.',),
        ),
        ("[]", ("The output must be an object {...}.",)),
        ("", ("There is no JSON: the text is empty.",)),
        ("Sure! {}", ("The text is not valid JSON: expecting value (character 1).",)),
        (
            '{"team": NaN}',
            ('NaN is not a JSON number; write null or a text such as "unknown".',),
        ),
        (
            '{"team": "loans", "urgency": "low", "tags": ["ok", "too long"]}',
            ('"tags item 2" must have at most 5 characters.',),
        ),
        ('{"a": 1, "a": 2}', ('The key "a" appears twice in one JSON object; keep one of them.',)),
    ],
)
def test_problems_in_plain_words(text: str, expected: tuple[str, ...]) -> None:
    check_schema(SCHEMA)
    assert problems(text, SCHEMA) == expected


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "must be a JSON object"),
        ({"$ref": "http://169.254.169.254/latest"}, "leaves the schema"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "leaves the schema"),
        ({"properties": {"a": {"pattern": "(a+)+$"}}}, "uses pattern"),
        ({"patternProperties": {"(a+)+$": {}}}, "uses patternProperties"),
        ({"$ref": "#"}, "refers to itself"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}}, "refers to itself"),
        ({"$ref": "#/$defs/gone"}, "a $ref to nothing"),
        ({"type": "strng"}, "not valid at type"),
        ({"$id": "http://x.example"}, "uses $id"),
    ],
)
def test_schemas_that_are_refused(schema: object, words: str) -> None:
    with pytest.raises(BadInput, match="output schema") as refusal:
        check_schema(schema)
    assert words in str(refusal.value)


def test_a_schema_that_doubles_at_each_step_is_refused() -> None:
    defs: dict[str, Any] = {"a0": {}}
    for i in range(1, 40):
        ref = {"$ref": f"#/$defs/a{i - 1}"}
        defs[f"a{i}"] = {"anyOf": [ref, ref]}
    with pytest.raises(BadInput, match="too large or too deep"):
        check_schema({"$defs": defs, "$ref": "#/$defs/a39"})


def test_a_key_may_be_called_pattern() -> None:
    check_schema({"properties": {"pattern": {"type": "string"}, "$ref": {"enum": ["pattern"]}}})


def test_an_outer_reference_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(Unresolvable):
        problems("1", {"$ref": "http://169.254.169.254/"})


def test_numbers_beyond_measure() -> None:
    schema = {"multipleOf": 0.1}
    check_schema(schema)
    assert problems("9" * 4_000, schema)
    assert problems("[" + "1," * 6_000 + "1]", {}) == ("The output holds more than 5,000 values.",)


PLAIN_VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, 2.5, "a", "b", ""]),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below, max_size=3)
    ),
    max_leaves=6,
)
PLAIN_SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(
                [
                    "object",
                    "array",
                    "string",
                    "integer",
                    "number",
                    "boolean",
                    "null",
                    ["string", "null"],
                ]
            ),
            "enum": st.lists(st.sampled_from(["a", "b", 1, True, None]), min_size=1, unique=True),
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "additionalProperties": st.booleans(),
            "minLength": st.just(1),
        },
    ),
    lambda below: (
        st.fixed_dictionaries({"items": below})
        | st.fixed_dictionaries(
            {"properties": st.dictionaries(st.sampled_from("abc"), below, max_size=3)},
            optional={
                "type": st.just("object"),
                "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
                "additionalProperties": st.booleans() | below,
            },
        )
    ),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(PLAIN_VALUES, PLAIN_SCHEMAS)
def test_what_passes_the_quick_check_passes_the_library(value: object, schema: Any) -> None:  # noqa: ANN401 - JSON
    if schema_check._plainly_fits(value, schema):
        assert Draft202012Validator(schema).is_valid(value)


def test_the_quick_check_is_passed_by_common_outputs_and_by_no_near_misses() -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["team"],
        "properties": {
            "team": {"enum": ["cards", "loans"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    }
    assert schema_check._plainly_fits({"team": "cards", "tags": ["a"]}, schema)
    for value in ({}, {"team": "x"}, {"team": "cards", "more": 1}, {"team": "cards", "tags": [1]}):
        assert not schema_check._plainly_fits(value, schema)
        assert schema_check.problems(json.dumps(value), schema)
