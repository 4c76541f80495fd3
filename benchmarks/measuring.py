"""What a piece of work costs: processor and wall seconds, SQL statements, rows fetched, memory."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psutil
from sqlalchemy import Engine, event

MEGABYTE = 2**20
_LOOK_SECONDS = 0.02


class Cost(msgspec.Struct):
    """What one piece of work took."""

    kind: str
    """page, press or command"""
    name: str
    size: int
    """Pairs of the project."""
    cpu_s: float = 0.0
    """Processor seconds of this process; of a command, its children's as well."""
    wall_s: float = 0.0
    statements: int = 0
    rows: int = 0
    """Rows that the database handed to this process."""
    peak_mb: float = 0.0
    """The process's largest resident memory meanwhile."""


@dataclass(slots=True)
class Meter:
    """Counts what an engine is asked; made before its first connection."""

    size: int
    costs: list[Cost] = field(default_factory=list)
    _statements: int = 0
    _rows: int = 0

    def watch(self, engine: Engine) -> None:
        """Count the statements of this engine and the rows they bring."""
        event.listen(engine, "connect", self._connected)
        event.listen(engine, "before_cursor_execute", self._asked)

    def _connected(self, connection: Any, _record: object) -> None:  # noqa: ANN401 - DBAPI
        connection.row_factory = self._fetched

    def _fetched(self, _cursor: object, row: tuple[object, ...]) -> tuple[object, ...]:
        self._rows += 1
        return row

    def _asked(self, *_: object) -> None:
        self._statements += 1

    @contextmanager
    def measured(self, kind: str, name: str) -> Iterator[None]:
        """Measure what is done inside."""
        cost = Cost(kind, name, self.size)
        statements, rows = self._statements, self._rows
        with _peak(cost):
            begun, cpu = time.perf_counter(), _processor(kind)
            yield
            cost.wall_s = round(time.perf_counter() - begun, 4)
            cost.cpu_s = round(_processor(kind) - cpu, 4)
        cost.statements, cost.rows = self._statements - statements, self._rows - rows
        self.costs.append(cost)


def _processor(kind: str) -> float:
    own = time.process_time()
    if kind != "command":
        return own
    times = os.times()
    return own + times.children_user + times.children_system


@contextmanager
def _peak(cost: Cost) -> Iterator[None]:
    """Look at the resident memory all the while."""
    process, stop = psutil.Process(), threading.Event()
    seen = [process.memory_info().rss]

    def look() -> None:
        while not stop.wait(_LOOK_SECONDS):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        cost.peak_mb = round(max(*seen, process.memory_info().rss) / MEGABYTE, 1)
