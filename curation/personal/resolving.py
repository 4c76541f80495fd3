"""Of findings that overlap, those that stand: the more certain kind, and all that was covered."""

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from curation.personal.detect import NAMES, Span
from curation.personal.placeholders import PLACEHOLDER

_PRIORITY = (
    "EMAIL_ADDRESS",
    "IBAN_CODE",
    "CREDIT_CARD",
    "CRYPTO",
    "US_SSN",
    "US_ITIN",
    "UK_NHS",
    "UK_NINO",
    "MEDICAL_LICENSE",
    "IP_ADDRESS",
    "MAC_ADDRESS",
    "PHONE_NUMBER",
    "US_PASSPORT",
    "US_DRIVER_LICENSE",
    "US_BANK_NUMBER",
    "ID_NUMBER",
    "DATE_TIME",
    "URL",
    "STREET_ADDRESS",
    "AGE",
    "TITLE",
    "PERSON",
    "LOCATION",
    "NRP",
    "ORGANIZATION",
)
_RANK = {name: rank for rank, name in enumerate(_PRIORITY)}
_BLANK_MARKS = (
    string.punctuation + string.whitespace + "\u2018\u2019\u201c\u201d\u2026\u2013\u2014\u00a0"
)
_ABBREVIATED = re.compile(
    r"\b(?:mr|mrs|ms|mx|dr|prof|rev|hon|jr|sr|esq|inc|ltd|corp|co|bros|st|ave|rd|blvd|ph\.d)\.$",
    re.IGNORECASE,
)
_JOINS = re.compile(r"[\s,]{0,3}")
_ZIPS = re.compile(r",?\s+(?:[A-Z]{1,3}\s+)?\d{4,6}(?:-\d{3,4})?\b")
_HOUSE = re.compile(r"\s\d{1,4}[a-zA-Z]?(?=\s*(?:[,.;?!\n)]|$|in\b))")


def resolved(text: str, spans: Sequence[Span], allow: frozenset[str] = frozenset()) -> list[Span]:
    """Spans that do not overlap and together still cover all that was found.

    The more certain kind wins, then the longer span; what a loser covers beyond the winner stays
    a finding. Placeholders and `allow`ed literals are left alone.
    """
    covered = bytearray(len(text))
    for start, end in (match.span() for match in _left_alone(text, allow)):
        covered[start:end] = b"\1" * (end - start)
    resolved_spans: list[Span] = []
    for span in sorted(_joined(text, _widened(text, spans)), key=_precedence):
        for part in list(_outside(span, covered)):
            trimmed = _trimmed(text, part)
            if trimmed is not None:
                resolved_spans.append(trimmed)
                covered[trimmed.start : trimmed.end] = b"\1" * (trimmed.end - trimmed.start)
    return sorted(resolved_spans, key=lambda span: span.start)


def vocabulary(schema: object) -> frozenset[str]:
    """Property names and fixed values of a JSON schema: words of the format, never personal."""
    terms: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            terms.update(_literals_of(node))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return frozenset(word for word in terms if word)


def _widened(text: str, spans: Sequence[Span]) -> Iterator[Span]:
    """The spans, places with the postal code and names with the house number that follow them."""
    for span in spans:
        more = None
        if span.type in ("LOCATION", "STREET_ADDRESS", "PERSON", "ORGANIZATION"):
            more = _ZIPS.match(text, span.end)
        if more is not None:
            kind = span.type if span.type == "STREET_ADDRESS" else "LOCATION"
            yield Span(span.start, more.end(), kind, span.score)
        elif span.type in NAMES and (house := _HOUSE.match(text, span.end)):
            yield Span(span.start, house.end(), "STREET_ADDRESS", span.score)
        yield span


def _joined(text: str, spans: Iterable[Span]) -> Iterable[Span]:
    """The spans, those of one kind that overlap as one, and an address with its town as one."""
    done: list[Span] = []
    last: dict[str, int] = {}
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        for kind in dict.fromkeys((span.type, "STREET_ADDRESS")):
            at = last.get(kind)
            if at is not None and _joinable(text, done[at], span):
                old = done[at]
                end, score = max(old.end, span.end), max(old.score, span.score)
                done[at] = Span(old.start, end, kind, score)
                break
        else:
            last[span.type] = len(done)
            done.append(span)
    return done


def _joinable(text: str, left: Span, right: Span) -> bool:
    if left.type == right.type and right.start < left.end:
        return True
    town = left.type == "STREET_ADDRESS" and right.type in ("LOCATION", "STREET_ADDRESS")
    near = left.end <= right.start <= left.end + 3
    return town and near and _JOINS.fullmatch(text, left.end, right.start) is not None


def _precedence(span: Span) -> tuple[int, int, float, int]:
    rank = _RANK.get(span.type, len(_RANK))
    return rank, span.start - span.end, -span.score, span.start


@lru_cache(maxsize=8)
def literals(phrases: frozenset[str]) -> re.Pattern[str] | None:
    """Finds each of the words whole, the longest first; None where there are none."""
    if not phrases:
        return None
    longest_first = sorted(phrases, key=lambda word: (-len(word), word))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _left_alone(text: str, allow: frozenset[str]) -> Iterator[re.Match[str]]:
    for pattern in (literals(allow), PLACEHOLDER):
        if pattern is not None:
            yield from pattern.finditer(text)


def _outside(span: Span, covered: bytearray) -> Iterator[Span]:
    """The parts of a span that nothing has taken; `taken` has a 1 for each character that is."""
    left = covered.find(0, span.start, span.end)
    while left >= 0:
        right = covered.find(1, left, span.end)
        right = span.end if right < 0 else right
        yield Span(left, right, span.type, span.score)
        left = covered.find(0, right, span.end)


def _trimmed(text: str, span: Span) -> Span | None:
    """The span without blanks and stray marks at its ends; None where little is left."""
    marks = _BLANK_MARKS if span.type in NAMES else ".,;:\"'<> \t\n\r"
    start, end = span.start, span.end
    while start < end and text[start] in marks:
        start += 1
    while start < end and text[end - 1] in marks and not _ABBREVIATED.search(text, start, end):
        end -= 1
    if span.type in NAMES and text[start:end].lower().endswith(("'s", "\u2019s")):
        end -= 2
    if sum(map(str.isalnum, text[start:end])) < 2:
        return None
    return Span(start, end, span.type, span.score)


def _literals_of(node: Mapping[str, object]) -> Iterator[str]:
    properties, fixed = node.get("properties"), node.get("enum")
    yield from properties if isinstance(properties, dict) else ()
    candidates = [*(fixed if isinstance(fixed, list) else ()), node.get("const")]
    yield from (word for word in candidates if isinstance(word, str))
