"""Scan pairs for personal data in batches; each ends with findings or quarantined."""

import multiprocessing
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import chain, islice

import psutil

from curation.personal.analyzer import Scanner
from curation.personal.detect import NAMES, Quarantine, Span
from curation.personal.pii import Config
from curation.personal.scan_lines import ScanFinding, ScanInput, ScannedPair
from storage import systems
from storage.errors import Unavailable

BATCH = 32
_PROSE = frozenset({"prompt", "response", "system_message"})
_SURE = 0.95
"""The score of a project's own lists."""
PART = 64
"""Texts that a process takes at once."""
_PROCESS_BYTES = 600 * 2**20
"""Of memory that a process with the language model takes at most."""
_WORTH_A_PROCESS = 200
"""Pairs for which a process is worth the seconds that its start takes."""

_scanner: Scanner


def results(
    inputs: Iterable[ScanInput],
    config: Config,
    ready: Callable[[], None] = lambda: None,
    processes: int = 1,
) -> Generator[list[ScannedPair], None, None]:
    """What `scans.store` takes in, a batch at a time and in order.

    The inputs are taken as they are needed, so that few of them are in memory. `ready` is called
    once the language model is loaded.

    Raises:
        Unavailable: a process of several was ended from outside.
    """
    batches = _batches(inputs)
    if processes > 1:
        yield from _together(batches, config, ready, processes)
        return
    scanner = Scanner(config)
    ready()
    for batch in batches:
        yield list(_scanned(scanner, config.sha256, batch))


def processes(rows: int) -> int:
    """How many processes are worth their start for so many pairs, on this machine as it is now."""
    room = psutil.virtual_memory().available // _PROCESS_BYTES
    return int(max(1, min(systems.cores(), room, rows // _WORTH_A_PROCESS)))


def _batches(inputs: Iterable[ScanInput]) -> Iterator[list[ScanInput]]:
    waiting = iter(inputs)
    while batch := list(islice(waiting, BATCH)):
        yield batch


def _together(
    batches: Iterator[list[ScanInput]],
    config: Config,
    ready: Callable[[], None],
    processes: int,
) -> Iterator[list[ScannedPair]]:
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start, (config,))
    going: deque[Future[list[ScannedPair]]] = deque()
    try:
        for batch in islice(batches, 2 * processes):
            going.append(pool.submit(_scan_batch, config.sha256, batch))
        wait(going, return_when=FIRST_COMPLETED)
        ready()
        while going:
            yield going.popleft().result()
            for batch in islice(batches, 1):
                going.append(pool.submit(_scan_batch, config.sha256, batch))
    except BrokenExecutor as error:
        raise Unavailable(
            "A process of the scan was ended from outside, most often for want of memory. What was "
            "scanned before counts. Close what else needs memory, then scan again."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


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
    """Load the model in a process of its own, once; it ends with the process that began it."""
    global _scanner
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _scanner = Scanner(config)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _scan_batch(config_sha256: str, batch: Sequence[ScanInput]) -> list[ScannedPair]:
    return list(_scanned(_scanner, config_sha256, batch))


def _scan(texts: Sequence[str]) -> list[list[Span] | Quarantine]:
    return _scanner.scan(texts)
