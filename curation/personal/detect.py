"""What a personal-data finding is: how a text is cut to find them, how placeholders replace them.

Nothing here loads a model: `curation.analyzer` does, and only a job or a command imports it.
"""

import json
import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from storage.errors import RuleBroken

WINDOW = 5_000
"""Characters the scanner sees at once: some patterns take time that grows with their square."""
OVERLAP = 500
LONGEST = 100_000
"""Characters of the longest text that is scanned at all."""

PLACEHOLDER = re.compile(r"<([A-Z]+(?:_[A-Z]+)*)_(\d{1,6})>")
_PRIORITY = (
    "EMAIL_ADDRESS", "IBAN_CODE", "CREDIT_CARD", "CRYPTO", "US_SSN", "US_ITIN", "UK_NHS",
    "UK_NINO", "MEDICAL_LICENSE", "IP_ADDRESS", "MAC_ADDRESS", "PHONE_NUMBER", "US_PASSPORT",
    "US_DRIVER_LICENSE", "US_BANK_NUMBER", "ID_NUMBER", "DATE_TIME", "URL", "STREET_ADDRESS",
    "AGE", "TITLE", "PERSON", "LOCATION", "NRP", "ORGANIZATION",
)  # fmt: skip
_RANK = {name: rank for rank, name in enumerate(_PRIORITY)}
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*')
_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|.", re.DOTALL)
NAMES = frozenset({"PERSON", "LOCATION", "STREET_ADDRESS", "NRP", "ORGANIZATION", "TITLE"})
_BLANK_MARKS = (
    string.punctuation + string.whitespace + "\u2018\u2019\u201c\u201d\u2026\u2013\u2014\u00a0"
)
_INVISIBLE = frozenset("\u034f\u115f\u1160\u3164\uffa0") | {chr(c) for c in range(0xFE00, 0xFE10)}
_LEAST_DIGITS = 6
_FEW_LETTERS = 20
_LOUD = re.compile(r"(?<![\w.@/-])(?:(?![a-z])[^\W\d_]){5,}(?![\w@/])")
_ABBREVIATED = re.compile(
    r"\b(?:mr|mrs|ms|mx|dr|prof|rev|hon|jr|sr|esq|inc|ltd|corp|co|bros|st|ave|rd|blvd|ph\.d)\.$",
    re.IGNORECASE,
)
_JOINS = re.compile(r"[\s,]{0,3}")
_ZIPS = re.compile(r",?\s+(?:[A-Z]{1,3}\s+)?\d{4,6}(?:-\d{3,4})?\b")
_HOUSE = re.compile(r"\s\d{1,4}[a-zA-Z]?(?=\s*(?:[,.;?!\n)]|$|in\b))")
_MARKS = re.compile(r"(?:[^\w\s]|_){40}((?:[^\w\s]|_)+)")
"""Long runs of marks: they say nothing, and the model's tokenizer takes quadratic time for them."""


Given = Callable[[str, str, str], str | None]
"""What stands for words, by field, type and the words without case; None where the row counts."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one text that may be personal data. Offsets in characters, end exclusive."""

    start: int
    end: int
    type: str
    score: float


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A text that could not be scanned whole, and why. It is not clean."""

    reason: str


@dataclass(frozen=True, slots=True)
class Piece:
    """What the scanner reads, with the place of each character in the text it was cut from."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    recased: bool = False
    """Whether its capitals are ours: a second reading of words written all alike."""

    def window(self, start: int, end: int) -> "Piece":
        """A part of the piece."""
        return Piece(
            self.text[start:end], self.starts[start:end], self.ends[start:end], self.recased
        )

    def original(self, span: Span) -> Span:
        """A span found in this piece, in offsets of the text it was cut from."""
        start, end = self.starts[span.start], self.ends[span.end - 1]
        return Span(start, end, span.type, span.score)


def pieces(text: str, *, output: bool = False, allow: frozenset[str] = frozenset()) -> list[Piece]:
    """The windows to scan. In an output that is JSON, each value apart, but for `allow`ed ones."""
    if output and _is_json(text):
        cut = [piece for piece in _values(text) if piece.text not in allow]
    else:
        cut = [Piece(text, range(len(text)), range(1, len(text) + 1))]
    plain = [_calmed(_readable(piece)) for piece in cut]
    again = [_cased(piece) for piece in plain if _uncased(piece)]
    return [window for piece in plain + again for window in _windows(piece)]


