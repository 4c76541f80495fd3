"""Reviewers on a real server, by its own WebSocket: is a decision ever lost or doubled, and how
long does a press wait?

`python -m benchmarks.reviewers --folder DATA --people 20 --seconds 180` works on a copy of a data
folder with waiting pairs in its first project (benchmarks.growth keeps such folders with --folder).
Each reviewer thinks three seconds on average, sends one decision in ten twice and loses the
connection in one of twenty. `--beside import` and `--beside sweep` run these commands meanwhile, on
`--rows` pairs; with `--pages` a lead opens every page in turn, over and over; `--kills N` kills the
server so many times with SIGKILL and starts it again. What reviewers were told is then held against
the database, read by sqlite3 alone.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks import grown
from benchmarks.measuring import MEGABYTE
from pages.frame import shell
from storage.settings import ROOT
from storage.types import Role
from tests.support import live as servers, load
from tests.support.desk_client import visit
from tests.support.live import Live

_LOOK_SECONDS = 0.5


def main() -> None:
    """Run, print and write the figures."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--folder", type=Path, required=True, help="a data folder, copied first")
    asked.add_argument("--people", type=int, default=20)
    asked.add_argument("--seconds", type=float, default=180)
    asked.add_argument("--think", type=float, default=3.0, help="seconds, mean")
    asked.add_argument("--beside", action="append", default=[], choices=["import", "sweep"])
    asked.add_argument("--rows", type=int, default=100_000, help="of the import beside")
    asked.add_argument("--pages", action="store_true", help="a lead opens all pages meanwhile")
    asked.add_argument("--kills", type=int, default=0)
    asked.add_argument("--seed", type=int, default=7)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        data.mkdir()
        shutil.copy(given.folder / "assay.db", data / "assay.db")
        figures = _run(data, given)
    print(json.dumps(figures, indent=1))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def _run(data: Path, given: argparse.Namespace) -> dict[str, Any]:
    people = reviewers(data, given.people)
    with servers.running(data) as live:
        server = {"process": live.process}
        habits = load.Habits(given.think)
        crew = load.crew(live, people, habits, given.seed)
        with (
            _memory(server) as peak,
            _beside(data, given) as beside,
            _kills(live, server, given) as killed,
            _pages(live, data, given) as visits,
        ):
            load.together(crew, given.seconds)
        for reviewer in crew:
            reviewer.client.deliver()
        result = load.outcome(live, crew)
        server["process"].terminate()
    with closing(sqlite3.connect(data / "assay.db")) as database:
        intact = database.execute("PRAGMA integrity_check").fetchone()[0]
    return {
        "people": len(people),
        "seconds": given.seconds,
        "decisions": result.decisions,
        "lost": result.lost,
        "doubled": result.doubled,
        "shared": result.shared,
        "unanswered": result.unanswered,
        "statuses": result.statuses,
        "p50_ms": round(1000 * result.quantile(0.5)),
        "p95_ms": round(1000 * result.quantile(0.95)),
        "p99_ms": round(1000 * result.quantile(0.99)),
        "longest_ms": round(1000 * result.quantile(1.0)),
        "red_boxes": sum(len(reviewer.client.errors) for reviewer in crew),
        "reconnects": sum(len(reviewer.broken) for reviewer in crew),
        "kills": len(killed),
        "server_peak_mb": round(max(peak, default=0) / MEGABYTE),
        "integrity": intact,
        "beside": beside,
        "pages": _slowest(visits),
    }


def reviewers(data: Path, count: int) -> list[int]:
    """The newest so many people who review."""
    with closing(sqlite3.connect(data / "assay.db")) as database:
        rows = database.execute("SELECT id, roles FROM user ORDER BY id DESC").fetchall()
    ids = [number for number, roles in rows if "reviewer" in roles]
    if len(ids) < count:
        raise SystemExit(f"The folder has {len(ids)} reviewers; {count} are asked for.")
    return ids[:count]


