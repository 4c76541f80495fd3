"""Read JSON that others wrote, refusing what Python's loader would take in silence or choke on."""

import json
import math
import re
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from storage.errors import BadInput


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """How deep a document may nest and how long a whole number may be written."""

    depth: int = 32
    digits: int = sys.int_info.default_max_str_digits


DEFAULT = JsonLimits()

# Possessive, and an unclosed string runs to the end: one pass, whatever the text.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.|\\\Z)*+(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str, limits: JsonLimits = DEFAULT) -> Any:  # noqa: ANN401 - JSON is of any type
    """The value that `text` holds.

    Raises:
        BadInput: not JSON, or NaN, Infinity, a repeated key, half a surrogate pair, nesting
            beyond `limits.depth`, or a number too long or too large; one sentence, which quotes
            at most a key.
    """
    _check_depth(text, limits.depth)
    try:
        value = _decoder(limits.digits).decode(text)
    except json.JSONDecodeError as error:
        raise BadInput(_plain(text, error)) from None
    except ValueError:  # Python's own limit, which is the same and asked without a call of ours
        raise _too_long(limits.digits) from None
    _check_surrogates(text, value)
    return value


@cache
def _decoder(digits: int) -> json.JSONDecoder:
    """Made once: making one takes longer than most documents do."""
    return json.JSONDecoder(
        object_pairs_hook=_object,
        parse_constant=_constant,
        parse_float=_float,
        parse_int=int if digits == DEFAULT.digits else lambda number: _int(number, digits),
    )


def _check_depth(text: str, depth: int) -> None:
    """Count brackets outside strings: the loader itself would recurse first and ask later."""
    if text.count("[") + text.count("{") <= depth:
        return
    level = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in "[{":
            level += 1
            if level > depth:
                raise BadInput(f"The JSON is nested more than {depth} levels deep.")
        elif first in "]}":
            level -= 1


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys: set[str] = set()
        twice = next(key for key, _ in pairs if key in keys or keys.add(key))  # type: ignore[func-returns-value]
        raise BadInput(
            f"The key {json.dumps(twice[:40])} appears twice in one JSON object; keep one of them."
        )
    return value


def _constant(name: str) -> NoReturn:
    raise BadInput(f'{name} is not a JSON number; write null or a text such as "unknown".')


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadInput("A number in the JSON is too large to hold.")
    return value


def _int(digits: str, limit: int) -> int:
    if len(digits.lstrip("-")) > limit:
        raise _too_long(limit)
    return int(digits)


def _too_long(limit: int) -> BadInput:
    return BadInput(f"A number in the JSON has more than {limit} digits.")


def _check_surrogates(text: str, value: object) -> None:
    """Half of a surrogate pair cannot be written as UTF-8, so neither stored nor shown."""
    if text.isascii() and not ("\\" in text and _ESCAPED_SURROGATE.search(text)):
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadInput(
            "The JSON holds half of a surrogate pair (\\ud800 to \\udfff), which is no character."
        ) from None


def _plain(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return "There is no JSON: the text is empty."
    where = f"character {error.colno}" if error.lineno == 1 else f"line {error.lineno}"
    if error.msg == "Extra data":
        return f"The JSON ends before {where}, but more text follows."
    return f"The text is not valid JSON: {_lower(error.msg)} ({where})."


def _lower(message: str) -> str:
    return (message[:1].lower() + message[1:]).removesuffix(" at")