def resolved(text: str, spans: Sequence[Span], allow: frozenset[str] = frozenset()) -> list[Span]:
    """Spans that do not overlap and together still cover all that was found.

    The more certain kind wins, then the longer span; what a loser covers beyond the winner stays
    a finding. Placeholders and `allow`ed literals are left alone.
    """
    taken = bytearray(len(text))
    for start, end in [*_occurrences(text, allow), *(m.span() for m in PLACEHOLDER.finditer(text))]:
        taken[start:end] = b"\1" * (end - start)
    kept: list[Span] = []
    for span in sorted(_joined(text, _widened(text, spans)), key=_precedence):
        for part in list(_outside(span, taken)):
            trimmed = _trimmed(text, part)
            if trimmed is not None:
                kept.append(trimmed)
                taken[trimmed.start : trimmed.end] = b"\1" * (trimmed.end - trimmed.start)
    return sorted(kept, key=lambda span: span.start)


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
            if at is not None and _one(text, done[at], span):
                old = done[at]
                end, score = max(old.end, span.end), max(old.score, span.score)
                done[at] = Span(old.start, end, kind, score)
                break
        else:
            last[span.type] = len(done)
            done.append(span)
    return done


def _one(text: str, left: Span, right: Span) -> bool:
    if left.type == right.type and right.start < left.end:
        return True
    town = left.type == "STREET_ADDRESS" and right.type in ("LOCATION", "STREET_ADDRESS")
    near = left.end <= right.start <= left.end + 3
    return town and near and _JOINS.fullmatch(text, left.end, right.start) is not None


def vocabulary(schema: object) -> frozenset[str]:
    """Property names and fixed values of a JSON schema: words of the format, never personal."""
    words: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            words.update(_words_of(node))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return frozenset(word for word in words if word)


def replace(
    fields: Mapping[str, str],
    accepted: Mapping[str, Sequence[Span]],
    given: Given = lambda _field, _type, _words: None,
) -> dict[str, str]:
    """All fields of a row with the accepted spans as numbered placeholders, `<PERSON_1>`.

    The same words of the same type get the same number throughout the row. Numbers start after
    those already in it, unless `given` says what stands for the words. JSON stays JSON: a bare
    number becomes a string.

    Raises:
        RuleBroken: spans overlap, lie outside the text, or a placeholder would break the JSON.
    """
    named = labels(fields, accepted, given)
    done = dict(fields)
    for name, text in fields.items():
        spans = _in_order(accepted, name)
        done[name] = (
            _put_in_json(name, text, spans, named[name])
            if _is_json(text)
            else _put(text, [(span.start, span.end) for span in spans], named[name])
        )
    return done


def labels(
    fields: Mapping[str, str],
    accepted: Mapping[str, Sequence[Span]],
    given: Given = lambda _field, _type, _words: None,
) -> dict[str, list[str]]:
    """The placeholder that each accepted span becomes: by field, in the order of the text.

    Raises:
        RuleBroken: spans overlap or lie outside the text.
    """
    last = _last_numbers(fields)
    numbers: dict[tuple[str, str], int] = {}
    named: dict[str, list[str]] = {name: [] for name in fields}
    for name, text in fields.items():
        spans = _in_order(accepted, name)
        _check(name, text, spans)
        structured = _is_json(text)
        for span in spans:
            key = span.type, surface(text[span.start : span.end], structured)
            label = given(name, *key)
            if label is None:
                if key not in numbers:
                    numbers[key] = last[span.type] = last.get(span.type, 0) + 1
                label = f"<{span.type}_{numbers[key]}>"
            named[name].append(label)
    return named


def _in_order(accepted: Mapping[str, Sequence[Span]], name: str) -> list[Span]:
    return sorted(accepted.get(name, ()), key=lambda span: span.start)


def placeholders(text: str, spans: Sequence[Span]) -> str:
    """One text with its spans as numbered placeholders; see `replace`."""
    return replace({"text": text}, {"text": spans})["text"]


