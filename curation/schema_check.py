"""Say in plain words where an output departs from the task's JSON schema.

The checks stay on this machine and end: a schema may not point outside itself, run a pattern or
refer to itself. Not checked: `format` (dates, e-mail addresses), and whether the output is right.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry

from curation import strict_json
from storage.errors import BadInput

PROBLEM_LIMIT = 20
VALUE_LIMIT = 5_000
STEP_LIMIT = 2_000
DEPTH_LIMIT = 80
SCHEMA_LIMIT = 100_000

_NAMED_SCHEMAS = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"enum", "const", "default", "examples", "required", "dependentRequired"})
_REFUSED = {
    "pattern": "a pattern can take hours to match; list the allowed values under enum",
    "patternProperties": "a pattern can take hours to match; name each key under properties",
    "$dynamicRef": "write the part out or use $ref",
    "$recursiveRef": "write the part out or use $ref",
    "$id": "a schema here needs no address",
}


def problems(text: str, schema: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with `text` as an output under `schema`; empty where nothing is.

    The sentences quote short values of the output: show them beside it, do not log them.
    """
    try:
        value = strict_json.loads(text)
    except BadInput as error:
        return (str(error),)
    if _values(value) > VALUE_LIMIT:
        return (f"The output holds more than {VALUE_LIMIT:,} values.",)
    if _plainly_fits(value, schema):
        return ()
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        errors = sorted(validator.iter_errors(value), key=lambda e: [str(p) for p in e.path])
    except OverflowError:
        return ("A number in the output is too large to compare.",)
    return tuple(dict.fromkeys(s for e in errors for s in _sentences(e)))[:PROBLEM_LIMIT]