def _someone(data: Path, role: Role) -> int:
    with closing(sqlite3.connect(data / "assay.db")) as database:
        rows = database.execute("SELECT id, roles FROM user ORDER BY id").fetchall()
    return next(int(number) for number, roles in rows if role in roles)


@contextmanager
def _memory(server: dict[str, Any]) -> Iterator[list[int]]:
    """The server's resident memory, all the while."""
    stop, seen = threading.Event(), list[int]()

    def look() -> None:
        while not stop.wait(_LOOK_SECONDS):
            try:
                process = psutil.Process(server["process"].pid)
                family = [process, *process.children(recursive=True)]
                seen.append(max(each.memory_info().rss for each in family))
            except psutil.Error:
                continue

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


@contextmanager
def _beside(data: Path, given: argparse.Namespace) -> Iterator[dict[str, float]]:
    """Commands that work on the same folder meanwhile; how long each took in seconds."""
    took: dict[str, float] = {}

    def work() -> None:
        for name in given.beside:
            begun = time.monotonic()
            subprocess.run(
                _command(data, name, given.rows),
                cwd=ROOT,
                env={**os.environ, "ASSAY_DATA": str(data)},
                check=True,
                stdout=subprocess.DEVNULL,
            )
            took[name] = round(time.monotonic() - begun, 1)

    worker = threading.Thread(target=work)
    worker.start()
    yield took
    worker.join()


def _command(data: Path, name: str, rows: int) -> list[str]:
    base = [sys.executable, "-m", "curation", name]
    if name == "sweep":
        return [*base, "--as", grown.LEAD]
    file = data.parent / "more.jsonl"
    lines = (
        json.dumps({"prompt": row.prompt, "response": row.response})
        for row in grown.rows(rows, 10_000_000)
    )
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return [*base, str(file), "--as", grown.LEAD]


@contextmanager
def _pages(live: Live, data: Path, given: argparse.Namespace) -> Iterator[dict[str, list[float]]]:
    """A lead who opens every page in turn, each in a new session; seconds to its last element."""
    took: dict[str, list[float]] = {}
    until = time.monotonic() + given.seconds
    lead = _someone(data, Role.LEAD)
    places = [place for place in shell.PLACES if Role.LEAD in place.roles]

    def work() -> None:
        while given.pages and time.monotonic() < until:
            for place in places:
                took.setdefault(place.title, []).append(visit(live, lead, place.address))

    worker = threading.Thread(target=work)
    worker.start()
    yield took
    worker.join()


def _slowest(visits: dict[str, list[float]]) -> dict[str, float]:
    """Of all visits the count and quantiles, and the page whose slowest visit was the slowest."""
    every = sorted(seconds for each in visits.values() for seconds in each)
    if not every:
        return {}
    p95 = every[int(0.95 * (len(every) - 1))]
    by_page = {f"{title}_longest_ms": round(1000 * max(each)) for title, each in visits.items()}
    worst = max(by_page, key=lambda name: by_page[name])
    return {
        "visits": len(every),
        "p50_ms": round(1000 * every[len(every) // 2]),
        "p95_ms": round(1000 * p95),
        worst: by_page[worst],
    }


@contextmanager
def _kills(live: Live, server: dict[str, Any], given: argparse.Namespace) -> Iterator[list[float]]:
    """Kill the server at random moments and start it again."""
    killed: list[float] = []
    draw = random.Random(given.seed)
    moments = sorted(draw.uniform(0.05, 0.9) * given.seconds for _ in range(given.kills))

    def kill() -> None:
        begun = time.monotonic()
        for moment in moments:
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            server["process"].send_signal(signal.SIGKILL)
            server["process"].wait()
            killed.append(moment)
            server["process"] = servers.launch(live.data, live.port)

    killer = threading.Thread(target=kill)
    killer.start()
    yield killed
    killer.join()


if __name__ == "__main__":
    main()
