"""What a large import costs, and what it does to those who review meanwhile.

`python -m benchmarks.imports --rows 100000 --json FILE` queues the import of a file, as the page
does, into a project with `--before` pairs. A process of its own does it. Meanwhile this one leases
a card and decides it, twenty times a second, and a third connection asks every two milliseconds for
the write lock without waiting: what it is refused without a break is how long a lock was held, to a
few milliseconds. Everything runs on this machine, which makes the figures those of a busy server.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psutil
from rich.console import Console
from sqlalchemy import Engine

from benchmarks import grown
from curation.exchange.incoming import Incoming
from curation.review import claims, decisions
from curation.review.ops import Op
from storage import migrate, pairs
from storage.engine import driver, open_engine, reading, writing
from storage.settings import Settings, current
from storage.types import Action, Job, JobState, Role
from tests.support import stories
from training import asks, reconcile
from training.chores import importing
from training.records import results
from training.records.running import Launch
from training.records.specs import IntakeSpec
from training.work import evidence, jobs

_PRESS_SECONDS = 0.05
_POLL_SECONDS = 0.002


def main() -> None:
    """Import, press, measure; print the figures and write them."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=100_000)
    asked.add_argument("--before", type=int, default=10_000, help="pairs of the project before it")
    asked.add_argument("--json", type=Path, help="where the figures go")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as data:
        os.environ["ASSAY_DATA"] = data
        figures = _measure(given.rows, given.before)
    if given.json:
        given.json.write_text(json.dumps([figures], indent=1) + "\n", "utf-8")
    console = Console()
    for name, figure in figures.items():
        console.print(f"{name:16} {figure}", highlight=False)


def _measure(count: int, before: int) -> dict[str, float | int | str]:
    engine = open_engine(current().database)
    migrate.upgrade(engine)
    desk = stories.project(engine)
    held_out = before // grown.HELD_OUT
    present = grown.rows(before)
    grown.take(engine, desk.id, present[:held_out], held_out=True)
    grown.take(engine, desk.id, present[held_out:], held_out=False)
    rows = grown.rows(count, before)
    began = time.monotonic()
    job = _queued(engine, current(), desk.id, rows)
    del rows
    done = threading.Event()
    longest: list[float] = []
    probe = threading.Thread(target=_probe, args=(done, longest))
    probe.start()
    presses, job, cpu = _pressed_until_done(engine, current(), desk.id, job)
    done.set()
    probe.join()
    brought = results.intake(job)
    if brought is None or brought.added != count:
        sys.exit(f"The import ended as {job.state}: {job.message}")
    with reading(engine) as session:
        stored = sum(pairs.counts(session, desk.id).values())
    ordered = sorted(presses)
    return {
        "kind": "import",
        "size": count,
        "stored": stored,
        "cpu_s": round(cpu, 1),
        "wall_s": round(time.monotonic() - began, 1),
        "peak_mb": round(brought.took.peak_memory_mb or 0) if brought.took else 0,
        "presses": len(presses),
        "press_p50_ms": round(1000 * statistics.median(ordered), 1),
        "press_p95_ms": round(1000 * ordered[int(0.95 * len(ordered))], 1),
        "press_max_ms": round(1000 * ordered[-1], 1),
        "longest_lock_ms": round(1000 * max(longest, default=0.0), 1),
    }


def _queued(engine: Engine, settings: Settings, project_id: int, rows: Sequence[Incoming]) -> Job:
    lead = stories.person(engine, grown.LEAD, Role.LEAD)
    job_id = importing.stage(settings, rows)
    spec = IntakeSpec(file="large.jsonl", sha256=uuid4().hex * 2, rows=len(rows))
    with writing(engine) as session:
        return asks.bring_in(session, lead, project_id, spec, job_id)


def _pressed_until_done(
    engine: Engine, settings: Settings, project_id: int, job: Job
) -> tuple[list[float], Job, float]:
    """How long each press took, lease and decision together, until the import has ended; and the
    processor seconds of its process.
    """
    reviewer = stories.person(engine, grown.REVIEWER, Role.REVIEWER)
    seconds: list[float] = []
    looked = cpu = 0.0
    directory = jobs.folder(settings, job.id)
    while job.state in (JobState.QUEUED, JobState.RUNNING):
        if time.monotonic() - looked > 1:
            reconcile.tick(engine, settings, wait=False)
            with reading(engine) as session:
                job = jobs.get(session, job.id)
            looked = time.monotonic()
        cpu = max(cpu, _cpu(directory))
        began = time.monotonic()
        with writing(engine) as session:
            (card,) = claims.lease(session, reviewer, project_id, limit=1)
        with writing(engine) as session:
            op = Op(str(uuid4()), card.pair.id, card.pair.version, card.fence, Action.APPROVE)
            decisions.decide(session, reviewer, op)
        seconds.append(time.monotonic() - began)
        time.sleep(_PRESS_SECONDS)
    return seconds, job, cpu


def _cpu(directory: Path) -> float:
    """Processor seconds of a job's process so far; 0 where it does not run."""
    launch = evidence.read(Launch, directory / "launch.json")
    try:
        times = psutil.Process(launch.pid).cpu_times() if launch is not None else None
    except psutil.Error:
        return 0.0
    return times.user + times.system if times is not None else 0.0


def _probe(done: threading.Event, longest: list[float]) -> None:
    """Ask for the write lock again and again; note how long it was refused without a break."""
    busy_since = None
    with closing(
        driver().connect(current().database, isolation_level=None, timeout=0)
    ) as connection:
        while not done.is_set():
            now = time.monotonic()
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except driver().OperationalError:
                busy_since = busy_since or now
            else:
                if busy_since is not None:
                    longest.append(now - busy_since)
                busy_since = None
            time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