def limits() -> list[str]:
    """What the scan does not catch, in sentences for the page and the card."""
    return [
        "It reads English. Of names in lower case or misspelled, and of names that are everyday "
        "words, many are missed; given names are known best where they are usual in the US.",
        "It misses personal data that only context gives away: a job, a rare event, a description.",
        "Dates that say only how long ago, times of day and decades are not reported.",
        "Nationalities, religions, political groups and weekdays are not reported in a project.",
        "Card numbers and IBANs with wrong check digits are found only in groups of four or after "
        "the word card or IBAN.",
        "Account and document numbers need a word such as account or passport close before them.",
        "Street addresses are found by street words of some European languages, by house numbers "
        "and by units; addresses written otherwise only in part.",
        "Companies are found by endings such as Ltd, by words such as 'works at' and by the model.",
        "Spelled-out numbers, look-alike letters and text inside pictures are not read.",
        "Words that the output schema fixes are never reported in outputs, even if one is a name.",
        "A row that could not be read whole is set aside as not scanned, never as clean: one that "
        f"is longer than {LONGEST:,} characters, takes too long, or is mostly in another script, "
        "even where parts of it could be read. Other languages in Latin letters are read as if "
        "English.",
    ]


def unreadable(text: str) -> Quarantine | None:
    """Why the scanner cannot read a text; None where it can.

    A few foreign words, names or emoji are no reason; that most letters are not Latin is one.
    """
    letters = sum(map(str.isalpha, text))
    if letters < _FEW_LETTERS or text.isascii():
        return None
    latin = sum(char.isalpha() and _is_latin(char) for char in text)
    if latin * 2 >= letters:
        return None
    return Quarantine(
        "The scanner reads English and this is mostly in another script: read the row yourself."
    )


def _is_latin(char: str) -> bool:
    if char < "\u0250":
        return True
    plain = unicodedata.normalize("NFKC", char)
    return all(c < "\u0250" or "\u1e00" <= c <= "\u1eff" for c in plain)


