"""Scan pairs for personal data in batches; each ends with findings or quarantined."""

import multiprocessing
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain

from curation.personal.analyzer import Scanner
from curation.personal.detect import NAMES, Quarantine, Span
from curation.personal.pii import Config
from curation.personal.scan_lines import ScanFinding, ScanInput, ScannedPair

BATCH = 32
_PROSE = frozenset({"prompt", "response", "system_message"})
_SURE = 0.95
"""The score of a project's own lists."""
PART = 64
"""Texts that a process takes at once."""

_scanner: Scanner


def results(
    inputs: Sequence[ScanInput],
    config: Config,
    ready: Callable[[], None] = lambda: None,
) -> Iterator[list[ScannedPair]]:
    """What `scans.store` takes in, a batch at a time.

    `ready` is called once the language model is loaded.
    """
    scanner = Scanner(config)
    ready()
    for start in range(0, len(inputs), BATCH):
        yield list(_scanned(scanner, config.sha256, inputs[start : start + BATCH]))


def _scanned(
    scanner: Scanner, config_sha256: str, inputs: Sequence[ScanInput]
) -> Iterator[ScannedPair]:
    spans: list[dict[str, list[Span] | Quarantine]] = [{} for _ in inputs]
    for output in (False, True):
        places = [
            (number, place)
            for number, each in enumerate(inputs)
            for place in each.texts
            if (place == "response") is output
        ]
        texts = [inputs[number].texts[place] for number, place in places]
        scanned = scanner.scan(texts, output=output) if texts else []
        for (number, place), text, outcome in zip(places, texts, scanned, strict=True):
            spans[number][place] = outcome if place in _PROSE else _identifying(text, outcome)
    for each, by_place in zip(inputs, spans, strict=True):
        reason, findings = _result(by_place)
        yield ScannedPair(
            pair_id=each.pair_id,
            content_sha256=each.content_sha256,
            config_sha256=config_sha256,
            quarantined=reason,
            findings=findings,
        )


def _identifying(text: str, outcome: list[Span] | Quarantine) -> list[Span] | Quarantine:
    """What counts in a topic or a number of a pair: there the model takes any word for a name."""
    if isinstance(outcome, Quarantine):
        return outcome
    return [span for span in outcome if _counts(text, span)]


def _counts(text: str, span: Span) -> bool:
    excerpt = text[span.start : span.end]
    if span.type == "DATE_TIME":
        return len(re.findall(r"\d+", excerpt)) > 1  # AB-2006 is no year
    plain = excerpt.islower() or any(map(str.isdigit, text))
    return span.type not in NAMES or span.score >= _SURE or not plain


def _result(
    by_place: Mapping[str, list[Span] | Quarantine],
) -> tuple[str | None, tuple[ScanFinding, ...] | None]:
    """Why the pair is quarantined, or else its findings."""
    findings: list[ScanFinding] = []
    for place, spans in by_place.items():
        if isinstance(spans, Quarantine):
            return spans.reason, None
        field, _, key = place.partition(":")
        findings += [
            ScanFinding(
                field=field,
                key=key or None,
                start=span.start,
                end=span.end,
                type=span.type,
                score=span.score,
            )
            for span in spans
        ]
    return None, tuple(findings)


@contextmanager
def scanners(
    config: Config, processes: int = 1
) -> Iterator[Callable[[Sequence[str]], Iterator[list[Span] | Quarantine]]]:
    """A function that gives the findings in each text, in order: one process or several.

    See `analyzer.Scanner.scan`. The processes load the model with the first texts.
    """
    if processes == 1:
        scanner = Scanner(config)
        yield lambda texts: chain.from_iterable(map(scanner.scan, _parts(texts)))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, (config,)) as pool:
        yield lambda texts: chain.from_iterable(pool.map(_scan, _parts(texts)))


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + PART] for start in range(0, len(texts), PART))


def _start(config: Config) -> None:
    """Load the model in a process of its own, once."""
    global _scanner
    _scanner = Scanner(config)


def _scan(texts: Sequence[str]) -> list[list[Span] | Quarantine]:
    return _scanner.scan(texts)
