"""Which reports there are, and the process that computes one aside from the server.

The server reads what was stored last and goes on; its memory and its threads stay free. One process
at a time does this work for a server, behind everything a person waits for.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from typing import Any, TypeVar

from sqlalchemy import Engine

from curation.gate import measures
from curation.health import project_rows
from curation.versions import standing
from storage import priority, reports
from storage.engine import reading, writing
from storage.errors import NotFound, Unavailable
from storage.reports import Report, Reported
from storage.settings import ROOT
from training.hosted import terms
from training.launch import preflight

log = logging.getLogger(__name__)
T = TypeVar("T")

REPORTS: tuple[Report[Any], ...] = (
    measures.TEXTS,
    standing.STANDING,
    preflight.LEAKS,
    terms.TOKENS,
    project_rows.ALIVE,
    project_rows.APPROVED,
)
"""Every report that is ever stored, by its name in the database."""
_POLL = 0.25
"""Seconds between two looks for a report that is being computed for the first time."""
_lock = threading.Lock()
_running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}


def named(name: str) -> Report[Any]:
    """The report of this name.

    Raises:
        NotFound: there is none.
    """
    for report in REPORTS:
        if report.name == name:
            return report
    raise NotFound(f"There is no report {name!r}.")


def look(engine: Engine, report: Report[T], subject: int) -> Reported[T] | None:
    """The report as it stands: of this moment where that is quick, else as it was last computed.

    One that is no longer of the present data is computed anew meanwhile, at most a tenth of the
    time. None where it was never computed; that has begun then.
    """
    with reading(engine) as session:
        small = reports.small(session, report, subject)
        latest = None if small else reports.latest(session, report, subject)
    if small:
        _prepare(engine, report, subject)
        with reading(engine) as session:
            return reports.fresh(session, report, subject)
    if latest is None or not (latest.current or latest.resting):
        _start(report, subject)
    return latest


def begun(engine: Engine, report: Report[T], subject: int) -> bool:
    """Whether a report that a verb would else compute itself is still to come: of a large subject,
    and not there of the present data. It has begun then.
    """
    with reading(engine) as session:
        if reports.small(session, report, subject):
            return False
    latest = look(engine, report, subject)
    return latest is None or not latest.current


def wait(engine: Engine, report: Report[T], subject: int, seconds: float) -> Reported[T]:
    """The report, also where it is computed for the first time: everyone waits for that one.

    Raises:
        Unavailable: it could not be computed, or not in this time.
    """
    end = time.monotonic() + seconds
    while True:
        latest = look(engine, report, subject)
        if latest is not None:
            return latest
        if time.monotonic() > end or _failed(report, subject):
            raise Unavailable(
                "The figures of this page could not be counted yet. Load the page again; if it "
                "stays so, the server's log says why."
            )
        time.sleep(_POLL)


def _start(report: Report[T], subject: int) -> None:
    with _lock:
        for key in [key for key, child in _running.items() if child.poll() == 0]:
            del _running[key]
        if any(child.poll() is None for child in _running.values()):
            return
        child = subprocess.Popen(
            [sys.executable, "-m", "training", "report", report.name, str(subject)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
            close_fds=True,
        )
        _running[report.name, subject] = child
    priority.behind(child.pid)
    # The exit status is collected so that no zombie is left while nobody looks.
    threading.Thread(target=child.wait, name=f"reap-{child.pid}", daemon=True).start()


def _failed(report: Report[T], subject: int) -> bool:
    """Whether the last process for it ended badly; forgotten then, so that the next look tries."""
    with _lock:
        child = _running.get((report.name, subject))
        if child is None or not child.poll():
            return False
        del _running[report.name, subject]
        return True


def _prepare(engine: Engine, report: Report[T], subject: int) -> None:
    if report.prepare is not None:
        report.prepare(engine, subject)


def work(engine: Engine, name: str, subject: int) -> bool:
    """Compute and store one report, unless somebody does, or it is of the present data already.

    Read in one transaction, so that all of it is of one moment. Returns whether it was computed.
    """
    report = named(name)
    with writing(engine) as session:
        if not reports.begin(session, report, subject):
            return False
    try:
        _prepare(engine, report, subject)
        with reading(engine) as session:
            computed = reports.compute(session, report, subject)
    except BaseException:
        with writing(engine) as session:
            reports.give_up(session, report, subject)
        raise
    with writing(engine) as session:
        reports.store(session, report, subject, computed)
    return True
