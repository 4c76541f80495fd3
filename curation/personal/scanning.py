"""Scan rows for personal data in batches; each row ends with findings or quarantined."""

import multiprocessing
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

from curation.personal import detect
from curation.personal.pii import Config

if TYPE_CHECKING:
    from curation.personal.analyzer import Scanner

BATCH = 32
_PROSE = frozenset({"prompt", "response", "system_message"})
_SURE = 0.95
"""The score of a project's own lists."""
PART = 64
"""Texts that a process takes at once."""

_scanner: "Scanner"


def results(
    rows: Sequence[Mapping[str, Any]],
    config: Config,
    ready: Callable[[], None] = lambda: None,
) -> Iterator[list[dict[str, Any]]]:
    """Lines for `scrub.store`, a batch at a time.

    Each row has `pair_id`, `content_sha256` and `texts`: what is scanned, by place. `ready` is
    called once the language model is loaded.
    """
    from curation.personal import analyzer

    scanner = analyzer.Scanner(config)
    ready()
    for start in range(0, len(rows), BATCH):
        yield list(_scanned(scanner, config.sha256, rows[start : start + BATCH]))


def _scanned(
    scanner: "Scanner", config_sha256: str, rows: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    found: list[dict[str, list[detect.Span] | detect.Quarantine]] = [{} for _ in rows]
    for output in (False, True):
        places = [
            (number, place)
            for number, row in enumerate(rows)
            for place in row["texts"]
            if (place == "response") is output
        ]
        texts = [rows[number]["texts"][place] for number, place in places]
        each = scanner.scan(texts, output=output) if texts else []
        for (number, place), text, spans in zip(places, texts, each, strict=True):
            found[number][place] = spans if place in _PROSE else _told(text, spans)
    for row, spans_by_place in zip(rows, found, strict=True):
        yield {
            "pair_id": row["pair_id"],
            "content_sha256": row["content_sha256"],
            "config_sha256": config_sha256,
            **_found(spans_by_place),
        }


def _told(
    text: str, spans: list[detect.Span] | detect.Quarantine
) -> list[detect.Span] | detect.Quarantine:
    """What counts in a topic or a number of a row: there the model takes any word for a name."""
    if isinstance(spans, detect.Quarantine):
        return spans
    return [span for span in spans if _counts(text, span)]


def _counts(text: str, span: detect.Span) -> bool:
    words = text[span.start : span.end]
    if span.type == "DATE_TIME":
        return len(re.findall(r"\d+", words)) > 1  # AB-2006 is no year
    plain = words.islower() or any(map(str.isdigit, text))
    return span.type not in detect.NAMES or span.score >= _SURE or not plain


def _found(by_place: Mapping[str, list[detect.Span] | detect.Quarantine]) -> dict[str, Any]:
    findings = []
    for place, spans in by_place.items():
        if isinstance(spans, detect.Quarantine):
            return {"quarantined": spans.reason}
        field, _, key = place.partition(":")
        findings += [
            {
                "field": field,
                "key": key or None,
                "start": s.start,
                "end": s.end,
                "type": s.type,
                "score": s.score,
            }
            for s in spans
        ]
    return {"findings": findings}


@contextmanager
def scanners(
    config: Config, processes: int = 1
) -> Iterator[Callable[[Sequence[str]], Iterator[list[detect.Span] | detect.Quarantine]]]:
    """A function that gives what is found in each text, in order: one process or several.

    See `analyzer.Scanner.scan`. The processes load the model with the first texts.
    """
    if processes == 1:
        from curation.personal import analyzer

        scanner = analyzer.Scanner(config)
        yield lambda texts: chain.from_iterable(map(scanner.scan, _parts(texts)))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _take, (config,)) as pool:
        yield lambda texts: chain.from_iterable(pool.map(_scan, _parts(texts)))


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + PART] for start in range(0, len(texts), PART))


def _take(config: Config) -> None:
    """Load the model in a process of its own, once."""
    from curation.personal import analyzer

    global _scanner
    _scanner = analyzer.Scanner(config)


def _scan(texts: Sequence[str]) -> list[list[detect.Span] | detect.Quarantine]:
    return _scanner.scan(texts)