def _is_json(text: str) -> bool:
    """Whether the text is a JSON object or list."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _values(text: str) -> Iterator[Piece]:
    """The strings (keys too, unescaped) and long numbers of a JSON text."""
    for match in _LITERAL.finditer(text):
        if match[0].startswith('"'):
            yield _unescaped(text, match.start() + 1, match.end() - 1)
        elif sum(map(str.isdigit, match[0])) >= _LEAST_DIGITS:
            inside = range(match.start(), match.end())
            yield Piece(match[0], inside, range(match.start() + 1, match.end() + 1))


def _unescaped(text: str, start: int, end: int) -> Piece:
    """The inside of one JSON string as a person reads it."""
    if "\\" not in text[start:end]:
        return Piece(text[start:end], range(start, end), range(start + 1, end + 1))
    chars, starts, ends = [], [], []
    for match in _ESCAPE.finditer(text, start, end):
        chars.append(json.loads(f'"{match[0]}"', strict=False))
        starts.append(match.start())
        ends.append(match.end())
    return Piece("".join(chars), starts, ends)


def _readable(piece: Piece) -> Piece:
    """Wide and styled characters as plain ones, invisible ones gone, runs of marks shortened."""
    hidden = {i for run in _MARKS.finditer(piece.text) for i in range(run.start(1), run.end(1))}
    if not hidden and piece.text.isascii():
        return piece
    chars: list[str] = []
    where: list[int] = []
    for index, char in enumerate(piece.text):
        plain = "" if index in hidden else _plain(char)
        chars.append(plain)
        where.extend([index] * len(plain))
    return Piece("".join(chars), [piece.starts[i] for i in where], [piece.ends[i] for i in where])


def _uncased(piece: Piece) -> bool:
    """Whether some words are all lower or all upper case, in which the model sees few names."""
    return len(piece.text.split()) > 1 and (piece.text.islower() or piece.text.isupper())


def _cased(piece: Piece) -> Piece:
    """The same text with each word capitalised, where that keeps its length."""
    cased = re.sub(r"[^\W\d_]+", lambda match: match[0].capitalize(), piece.text)
    if len(cased) != len(piece.text):
        return piece
    return Piece(cased, piece.starts, piece.ends, recased=True)


def _calmed(piece: Piece) -> Piece:
    """The same text with long words in capitals as names are written, which the model knows."""
    if piece.text.isupper() or not _LOUD.search(piece.text):
        return piece
    calm = _LOUD.sub(lambda match: match[0].capitalize(), piece.text)
    return Piece(calm, piece.starts, piece.ends) if len(calm) == len(piece.text) else piece


def _plain(char: str) -> str:
    kind = unicodedata.category(char)
    if kind == "Cf" or char in _INVISIBLE:
        return ""
    return "\ufffd" if kind == "Cs" else unicodedata.normalize("NFKC", char)


def _windows(piece: Piece) -> Iterator[Piece]:
    length = len(piece.text)
    if not piece.text.strip():
        return
    for start in range(0, max(1, length - OVERLAP), WINDOW - OVERLAP):
        yield piece.window(start, min(length, start + WINDOW))


def _precedence(span: Span) -> tuple[int, int, float, int]:
    rank = _RANK.get(span.type, len(_RANK))
    return rank, span.start - span.end, -span.score, span.start


def _occurrences(text: str, literals: frozenset[str]) -> list[tuple[int, int]]:
    if not literals:
        return []
    longest_first = sorted(literals, key=lambda word: (-len(word), word))
    anyone = "|".join(map(re.escape, longest_first))
    return [match.span() for match in re.finditer(rf"(?<!\w)(?:{anyone})(?!\w)", text)]


def _outside(span: Span, taken: bytearray) -> Iterator[Span]:
    """The parts of a span that nothing has taken; `taken` has a 1 for each character that is."""
    left = taken.find(0, span.start, span.end)
    while left >= 0:
        right = taken.find(1, left, span.end)
        right = span.end if right < 0 else right
        yield Span(left, right, span.type, span.score)
        left = taken.find(0, right, span.end)


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


def _words_of(node: Mapping[str, object]) -> Iterator[str]:
    properties, fixed = node.get("properties"), node.get("enum")
    yield from properties if isinstance(properties, dict) else ()
    candidates = [*(fixed if isinstance(fixed, list) else ()), node.get("const")]
    yield from (word for word in candidates if isinstance(word, str))


def _last_numbers(fields: Mapping[str, str]) -> dict[str, int]:
    """The highest number that each type of placeholder already has in the row."""
    last: dict[str, int] = {}
    for text in fields.values():
        for match in PLACEHOLDER.finditer(text):
            last[match[1]] = max(last.get(match[1], 0), int(match[2]))
    return last


def surface(words: str, structured: bool = False) -> str:
    """What makes two spans the same words: neither case, spacing, width nor JSON escapes count."""
    if structured and "\\" in words:
        words = _unescaped(words, 0, len(words)).text
    return " ".join("".join(map(_plain, words)).casefold().split())


def _check(name: str, text: str, spans: Sequence[Span]) -> None:
    edges = [0, *(edge for span in spans for edge in (span.start, span.end)), len(text)]
    if edges != sorted(edges) or any(span.start == span.end for span in spans):
        raise RuleBroken(f"Findings in the {name} overlap or lie outside it: scan the row again.")
    if not all(PLACEHOLDER.fullmatch(f"<{span.type}_1>") for span in spans):
        raise RuleBroken(f"A finding in the {name} has no known type: choose one from the list.")


def _put(text: str, places: Sequence[tuple[int, int]], labels: Sequence[str]) -> str:
    """The text with a label in each place; of places that overlap only the first counts."""
    parts, at = [], 0
    for (start, end), label in zip(places, labels, strict=True):
        if start >= at:
            parts += [text[at:start], label]
            at = end
    return "".join([*parts, text[at:]])


def _put_in_json(name: str, text: str, spans: Sequence[Span], labels: Sequence[str]) -> str:
    numbers = [match.span() for match in _LITERAL.finditer(text) if match[0][0] != '"']
    places, quoted = [], []
    for span, label in zip(spans, labels, strict=True):
        whole = [place for place in numbers if place[0] < span.end and span.start < place[1]]
        places.append(whole[0] if whole else (span.start, span.end))
        quoted.append(f'"{label}"' if whole else label)
    done = _put(text, places, quoted)
    if not _is_json(done):
        raise RuleBroken(
            f"A placeholder would break the JSON of the {name}: mark less, in one value."
        )
    return done
