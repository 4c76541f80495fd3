"""Personal data that a project describes itself: its lists, context words, numbers, patterns.

Pure and in time proportional to the text: no model is loaded, so a page can try settings out. Words
are compared whole, without regard to white space. Misspelled names and words cut by an inflection
are not found, and single names in lower case only where a whole text is.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from curation.personal import id_numbers, number_grammar
from curation.personal.detect import NAMES, Span, pieces
from curation.personal.pii import Config
from curation.personal.resolving import literals, resolved

_TOKEN = re.compile(r"\w+|[^\w\s]")
_NEAR = 40
"""Characters after a context word in which a number begins."""
_CODE = re.compile(
    r"(?<![^\W_])[A-Za-z]{0,4}[-./]?\d(?:[-./ ]?\d|[A-Za-z]|[-./][A-Za-z]){2,30}(?![^\W_])"
)
_CALLED = re.compile(
    r"\W{0,3}(?:(?:is|was|named|called)\b\W{0,3})?"
    r"([^\W\d_a-z][\w'\u2019.-]{1,40}(?:[^\S\n][^\W\d_a-z][\w'\u2019-]{1,40}){0,3})"
)
_MONTHS = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]{0,6}\.?"
_BIRTH = re.compile(
    r"\b(?:born|birthday|birthdate|birth\s?date|date of birth|d\.?o\.?b\b\.?)(?:\W|(?:on|in|is|was|"
    r"the|year|my|her|his)\b){0,8}"
    rf"(\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?{_MONTHS}(?:,?\s\d{{2,4}})?"
    rf"|{_MONTHS}\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s\d{{4}})?|{_MONTHS}\s\d{{4}}|(?:19|20)\d\d)\b",
    re.IGNORECASE,
)
_SCORES = {"deny": 1.0, "names": 0.95, "numbers": 0.9, "patterns": 0.85, "near": 0.6}


@dataclass(slots=True)
class _Node:
    """A place in a tree of words; `kinds` says what ends here, and whether in any case."""

    next: dict[str, "_Node"] = field(default_factory=dict)
    kinds: list[tuple[str, bool]] = field(default_factory=list)

    def add(self, phrase: str, kind: str, any_case: bool) -> None:
        """Put words into the tree."""
        node = self
        for token in _TOKEN.findall(phrase):
            node = node.next.setdefault(token.casefold(), _Node())
        node.kinds.append((kind, any_case))


@dataclass(frozen=True, slots=True)
class OwnRecognisers:
    """A project's own recognisers."""

    config: Config
    _listed: _Node
    _before: _Node
    _harmless: re.Pattern[str] | None

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        c = self.config
        lists = (c.known, c.deny, c.names, c.context, c.patterns, c.countries)
        return c.births or any(lists)

    def settled(
        self,
        text: str,
        model_spans: Sequence[Span],
        *,
        output: bool = False,
        allow: frozenset[str] = frozenset(),
    ) -> list[Span]:
        """The model's findings and the project's own, without overlaps; the project's win.

        Like `resolving.resolved`, which it is where a project describes nothing.
        """
        if not self:
            return resolved(text, model_spans, allow)
        windows = pieces(text, output=output, allow=allow)
        listed = [w.original(s) for w in windows for s in self._listed_spans(w.text)]
        shaped = [w.original(s) for w in windows for s in self._shaped_spans(w.text)]
        harmless = self._harmless_places(text)
        mine = resolved(text, [*listed, *_without_harmless(shaped, harmless)], allow)
        own_places = [(span.start, span.end) for span in mine]
        others = list(_beside(_without_harmless(model_spans, harmless), own_places))
        return resolved(text, [*mine, *others], allow) if others else mine

    def _listed_spans(self, text: str) -> Iterator[Span]:
        if not self._listed.next:
            return
        for start, end, (kind, any_case) in _walk(self._listed, text):
            if any_case or not text[start:end].islower():
                yield Span(start, end, kind, _SCORES["deny" if any_case else "names"])

    def _shaped_spans(self, text: str) -> Iterator[Span]:
        for start, end in id_numbers.places(text, self.config.countries):
            yield Span(start, end, "ID_NUMBER", _SCORES["numbers"])
        for kind, pattern in self.config.patterns:
            for match in number_grammar.compiled(pattern).finditer(text):
                yield Span(*match.span(), kind, _SCORES["patterns"])
        if self.config.births:
            for match in _BIRTH.finditer(text):
                yield Span(*match.span(1), "DATE_OF_BIRTH", _SCORES["patterns"])
        if self._before.next:
            for _, end, (kind, _) in _walk(self._before, text):
                yield from _after(text, end, kind)

    def _harmless_places(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in self._harmless.finditer(text)] if self._harmless else []


@lru_cache(maxsize=8)
def recognisers(config: Config) -> OwnRecognisers:
    """The recognisers that a configuration describes."""
    listed, before = _Node(), _Node()
    for kind, phrase in config.deny:
        listed.add(phrase, kind, True)
    for name in config.names:
        listed.add(name, "PERSON", len(name.split()) > 1)
    for kind, phrase in config.context:
        before.add(phrase, kind, True)
    return OwnRecognisers(config, listed, before, literals(frozenset(config.known)))


def _walk(tree: _Node, text: str) -> Iterator[tuple[int, int, tuple[str, bool]]]:
    """Every place where words of the tree stand, the longest from each beginning."""
    tokens = list(_TOKEN.finditer(text))
    folded = [token[0].casefold() for token in tokens]
    for first in range(len(tokens)):
        node, last = tree, None
        for at in range(first, len(tokens)):
            deeper = node.next.get(folded[at])
            if deeper is None:
                break
            node = deeper
            if node.kinds:
                last = (tokens[at].end(), node.kinds)
        if last is not None:
            for kind in last[1]:
                yield tokens[first].start(), last[0], kind


def _after(text: str, at: int, kind: str) -> Iterator[Span]:
    """The name, or the number, that stands after a context word."""
    if kind in NAMES:
        named = _CALLED.match(text, at, at + 200)
        if named is not None:
            yield Span(*named.span(1), kind, _SCORES["near"])
        return
    number = _CODE.search(text, at, at + 2 * _NEAR)
    if number is not None and number.start() <= at + _NEAR:
        yield Span(*number.span(), kind, _SCORES["near"])


def _without_harmless(spans: Iterable[Span], harmless: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """Findings without the words that a project calls harmless.

    Such words are cut out of a name; an address or a number goes only if it is one of them whole.
    """
    for span in spans:
        if span.type in NAMES:
            yield from _beside([span], harmless)
        elif not any(
            start <= span.start and span.end <= end for start, end in _meeting(span, harmless)
        ):
            yield span


def _beside(spans: Iterable[Span], places: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """What is left of each finding outside the places taken, which are apart and in order."""
    for span in spans:
        at = span.start
        for start, end in _meeting(span, places):
            if at < start:
                yield Span(at, start, span.type, span.score)
            at = max(at, end)
        if at < span.end:
            yield Span(at, span.end, span.type, span.score)


def _meeting(span: Span, places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Those places, apart and in order, that share characters with a finding."""
    first = bisect_right(places, span.start, key=lambda place: place[1])
    for index in range(first, len(places)):
        if places[index][0] >= span.end:
            return
        yield places[index]
