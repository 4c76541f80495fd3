"""What a personal-data finding is, and how a text is cut into the windows that are read.

Nothing here loads a model: `analyzer` does, and only a job or a command imports it.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WINDOW = 5_000
"""Characters the scanner sees at once: some patterns take time that grows with their square."""
OVERLAP = 500
LONGEST = 100_000
"""Characters of the longest text that is scanned at all."""
LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*')
_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|.", re.DOTALL)
NAMES = frozenset({"PERSON", "LOCATION", "STREET_ADDRESS", "NRP", "ORGANIZATION", "TITLE"})
_INVISIBLE = frozenset("\u034f\u115f\u1160\u3164\uffa0") | {chr(c) for c in range(0xFE00, 0xFE10)}
_LEAST_DIGITS = 6
_FEW_LETTERS = 20
_LOUD = re.compile(r"(?<![\w.@/-])(?:(?![a-z])[^\W\d_]){5,}(?![\w@/])")
_MARKS = re.compile(r"(?:[^\w\s]|_){40}((?:[^\w\s]|_)+)")
"""Long runs of marks: they say nothing, and the model's tokenizer takes quadratic time for them."""


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
    if output and is_json(text):
        cut = [piece for piece in _values(text) if piece.text not in allow]
    else:
        cut = [Piece(text, range(len(text)), range(1, len(text) + 1))]
    plain = [_calmed(_readable(piece)) for piece in cut]
    again = [_cased(piece) for piece in plain if _uncased(piece)]
    return [window for piece in plain + again for window in _windows(piece)]


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
        "A pair that could not be read whole is set aside as not scanned, never as clean: one that "
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
        "The scanner reads English and this is mostly in another script: read the text yourself."
    )


def _is_latin(char: str) -> bool:
    if char < "\u0250":
        return True
    plain = unicodedata.normalize("NFKC", char)
    return all(c < "\u0250" or "\u1e00" <= c <= "\u1eff" for c in plain)


def is_json(text: str) -> bool:
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
    for match in LITERAL.finditer(text):
        if match[0].startswith('"'):
            yield unescaped(text, match.start() + 1, match.end() - 1)
        elif sum(map(str.isdigit, match[0])) >= _LEAST_DIGITS:
            inside = range(match.start(), match.end())
            yield Piece(match[0], inside, range(match.start() + 1, match.end() + 1))


def unescaped(text: str, start: int, end: int) -> Piece:
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
        plain = "" if index in hidden else unstyled(char)
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


def unstyled(char: str) -> str:
    """A character as plain ones: none where it is invisible."""
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
