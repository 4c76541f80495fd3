"""The scan of all pairs: what was scanned counts however it ends, and only the rest is scanned."""

import os

import pytest
from sqlalchemy import Engine, select

from curation.personal import findings, scan_run, scan_settings, scanning, scans
from curation.personal.scan_run import ScanRun
from storage import events, pairs
from storage.engine import reading, writing
from storage.errors import Unavailable
from storage.tables import ScanRow
from storage.types import Project
from tests.support import curated, stories
from tests.support.effort import Effort, effort


class Stopped(Exception):
    """Someone cancelled the scan."""


def scan(engine: Engine, desk: Project, *, stop_after: int | None = None) -> ScanRun:
    """Scan what waits for it, in this process; stop once so many texts were looked at."""

    def step(done: int, _total: int) -> None:
        if stop_after is not None and done >= stop_after:
            raise Stopped

    with reading(engine) as session:
        config = scan_settings.current(session, desk.id).config
    return scan_run.scan(engine, curated.ana(engine), desk.id, config, step=step, processes=1)


def scanned(engine: Engine) -> list[int]:
    """The pairs that have a scan, each as often as it has one."""
    with reading(engine) as session:
        return sorted(session.scalars(select(ScanRow.pair_id)))


@pytest.fixture
def desk(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Thirteen pairs that wait for a scan, of which few go through memory at a time."""
    monkeypatch.setattr(scan_run, "_PAGE", 5)
    monkeypatch.setattr(scan_run, "_WAITING", 4)
    monkeypatch.setattr(scanning, "BATCH", 2)
    desk = stories.project(engine)
    people = ("Maria Lopez", "Jan Novak", "Ana Roth")
    rows = [
        (f"Case {n}: {people[n % 3]} writes from user{n}@example.com", stories.CARDS)
        for n in range(13)
    ]
    stories.waiting(engine, desk, rows)
    return desk


def test_what_was_scanned_before_a_cancel_counts_and_the_next_scan_does_the_rest(
    engine: Engine, desk: Project
) -> None:
    with pytest.raises(Stopped):
        scan(engine, desk, stop_after=4)
    before = scanned(engine)
    with reading(engine) as session:
        left = scans.left(session, desk.id)
        assert events.latest(session, desk.id)[0].verb == "scan"
    assert (len(before), left) == (3, 10), "the system message is the fourth text"
    run = scan(engine, desk)
    assert (run.looked_at, run.stored) == (10, 10)
    assert scanned(engine) == list(range(1, 14)), "each once"
    with reading(engine) as session:
        assert len(findings.current(session, desk.id)) >= 13
    assert scan(engine, desk) == ScanRun()


def test_only_what_changed_is_scanned_again(engine: Engine, desk: Project) -> None:
    scan(engine, desk)
    with writing(engine) as session:
        row = pairs.row_of(session, 7)
        pairs.rewrite(session, row, "Nobody writes here", row.response, None)
    assert scan(engine, desk).looked_at == 1
    assert scanned(engine) == sorted([*range(1, 14), 7])


def test_a_page_of_waiting_pairs_asks_as_much_at_ten_times_the_pairs(engine: Engine) -> None:
    efforts: list[Effort] = []
    desk = stories.project(engine)
    for count in (60, 540):
        stories.waiting(engine, desk, stories.messages(count, start=len(efforts) * 60))
        with effort() as counted, reading(engine) as session:
            scans.to_scan(session, desk.id, after=20, limit=10)
        efforts.append(counted)
    few, much = efforts
    assert much.statements == few.statements
    assert much.steps <= few.steps + 50


def test_two_processes_find_what_one_finds_and_one_that_is_killed_is_said(
    engine: Engine, desk: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reading(engine) as session:
        config = scan_settings.current(session, desk.id).config
        inputs = scans.to_scan(session, desk.id)
    alone = [result for batch in scanning.results(inputs, config) for result in batch]
    together = [
        result for batch in scanning.results(inputs, config, processes=2) for result in batch
    ]
    assert together == alone
    monkeypatch.setattr(scanning, "_start", os.abort)
    with pytest.raises(Unavailable, match="ended from outside"):
        list(scanning.results(inputs, config, processes=2))
