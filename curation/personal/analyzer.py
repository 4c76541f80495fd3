"""Find personal data in texts: a spaCy model, Presidio, our patterns, perhaps a second model.

A text that could not be read whole is quarantined, never called clean. What the scan misses is
listed by `curation.personal.detect.limits`. No text takes longer than some five seconds of
processor time where there is no second model; what would is quarantined too.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING

from curation.personal import gazetteer, language, presidio, recognise
from curation.personal.detect import LONGEST, NAMES, Piece, Quarantine, Span, pieces, unreadable
from curation.personal.pii import Config

if TYPE_CHECKING:
    from spacy.tokens import Doc

SECONDS = 2.5
"""Seconds of processor time that a text may take, besides the language model."""
MAX_TOKENS = 25_000
"""Words and marks of a text that the language model reads: some two seconds of its time."""

_BATCH = 64
_ZONE = 512
"""Windows after which spaCy forgets the words that it met."""
_WARM_UP = (
    "Ring +44 20 7946 0958 or write to ana@example.com; card 4111 1111 1111 1111, IP 10.1.2.3."
)
_NO_LIMIT = 600.0
_TOKENS_OF_WINDOW = 3
"""Tokens that a window costs beside its own."""
_DISPLAY_TYPES = {
    "CRYPTO": "ID_NUMBER",
    "MEDICAL_LICENSE": "ID_NUMBER",
    "UK_NHS": "ID_NUMBER",
    "UK_NINO": "ID_NUMBER",
    "US_BANK_NUMBER": "ID_NUMBER",
    "US_DRIVER_LICENSE": "ID_NUMBER",
    "US_ITIN": "ID_NUMBER",
    "US_PASSPORT": "ID_NUMBER",
}
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    rf"\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}|\d{{1,2}}-{_MONTH}|\d(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}\b"
    rf"|\b{_MONTH},?\s+(?:the\s+)?\d|\b(?:19|20)\d\d\b|\b\d{{1,2}}:\d{{2}}\b"
    r"|\b(?:january|february|april|june|july|august|september|october|november|december)\b",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(r"(?:mon|tues|wednes|thurs|fri|satur|sun)day", re.IGNORECASE)


@dataclass(slots=True)
class _TextScan:
    """One text while it is read."""

    refused: Quarantine | None
    spans: list[Span] = field(default_factory=list)
    tokens: int = 0
    spent: float = 0.0
    """Seconds of processor time."""

    @contextmanager
    def timed(self) -> Iterator[Callable[[], float]]:
        """Gives the seconds that remain, and counts those spent within.

        What takes too long, or gives up a pattern, ends the reading of this text.
        """
        begun = time.thread_time()

        def left() -> float:
            seconds = SECONDS - self.spent - (time.thread_time() - begun)
            if seconds <= 0:
                raise TimeoutError
            return seconds

        with self.guarded():
            yield left
            left()
        self.spent += time.thread_time() - begun

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Refuses the text where something within gave up."""
        try:
            yield
        except (presidio.SkippedError, TimeoutError):
            self.refused = Quarantine(
                "A pattern took too long: read the text yourself or shorten it, then scan again."
            )

    def count(self, doc: "Doc") -> None:
        """Refuses the text where the language model would take too long."""
        self.tokens += len(doc) + _TOKENS_OF_WINDOW
        if self.tokens > MAX_TOKENS:
            self.refused = Quarantine(
                "So many words and marks cannot be read in time: split or shorten it, then scan "
                "again."
            )


