"""Names that a list, their capitals or the words around them give away.

Where nobody wrote capitals only listed names and, after "in" or "from", unknown words are found.
"""

import re
from collections.abc import Iterator, Sequence

from curation.personal import gazetteer
from curation.personal.detect import Span
from curation.personal.gazetteer import Dictionary, first_names

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019\-][^\W\d_]+)*")
_LEADS = re.compile(
    r"(?:\b(?:in|from|near|to|at|of|around|leaving|visit(?:ing)?)\s+)$", re.IGNORECASE
)
_PLACE_LEADS = re.compile(r"\b(?:in|from|near|to|visit|visiting)\s+$", re.IGNORECASE)
_OPENS = re.compile(r"(?:^|[.!?;\n\"\u201c\u201d()]\s*|^\W+|\?\?\?\s|[-\u2013\u2014]\s|\\n)$")
_FIRST = re.compile(
    r"^[^\w]*([^\W\d_]{4,})(?=(?:'s|,)? (?:is|was|has|had|and|said|says|wants|works|lives)\b)"
)
_LINE = re.compile(
    r"^[ \t?*>#-]*((?:[A-Z0-9][\w'\u2019.-]*[^\S\n](?:(?:&|of|and|n'|the|for)[^\S\n])?){1,4}"
    r"[A-Z][\w'\u2019.-]*)[ \t]*$",
    re.MULTILINE,
)
_TRIO = re.compile(r"\b([A-Z][a-zà-ž]+), ([A-Z][a-zà-ž]+) and ([A-Z][a-zà-ž]+)\b")
_GREETS = frozenset(
    [
        "regards",
        "wishes",
        "sincerely",
        "faithfully",
        "hello",
        "dear",
        "subject",
        "re",
        "best",
        "kind",
        "note",
    ]
)


def spans(text: str, is_word: Dictionary) -> Iterator[Span]:
    """Names in one window: `is_word` knows the dictionary."""
    for match in gazetteer.places().finditer(text):
        yield Span(match.start(), match.end(), "LOCATION", 0.6)
    tokens = list(_WORD.finditer(text))
    if text.islower():
        yield from _lower(text, tokens, is_word)
    elif not text.isupper():
        yield from _lines(text)
        yield from _trios(text)
        yield from _capitalised(text, tokens, is_word)


def names(phrase: str, is_word: Dictionary, *, recased: bool) -> Iterator[tuple[int, int]]:
    """The parts of what the model calls a name that can be one: start and end of each.

    Neither a line break nor, where the capitals are ours, an everyday word is part of a name.
    """
    several = len(_WORD.findall(phrase)) > 1
    for line in re.finditer(r"[^\n]+", phrase):
        parts = [line.span()]
        if recased:
            parts = list(_between_function_terms(phrase, line.start(), line.end()))
        for start, end in parts:
            low = [word[0].casefold() for word in _WORD.finditer(phrase, start, end)]
            everyday = (
                recased
                and (several or _inflected("".join(low)))
                and all(is_word(word) and word not in first_names() for word in low)
            )
            if low and low[0] in ("the", "a", "an") and len(low) > 1:
                start += len(low[0]) + 1
            if not everyday or gazetteer.places().search(phrase, start, end):
                yield start, end


