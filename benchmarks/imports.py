"""What a large import costs, and what it does to those who review meanwhile.

`python -m benchmarks.imports --rows 100000 --json FILE` imports a file as its job does, in a
process of its own and behind others, into a project with `--before` pairs. That process notes how
long each of its transactions held the write lock, by the clock and in processor time: on a machine
that is busy with other work the first says how long it was kept waiting, the second what it asked
for. Meanwhile this process leases a card and decides it, twenty times a second.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from rich.console import Console
from sqlalchemy import Engine, event

from benchmarks import grown
from curation.exchange import intake
from curation.exchange.intake import Intake
from curation.review import claims, decisions
from curation.review.ops import Op
from storage import migrate, pairs
from storage.engine import open_engine, reading, writing
from storage.priority import HOLDING
from storage.settings import current
from storage.types import Action, Role
from tests.support import stories

_PRESS_SECONDS = 0.05


class ImportCost(msgspec.Struct):
    """What an import took; times of the write lock in milliseconds."""

    cpu_s: float
    wall_s: float
    peak_mb: int
    transactions: int
    lock_p95_ms: float
    lock_max_ms: float
    lock_cpu_max_ms: float


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


def _measure(count: int, before: int) -> dict[str, Any]:
    engine = open_engine(current().database)
    migrate.upgrade(engine)
    desk = stories.project(engine)
    held_out, present = before // grown.HELD_OUT, grown.rows(before)
    grown.take(engine, desk.id, present[:held_out], held_out=True)
    grown.take(engine, desk.id, present[held_out:], held_out=False)
    record = current().data / "import.json"
    process = multiprocessing.get_context("spawn").Process(
        target=_import, args=(desk.id, count, before, record)
    )
    process.start()
    presses = sorted(_presses(engine, desk.id, process))
    cost = msgspec.json.decode(record.read_bytes(), type=ImportCost)
    with reading(engine) as session:
        stored = sum(pairs.counts(session, desk.id).values())
    return {
        "kind": "import",
        "size": count,
        "stored": stored,
        **msgspec.to_builtins(cost),
        "presses": len(presses),
        "press_p50_ms": round(1000 * statistics.median(presses), 1),
        "press_p95_ms": round(1000 * presses[int(0.95 * len(presses))], 1),
        "press_max_ms": round(1000 * presses[-1], 1),
    }


def _import(project_id: int, count: int, before: int, record: Path) -> None:
    """Import; runs alone in a process, which goes behind others as that of a job does."""
    os.nice(HOLDING)
    engine = open_engine(current().database)
    lead = stories.person(engine, grown.LEAD, Role.LEAD)
    rows = grown.rows(count, before)
    locks = _Locks(engine)
    began, cpu = time.monotonic(), time.process_time()
    intake.take_in_chunks(engine, lead, Intake(project_id, "large.jsonl", uuid4().hex * 2), rows)
    walls = sorted(wall for wall, _ in locks.lasted)
    cost = ImportCost(
        cpu_s=round(time.process_time() - cpu, 1),
        wall_s=round(time.monotonic() - began, 1),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        transactions=len(walls),
        lock_p95_ms=round(1000 * walls[int(0.95 * len(walls))], 1),
        lock_max_ms=round(1000 * walls[-1], 1),
        lock_cpu_max_ms=round(1000 * max(used for _, used in locks.lasted), 1),
    )
    record.write_bytes(msgspec.json.encode(cost))


class _Locks:
    """How long each write transaction held the lock, by the clock and in processor seconds."""

    def __init__(self, engine: Engine) -> None:
        self.lasted: list[tuple[float, float]] = []
        self._since: tuple[float, float] | None = None
        event.listen(engine, "begin", self._begun)
        event.listen(engine.pool, "reset", self._ended)

    def _begun(self, connection: Any) -> None:  # noqa: ANN401 - SQLAlchemy's event passes a Connection
        if connection.get_execution_options().get("begin"):  # else it only reads
            self._since = time.monotonic(), time.thread_time()

    def _ended(self, *_: Any) -> None:  # noqa: ANN401 - of SQLAlchemy's pool
        if self._since is not None:
            wall, used = self._since
            self.lasted.append((time.monotonic() - wall, time.thread_time() - used))
        self._since = None


def _presses(engine: Engine, project_id: int, beside: Any) -> list[float]:  # noqa: ANN401 - a process of any context
    """How long each press took, lease and decision together, for as long as a process lives."""
    reviewer = stories.person(engine, grown.REVIEWER, Role.REVIEWER)
    seconds: list[float] = []
    while beside.is_alive():
        began = time.monotonic()
        with writing(engine) as session:
            (card,) = claims.lease(session, reviewer, project_id, limit=1)
        with writing(engine) as session:
            op = Op(str(uuid4()), card.pair.id, card.pair.version, card.fence, Action.APPROVE)
            decisions.decide(session, reviewer, op)
        seconds.append(time.monotonic() - began)
        time.sleep(_PRESS_SECONDS)
    return seconds


if __name__ == "__main__":
    main()