_TYPES: dict[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
_PLAIN = frozenset(
    {
        *("type", "enum", "required", "properties", "additionalProperties", "items"),
        *("title", "description", "$schema"),
    }
)


def _plainly_fits(value: object, schema: object) -> bool:
    """Whether a value certainly fits a schema of the commonest rules; the library, which can tell
    in all cases, takes twenty times as long.
    """
    if not isinstance(schema, Mapping) or not schema.keys() <= _PLAIN:
        return schema is True
    if "type" in schema:
        of_type = _TYPES.get(str(schema["type"]))
        if of_type is None or not of_type(value):
            return False
    # Equality of other values than texts is a matter of its own: 1, 1.0 and true.
    if "enum" in schema and not (isinstance(value, str) and value in schema["enum"]):
        return False
    if isinstance(value, dict):
        return _plain_object(value, schema)
    below = schema.get("items", True)
    return not isinstance(value, list) or all(_plainly_fits(item, below) for item in value)


def _plain_object(value: Mapping[str, object], schema: Mapping[str, Any]) -> bool:
    properties, additional = schema.get("properties", {}), schema.get("additionalProperties", True)
    return all(name in value for name in schema.get("required", ())) and all(
        _plainly_fits(part, properties.get(name, additional)) for name, part in value.items()
    )


def check_schema(schema: object) -> None:
    """Refuse a schema that is no schema, leaves this machine, or might never end.

    Raises:
        BadInput: one sentence that names the part.
    """
    if not isinstance(schema, dict):
        raise BadInput('The output schema must be a JSON object, such as {"type": "object"}.')
    if len(json.dumps(schema)) > SCHEMA_LIMIT:
        raise BadInput(f"The output schema is longer than {SCHEMA_LIMIT:,} characters.")
    _Walk(schema).visit(schema, (), 0)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "/".join(str(part) for part in error.path) or "its top"
        raise BadInput(
            f"The output schema is not valid at {where}: look up what may stand there."
        ) from None


@dataclass(slots=True)
class _Walk:
    """A visit of every sub-schema in the order validation would take, following references."""

    root: dict[str, object]
    steps: int = 0

    def visit(self, part: object, refs: tuple[str, ...], depth: int) -> None:
        self.steps += 1
        if self.steps > STEP_LIMIT or depth > DEPTH_LIMIT:
            raise BadInput(
                "The output schema is too large or too deep to check quickly; simplify it."
            )
        if isinstance(part, list):
            for item in part:
                self.visit(item, refs, depth + 1)
        if isinstance(part, dict):
            for keyword, below in part.items():
                self._keyword(keyword, below, refs, depth + 1)

    def _keyword(self, keyword: str, below: object, refs: tuple[str, ...], depth: int) -> None:
        if keyword in _REFUSED:
            raise BadInput(f"The output schema uses {keyword}: {_REFUSED[keyword]}.")
        if keyword == "$ref":
            self.visit(self._target(below, refs), (*refs, str(below)), depth)
        elif keyword in _NAMED_SCHEMAS and isinstance(below, dict):
            for named in below.values():
                self.visit(named, refs, depth)
        elif keyword not in _DATA:
            self.visit(below, refs, depth)

    def _target(self, ref: object, refs: tuple[str, ...]) -> object:
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise BadInput(
                'The output schema has a $ref that leaves the schema; begin it with "#/".'
            )
        if ref in refs or ref == "#":
            raise BadInput("The output schema refers to itself without end; write the part out.")
        part: object = self.root
        for step in ref.removeprefix("#").removeprefix("/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(part, dict) or name not in part:
                raise BadInput('The output schema has a $ref to nothing; write "#/$defs/name".')
            part = part[name]
        return part


def _values(value: object) -> int:
    if isinstance(value, dict):
        return 1 + sum(_values(v) for v in value.values())
    if isinstance(value, list):
        return 1 + sum(_values(v) for v in value)
    return 1


def _sentences(error: ValidationError) -> Iterator[str]:
    """One sentence for most errors, one per key for missing and unknown keys."""
    where = _where(error)
    say = _SAY.get(str(error.validator))
    if say is None:
        yield f"{where} does not meet the schema's rule {error.validator}."
    else:
        yield from say(where, error)


def _where(error: ValidationError) -> str:
    if not error.path:
        return "The output"
    name = ""
    for part in error.path:
        name += f" item {part + 1}" if isinstance(part, int) else f".{part}"
    return f'"{_short(name.strip().removeprefix("."))}"'


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _quoted(value: object) -> str:
    return _short(json.dumps(value, ensure_ascii=False))


def _enum(where: str, error: ValidationError) -> Iterator[str]:
    allowed = ", ".join(_quoted(v) for v in error.validator_value)
    yield f"{where} is {_quoted(error.instance)}; allowed are: {allowed}."


def _const(where: str, error: ValidationError) -> Iterator[str]:
    yield f"{where} is {_quoted(error.instance)}; it must be {_quoted(error.validator_value)}."


def _required(where: str, error: ValidationError) -> Iterator[str]:
    inside = "" if where == "The output" else f" in {where}"
    for key in error.validator_value:
        if key not in error.instance:
            yield f'"{_short(key)}" is missing{inside}.'


def _extra(where: str, error: ValidationError) -> Iterator[str]:
    properties = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    inside = "" if where == "The output" else f" in {where}"
    for key in error.instance:
        if key not in properties:
            yield f'"{_short(key)}" is not a key of this output{inside}; remove it.'


_TYPE_NAMES = {
    "object": "an object {...}",
    "array": "a list [...]",
    "string": "a text in quotation marks",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def _type(where: str, error: ValidationError) -> Iterator[str]:
    types = error.validator_value
    names = [types] if isinstance(types, str) else list(types)
    yield f"{where} must be {' or '.join(_TYPE_NAMES.get(n, n) for n in names)}."


def _bound(rule: str) -> Callable[[str, ValidationError], Iterator[str]]:
    def say(where: str, error: ValidationError) -> Iterator[str]:
        yield f"{where} {rule.format(error.validator_value)}."

    return say


_SAY: dict[str, Callable[[str, ValidationError], Iterator[str]]] = {
    "enum": _enum,
    "const": _const,
    "required": _required,
    "additionalProperties": _extra,
    "unevaluatedProperties": _extra,
    "type": _type,
    "minLength": _bound("must have at least {} characters"),
    "maxLength": _bound("must have at most {} characters"),
    "minItems": _bound("must have at least {} items"),
    "maxItems": _bound("must have at most {} items"),
    "minProperties": _bound("must have at least {} keys"),
    "maxProperties": _bound("must have at most {} keys"),
    "minimum": _bound("must be at least {}"),
    "maximum": _bound("must be at most {}"),
    "exclusiveMinimum": _bound("must be more than {}"),
    "exclusiveMaximum": _bound("must be less than {}"),
    "multipleOf": _bound("must be a multiple of {}"),
    "uniqueItems": _bound("must not repeat an item"),
    "anyOf": _bound("fits none of the allowed forms"),
    "oneOf": _bound("must fit exactly one of the allowed forms"),
}
