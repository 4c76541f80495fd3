"""The scan of all pairs that have none: as many processes as help, and taken in as it goes.

What was scanned before an end of any kind counts: the next scan goes on with the rest.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from curation.personal import scanning, scans
from curation.personal.pii import Config
from curation.personal.scan_lines import ScanInput, ScannedPair
from storage import chunks, steps
from storage.engine import reading, writing
from storage.steps import Step
from storage.types import User

_PAGE = 500
"""Pairs that are read at once."""
_WAITING = 500
_WAITING_SECONDS = 10.0
"""Results that are taken in at once, and how long the first of them may wait for that."""


@dataclass(slots=True)
class ScanRun:
    """What a scan has come to."""

    looked_at: int = 0
    """Texts: pairs, and the system message."""
    stored: int = 0
    """Pairs that count."""
    quarantined: int = 0
    """Pairs that could not be scanned whole."""


def scan(
    engine: Engine,
    actor: User,
    project_id: int,
    config: Config,
    *,
    step: Step = steps.quiet,
    processes: int | None = None,
) -> ScanRun:
    """Scan what has no scan with these settings, which are those of the project.

    `step` is called outside any transaction, and may end the scan by raising.

    Raises:
        Unavailable: a process of the scan was ended from outside.
    """
    with reading(engine) as session:
        total = scans.left(session, project_id)
    run = ScanRun()
    if not total:
        return run
    results = scanning.results(
        _inputs(engine, project_id),
        config,
        lambda: step(run.looked_at, total),
        processes or scanning.processes(total),
    )
    try:
        with closing(results):
            for waiting in _gathered(results):
                _take_in(engine, project_id, run, waiting)
                step(run.looked_at, total)
    finally:
        if run.stored:
            with writing(engine) as session:
                scans.log(session, actor, project_id, run.stored)
    return run


def _inputs(engine: Engine, project_id: int) -> Iterator[ScanInput]:
    """What waits for a scan, a page at a time, each by a look of its own."""
    after: int | None = None
    while True:
        with reading(engine) as session:
            page = scans.to_scan(session, project_id, after=after, limit=_PAGE)
        if not page:
            return
        yield from page
        after = page[-1].pair_id


def _gathered(results: Iterable[list[ScannedPair]]) -> Iterator[list[ScannedPair]]:
    waiting: list[ScannedPair] = []
    since = time.monotonic()
    for batch in results:
        waiting += batch
        if len(waiting) >= _WAITING or time.monotonic() - since > _WAITING_SECONDS:
            yield waiting
            waiting, since = [], time.monotonic()
    yield waiting


def _take_in(engine: Engine, project_id: int, run: ScanRun, results: Sequence[ScannedPair]) -> None:
    def verb(session: Session, chunk: Sequence[ScannedPair]) -> None:
        run.stored += scans.take_in(session, project_id, chunk)

    chunks.write(engine, results, verb)
    run.looked_at += len(results)
    run.quarantined += sum(result.quarantined is not None for result in results)
