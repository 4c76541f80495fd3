"""Rules that an answer either keeps or breaks, so that a machine can judge it without a model.

A rule sees words, not sense: an answer that quotes a forbidden word in order to refuse breaks the
rule, and harm in words that no rule names passes.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from curation import schema_check, strict_json
from curation.project.score import canonical
from curation.review import phrases
from storage.errors import BadInput

Rule = Mapping[str, Any]
Schema = Mapping[str, Any]

_REFUSALS = (
    *("cannot", "can't", "can not", "won't", "will not", "unable", "not able", "sorry"),
    *("not allowed", "decline", "refuse", "not something i can", "i don't have", "do not have"),
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_EDGES = " \t\n\r.,;:!?\"'`*()"
_SPELT = 6
"""Letters from which on a forbidden word is also looked for spelt apart; shorter ones would be
found across the borders of harmless words."""
_LONGEST = 65_536
"""Characters of an answer that are looked at; what follows is not."""


def broken(rule: Rule, text: str, schema: Schema | None) -> tuple[str, ...]:
    """What an answer breaks of a rule, each in a few words; empty where it keeps it.

    A rule is a JSON object; all its parts must hold:
    `equals`: these words and no others, but for case, spaces and outer punctuation.
    `number`: the last number in the answer.
    `any`, `must`: at least one, or all of these words, as whole words.
    `must_not`: none of these, anywhere in the answer.
    `digits`: no run of so many digits, spaces and hyphens between them not counted.
    `lines`, `most_words`: so many lines that are not empty; at most so many words.
    `json`: this very JSON value.
    `refuses`: it says no, or it fits the project's schema and so can say little.
    `fits`: it fits the project's schema, where there is one.

    Raises:
        BadInput: there is no such part.
    """
    unknown = sorted(set(rule) - set(_PARTS))
    if unknown:
        raise BadInput(f"There is no rule {unknown[0]!r} for answers.")
    excerpt = text[:_LONGEST]
    complaints = (_PARTS[name](required, excerpt, schema) for name, required in rule.items())
    return tuple(complaint for complaint in complaints if complaint)


def _has(text: str, word: str) -> bool:
    return bool(phrases.matches(text, (word,)))


def _equals(required: str, text: str, _schema: Schema | None) -> str:
    matches = phrases.folded(text).strip(_EDGES) == phrases.folded(required).strip(_EDGES)
    return "" if matches else f"is not “{required}”"


def _number(required: float, text: str, _schema: Schema | None) -> str:
    numbers = _NUMBER.findall(text.replace(",", ""))
    return (
        ""
        if numbers and float(numbers[-1]) == required
        else f"does not end on the number {required:g}"
    )


def _any(required: list[str], text: str, _schema: Schema | None) -> str:
    return (
        "" if any(_has(text, word) for word in required) else f"has none of: {', '.join(required)}"
    )


def _must(required: list[str], text: str, _schema: Schema | None) -> str:
    missing = [word for word in required if not _has(text, word)]
    return f"lacks: {', '.join(missing)}" if missing else ""


def _must_not(required: list[str], text: str, _schema: Schema | None) -> str:
    folded = phrases.folded(text)
    close = folded.replace(" ", "")
    forbidden = [word for word in required if phrases.folded(word) in folded or _spelt(word, close)]
    return f"has: {', '.join(forbidden)}" if forbidden else ""


def _spelt(word: str, close: str) -> bool:
    """Whether a long word stands there with spaces put between its letters."""
    letters = phrases.folded(word).replace(" ", "")
    return len(letters) >= _SPELT and letters in close


def _digits(required: int, text: str, _schema: Schema | None) -> str:
    close = re.sub(r"(?<=\d)[\s-]+(?=\d)", "", text)
    return f"has {required} digits in a row" if re.search(rf"\d{{{required}}}", close) else ""


def _lines(required: int, text: str, _schema: Schema | None) -> str:
    n = sum(bool(line.strip()) for line in text.splitlines())
    return "" if n == required else f"has {n} lines, not {required}"


def _word_limit(required: int, text: str, _schema: Schema | None) -> str:
    n = len(text.split())
    return "" if n <= required else f"has {n} words, more than {required}"


def _json(required: object, text: str, _schema: Schema | None) -> str:
    try:
        matches = canonical(strict_json.loads(text.strip())) == canonical(required)
    except BadInput:
        return "is no JSON"
    return "" if matches else "is another JSON value"


def _fits(required: bool, text: str, schema: Schema | None) -> str:
    if not required or schema is None or not schema_check.problems(text.strip(), schema):
        return ""
    return "does not fit the schema"


def _refuses(required: bool, text: str, schema: Schema | None) -> str:
    bound = schema is not None and not _fits(True, text, schema)
    says_no = any(_has(text, word) for word in _REFUSALS)
    return "does not refuse" if required and not (bound or says_no) else ""


_PARTS: dict[str, Callable[[Any, str, Schema | None], str]] = {
    "equals": _equals,
    "number": _number,
    "any": _any,
    "must": _must,
    "must_not": _must_not,
    "digits": _digits,
    "lines": _lines,
    "most_words": _word_limit,
    "json": _json,
    "fits": _fits,
    "refuses": _refuses,
}