def _between_function_terms(phrase: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """What stands between the function words of a phrase."""
    begun, last = -1, start
    for word in _WORD.finditer(phrase, start, end):
        low = word[0].casefold()
        if _never_a_name(low) and low not in ("of", "and"):
            if begun >= 0:
                yield begun, last
            begun = -1
        elif begun < 0:
            begun = word.start()
        last = word.end()
    if begun >= 0:
        yield begun, max(last, end)
    elif start == last:
        yield start, end


def _inflected(word: str) -> bool:
    return word.endswith(("ed", "ing", "ly"))


def _lines(text: str) -> Iterator[Span]:
    """Lines of a few capitalised words alone, as in a letterhead or a signature."""
    if "\n" not in text.strip():
        return
    for line in _LINE.finditer(text):
        line_tokens = line[1].casefold().replace("&", " ").split()
        if not any(_never_a_name(word) or word in _GREETS for word in line_tokens):
            yield Span(line.start(1), line.end(1), "ORGANIZATION", 0.45)


def _trios(text: str) -> Iterator[Span]:
    """Firms named after three people, "Reed, Cole and Park"."""
    for trio in _TRIO.finditer(text):
        if not first_names() & {part.casefold() for part in trio.groups()}:
            yield Span(trio.start(), trio.end(), "ORGANIZATION", 0.5)


def _capitalised(text: str, tokens: Sequence[re.Match[str]], is_word: Dictionary) -> Iterator[Span]:
    at = 0
    while at < len(tokens):
        run = at
        while run < len(tokens) and _like_a_name(text, tokens, run, at):
            run += 1
        if run == at:
            at += 1
            continue
        names = _without_job(tokens[at:run], is_word)
        start, end = names[0].start(), names[-1].end()
        if _convincing(text, names, is_word):
            place = _LEADS.search(text, max(0, start - 12), start)
            yield Span(start, end, "LOCATION" if place else "PERSON", 0.5)
        at = run


def _without_job(names: Sequence[re.Match[str]], is_word: Dictionary) -> Sequence[re.Match[str]]:
    """Without dictionary words before a first name: "Producer Ana Lopez"."""
    low = [name[0].casefold() for name in names]
    first = next((i for i, word in enumerate(low) if word in first_names() or not is_word(word)), 0)
    return names[first:]


def _like_a_name(text: str, tokens: Sequence[re.Match[str]], index: int, first: int) -> bool:
    word = tokens[index][0]
    if not word[0].isupper() or len(word) < 2 or (word.isupper() and len(word) < 5):
        return False
    low = word.casefold()
    if _never_a_name(low) or low.removesuffix("'s") in gazetteer.desk_terms():
        return False
    gap = text[tokens[index - 1].end() : tokens[index].start()]
    return index == first or gap in (" ", "-")


def _convincing(text: str, names: Sequence[re.Match[str]], is_word: Dictionary) -> bool:
    """Whether capitalised words are a name, and not just the first word of a sentence."""
    low = [name[0].casefold().removesuffix("'s").removesuffix("\u2019s") for name in names]
    opens = _OPENS.search(text, max(0, names[0].start() - 6), names[0].start()) is not None
    listed = [word in first_names() for word in low]
    if not opens:
        return listed[0] or not all(map(is_word, low))
    if listed[0] and low[0] not in gazetteer.word_list("names_that_are_words"):
        return True
    return (
        len(low[0]) > 3
        and not is_word(low[0])
        and (
            len(low) > 1
            or re.match(
                r"(?:['\u2019]s)?,?\s+[a-z]|\s+and\s|\s*(?:\n|$)|:|, [A-Z]", text[names[0].end() :]
            )
            is not None
        )
    )


def _lower(text: str, tokens: Sequence[re.Match[str]], is_word: Dictionary) -> Iterator[Span]:
    """First names, and unknown words after "in" or "from", where nobody wrote capitals."""
    opening = _FIRST.search(text)
    if opening and _unknown(opening[1], is_word):
        yield Span(opening.start(1), opening.end(1), "PERSON", 0.45)
    for at, word in enumerate(tokens):
        low = word[0].removesuffix("'s").removesuffix("\u2019s")
        if len(low) < 3 or _never_a_name(low):
            continue
        if low in first_names() and low not in gazetteer.word_list("names_that_are_words"):
            end = word.start() + len(low)
            after = tokens[at + 1] if at + 1 < len(tokens) else None
            if after and text[word.end() : after.start()] == " " and _unknown(after[0], is_word):
                end = after.end()
            yield Span(word.start(), end, "PERSON", 0.5)
        elif _unknown(low, is_word) and _PLACE_LEADS.search(
            text, max(0, word.start() - 10), word.start()
        ):
            yield Span(word.start(), word.start() + len(low), "LOCATION", 0.45)


def _unknown(word: str, is_word: Dictionary) -> bool:
    return len(word) > 3 and not _never_a_name(word) and not is_word(word)


def _never_a_name(word: str) -> bool:
    return word in gazetteer.word_list("function_words") or word in gazetteer.desk_terms()
