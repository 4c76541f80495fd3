"""Outputs against the task's schema in plain words, and schemas that are not accepted."""

import socket
from typing import Any

import pytest
from referencing.exceptions import Unresolvable

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
