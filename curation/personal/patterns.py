"""Personal data that a pattern finds without a model: addresses, titles, ages, numbers, companies.

All of them together read one window for at most some seconds; what takes longer ends the scan of
that text. What is not covered stands in `curation.personal.detect.limits`.
"""

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from curation.personal.detect import Span
from curation.personal.pattern_addresses import ADDRESSES
from curation.personal.pattern_numbers import NUMBERS
from curation.personal.pattern_parts import Rule
from curation.personal.pattern_people import PEOPLE

if TYPE_CHECKING:
    from regex import Pattern

SECONDS = 2.0
"""Seconds of processor time that all patterns together may take on one window."""
_RULES = (*ADDRESSES, *PEOPLE, *NUMBERS)


def spans(text: str, *, cased: bool = False, seconds: float = SECONDS) -> Iterator[Span]:
    """What the patterns find in one window; `cased` says that its capitals are not the writer's.

    Raises:
        TimeoutError: the patterns took longer than `seconds` of processor time.
    """
    rules = _compiled()  # the first time it takes seconds, which are not the text's fault
    end_by = time.thread_time() + seconds
    low = text.casefold()
    digits = any(map(str.isdigit, low))
    for rule, possible, pattern in rules:
        if (cased and not rule.cased) or not possible(low, digits):
            continue
        left = end_by - time.thread_time()
        if left <= 0:
            raise TimeoutError
        for match in pattern.finditer(text, timeout=left):
            if match.start() < match.end():
                yield Span(match.start(), match.end(), rule.type, rule.score)


@cache
def _compiled() -> "tuple[tuple[Rule, Callable[[str, bool], bool], Pattern[str]], ...]":
    import regex

    flags = regex.IGNORECASE | regex.MULTILINE
    return tuple(
        (rule, _possible(rule.needs), regex.compile(rule.pattern, flags)) for rule in _RULES
    )


def _possible(needs: str) -> Callable[[str, bool], bool]:
    """Whether a text can match at all, judged by what every match must hold."""
    if not needs:
        return lambda _low, _digits: True
    if needs == "digit":
        return lambda _low, digits: digits
    terms = needs.split("|")
    return lambda low, _digits: any(word in low for word in terms)