class Scanner:
    """The scan as one project configures it. The models are loaded once per process."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self._allow = frozenset(self.config.allow)
        self._own = recognise.recognisers(self.config)

    def scan(self, texts: Sequence[str], *, output: bool = False) -> list[list[Span] | Quarantine]:
        """Findings per text, in order; a Quarantine where a text could not be read whole.

        `output` says that the texts are answers in the project's format: JSON is read value by
        value, and the literals of the format are left alone.

        Raises:
            Unavailable: a model is missing, or warnings are switched off so that a pattern that
                was given up could not be noticed.
        """
        allow = self._allow if output else frozenset()
        readings = [_TextScan(_refusal(text)) for text in texts]
        jobs = [
            (reading, piece)
            for reading, text in zip(readings, texts, strict=True)
            if reading.refused is None
            for piece in pieces(text, output=output, allow=allow)
        ]
        for start in range(0, len(jobs), _ZONE):
            self._read(jobs[start : start + _ZONE])
        return [
            reading.refused
            or display_types(self._own.settled(text, reading.spans, output=output, allow=allow))
            for text, reading in zip(texts, readings, strict=True)
        ]

    def _read(self, jobs: Sequence[tuple[_TextScan, Piece]]) -> None:
        """Scan some windows; spaCy forgets the words it met when the block ends."""
        _load()
        model, second = language.language(), self._second
        with presidio.listening(), model.memory_zone():
            for doc, (reading, piece) in model.pipe(_docs(jobs), as_tuples=True, batch_size=_BATCH):
                if reading.refused is None:
                    with reading.timed() as left:
                        self._take(reading, piece, _all(piece, doc, left))
                if second is not None and reading.refused is None:
                    with reading.guarded():
                        self._take(reading, piece, second(piece.text))

    @cached_property
    def _second(self) -> Callable[[str], Iterator[Span]] | None:
        return presidio.second(self.config.second_model)

    def _take(self, reading: _TextScan, piece: Piece, spans: Iterable[Span]) -> None:
        reading.spans += [piece.original(span) for span in self.selected(piece.text, spans)]

    def selected(self, text: str, spans: Iterable[Span]) -> Iterator[Span]:
        """Of all spans of a window, those that this configuration asks for."""
        for span in spans:
            wanted = span.score >= self.config.threshold and self._enabled(span.type)
            if wanted and self._identifying(span.type, text[span.start : span.end]):
                yield span

    def _identifying(self, kind: str, excerpt: str) -> bool:
        """Whether a finding can identify someone: no "yesterday", no "Visa"."""
        if kind == "DATE_TIME":
            weekday = self.config.weekdays and _WEEKDAY.fullmatch(excerpt) is not None
            return weekday or _DATE.search(excerpt) is not None
        return (
            kind not in NAMES
            or kind == "TITLE"
            or not gazetteer.desk_terms().issuperset(excerpt.casefold().split())
        )

    def _enabled(self, kind: str) -> bool:
        left_out = {
            "ORGANIZATION": not self.config.organization,
            "NRP": not self.config.nationality,
            "STREET_ADDRESS": not self.config.addresses,
        }
        return not left_out.get(kind, False)


def display_types(spans: Sequence[Span]) -> list[Span]:
    """The same spans by the names that people see: one for all numbers of papers and accounts."""
    return [Span(s.start, s.end, _DISPLAY_TYPES.get(s.type, s.type), s.score) for s in spans]


def _refusal(text: str) -> Quarantine | None:
    if len(text) > LONGEST:
        return Quarantine(
            f"Longer than {LONGEST:,} characters: split or shorten it, then scan again."
        )
    return unreadable(text)


@cache
def _load() -> None:
    """Loads what the first text would load, so that this does not count as that text's time."""
    with presidio.listening():
        list(_all(pieces(_WARM_UP)[0], language.language()(_WARM_UP), lambda: _NO_LIMIT))


def _docs(
    jobs: Iterable[tuple[_TextScan, Piece]],
) -> "Iterator[tuple[Doc, tuple[_TextScan, Piece]]]":
    """The words of each window; none of a text that was refused meanwhile."""
    for reading, piece in jobs:
        if reading.refused is not None:
            continue
        with reading.timed():
            doc = language.language().make_doc(piece.text)
            reading.count(doc)
        if reading.refused is None:
            yield doc, (reading, piece)


def _all(piece: Piece, doc: "Doc", left: Callable[[], float]) -> Iterator[Span]:
    """Everything found in one window: by Presidio, the language model, our patterns and lists."""
    yield from presidio.spans(piece.text, doc, left)
    yield from language.names(piece.text, doc, recased=piece.recased, seconds=left())
