"""Numbered placeholders for personal data, `<PERSON_1>`: the same words get the same number."""

import re
from collections.abc import Callable, Mapping, Sequence

from curation.personal.detect import LITERAL, Span, is_json, unescaped, unstyled
from storage.errors import RuleBroken

PLACEHOLDER = re.compile(r"<([A-Z]+(?:_[A-Z]+)*)_(\d{1,6})>")
StandInLookup = Callable[[str, str, str], str | None]
"""What stands for words, by field, type and their `surface`; None where the pair counts."""


def _numbered(_field: str, _type: str, _surface: str) -> None:
    """No stand-in: the pair numbers its own."""


def replace(
    fields: Mapping[str, str],
    accepted: Mapping[str, Sequence[Span]],
    stand_in: StandInLookup = _numbered,
) -> dict[str, str]:
    """All fields of a pair with the accepted spans as numbered placeholders, `<PERSON_1>`.

    The same words of the same type get the same number throughout the pair. Numbers start after
    those already in it, unless `stand_in` says what stands for the words. JSON stays JSON: a bare
    number becomes a string.

    Raises:
        RuleBroken: spans overlap, lie outside the text, or a placeholder would break the JSON.
    """
    labels_by_field = labels(fields, accepted, stand_in)
    done = dict(fields)
    for name, text in fields.items():
        spans = _in_order(accepted, name)
        done[name] = (
            _put_in_json(name, text, spans, labels_by_field[name])
            if is_json(text)
            else _put(text, [(span.start, span.end) for span in spans], labels_by_field[name])
        )
    return done


def labels(
    fields: Mapping[str, str],
    accepted: Mapping[str, Sequence[Span]],
    stand_in: StandInLookup = _numbered,
) -> dict[str, list[str]]:
    """The placeholder that each accepted span becomes: by field, in the order of the text.

    Raises:
        RuleBroken: spans overlap or lie outside the text.
    """
    last = _last_numbers(fields)
    numbers: dict[tuple[str, str], int] = {}
    labels_by_field: dict[str, list[str]] = {name: [] for name in fields}
    for name, text in fields.items():
        spans = _in_order(accepted, name)
        _check(name, text, spans)
        structured = is_json(text)
        for span in spans:
            key = span.type, surface(text[span.start : span.end], structured)
            label = stand_in(name, *key)
            if label is None:
                if key not in numbers:
                    numbers[key] = last[span.type] = last.get(span.type, 0) + 1
                label = f"<{span.type}_{numbers[key]}>"
            labels_by_field[name].append(label)
    return labels_by_field


def surface(excerpt: str, structured: bool = False) -> str:
    """What makes two spans the same words: neither case, spacing, width nor JSON escapes count."""
    if structured and "\\" in excerpt:
        excerpt = unescaped(excerpt, 0, len(excerpt)).text
    return " ".join("".join(map(unstyled, excerpt)).casefold().split())


def _on_screen(field: str) -> str:
    """What people call a field of a pair."""
    return {"prompt": "input", "response": "output"}.get(field, field)


def _in_order(accepted: Mapping[str, Sequence[Span]], name: str) -> list[Span]:
    return sorted(accepted.get(name, ()), key=lambda span: span.start)


def _last_numbers(fields: Mapping[str, str]) -> dict[str, int]:
    """The highest number that each type of placeholder already has in the pair."""
    last: dict[str, int] = {}
    for text in fields.values():
        for match in PLACEHOLDER.finditer(text):
            last[match[1]] = max(last.get(match[1], 0), int(match[2]))
    return last


def _check(name: str, text: str, spans: Sequence[Span]) -> None:
    where = _on_screen(name)
    edges = [0, *(edge for span in spans for edge in (span.start, span.end)), len(text)]
    if edges != sorted(edges) or any(span.start == span.end for span in spans):
        raise RuleBroken(f"Findings in the {where} overlap or lie outside it: scan the pair again.")
    if not all(PLACEHOLDER.fullmatch(f"<{span.type}_1>") for span in spans):
        raise RuleBroken(f"A finding in the {where} has no known type: choose one from the list.")


def _put(text: str, places: Sequence[tuple[int, int]], labels: Sequence[str]) -> str:
    """The text with a label in each place; of places that overlap only the first counts."""
    parts, at = [], 0
    for (start, end), label in zip(places, labels, strict=True):
        if start >= at:
            parts += [text[at:start], label]
            at = end
    return "".join([*parts, text[at:]])


def _put_in_json(name: str, text: str, spans: Sequence[Span], labels: Sequence[str]) -> str:
    numbers = [match.span() for match in LITERAL.finditer(text) if match[0][0] != '"']
    places, quoted = [], []
    for span, label in zip(spans, labels, strict=True):
        touched = [place for place in numbers if place[0] < span.end and span.start < place[1]]
        places.append(touched[0] if touched else (span.start, span.end))
        quoted.append(f'"{label}"' if touched else label)
    done = _put(text, places, quoted)
    if not is_json(done):
        raise RuleBroken(
            f"A placeholder would break the JSON of the {_on_screen(name)}: mark less, in one "
            "value."
        )
    return done
