"""How long others wait for a page while somebody uploads files that unpack to far more than they
weigh.

`python -m benchmarks.bomb_uploads --json FILE` starts the server, and one person goes to and fro
between two pages in real Chromium, in interleaved rounds: alone, and while another person uploads
the bombs of the tests one after the other. Printed are p50, p95, their ratio and the server's
memory; the time of a page is from the request until its heading stands there. The two browsers,
the server and the process that reads the files share this machine's processors.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.synchronize import Event as Flag
from pathlib import Path

import psutil
from playwright.sync_api import Page, expect
from rich.progress import track

from storage import migrate
from storage.engine import open_engine
from storage.types import Role
from tests.curation.exchange.reading import test_files_bombs
from tests.support import stories
from tests.support.browser_fixture import launched, window
from tests.support.live import running

ROUNDS, VISITS = 3, 12
PAGES = ("Browse", "Write")
BOMBS = {
    "a.parquet": test_files_bombs.fifty_gigabytes,
    "b.xlsx": test_files_bombs.big_sheet,
    "c.csv": test_files_bombs.twelve_million_rows,
    "d.csv": test_files_bombs.ten_million_columns,
    "e.xlsx": test_files_bombs.billion_laughs,
    "f.jsonl": test_files_bombs.a_million_keys,
}


def written(folder: Path) -> list[Path]:
    """The bombs as files."""
    folder.mkdir()
    for name, write in BOMBS.items():
        write(folder / name)
    return [folder / name for name in BOMBS]


@contextmanager
def signed_in(link: str, name: str) -> Iterator[Page]:
    """A browser of its own in which a person is signed in."""
    with launched() as browser:
        page = window(browser).new_page()
        page.goto(link)
        page.get_by_role("button", name=name).first.click()
        expect(page.get_by_role("heading").first).to_be_visible()
        yield page


def upload(link: str, url: str, paths: list[Path], now: Flag, over: Flag, counts: Path) -> None:
    """Upload one file after the other for as long as `now` is set, until `over`."""
    with signed_in(link, "Ben") as page:
        for refused, path in enumerate(cycle(paths)):
            while not now.wait(0.2):
                if over.is_set():
                    counts.write_text(str(refused))
                    return
            page.goto(f"{url}/import")
            page.locator("input[type=file]").first.set_input_files(path)
            expect(page.get_by_test_id("stAlert").first).to_be_visible()


def visits(page: Page, url: str) -> list[float]:
    """Milliseconds from request to heading, of some visits to the two pages in turn."""
    times = []
    for _ in range(VISITS):
        for name in PAGES:
            begun = time.perf_counter()
            page.goto(f"{url}/{name.lower()}")
            expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
            times.append(1000 * (time.perf_counter() - begun))
            page.wait_for_timeout(100)
    return times


def main() -> None:
    """Measure, print, and write what was counted."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.bomb_uploads", description=__doc__)
    asked.add_argument("--json", type=Path)
    asked.add_argument("--rounds", type=int, default=ROUNDS)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = written(folder / "bombs")
        engine = open_engine(folder / "data" / "assay.db")
        migrate.upgrade(engine)
        desk = stories.project(engine)
        for person in ("Ana", "Ben"):
            stories.person(engine, person, Role.EXPERT)
        stories.waiting(engine, desk, stories.messages(200))
        apart = get_context("spawn")
        now, over, counts = apart.Event(), apart.Event(), folder / "counts"
        with running(folder / "data") as live:
            other = apart.Process(
                target=upload, args=(live.link, live.url, paths, now, over, counts)
            )
            other.start()
            with signed_in(live.link, "Ana") as page, _memory(live.process.pid) as memory:
                visits(page, live.url)
                alone, beside = _rounds(page, live.url, now, given.rounds)
            over.set()
            now.clear()
            other.join(130)
        engine.dispose()
        figures = _figures(alone, beside, memory) | {"refused": int(counts.read_text())}
    record = {"id": "T15", "source": "benchmarks.bomb_uploads", "counts": figures}
    print(json.dumps(record, indent=1))
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


@contextmanager
def _memory(pid: int) -> Iterator[list[int]]:
    """The server's memory in bytes, looked at all the time."""
    process, over = psutil.Process(pid), threading.Event()
    sizes = [process.memory_info().rss]

    def look() -> None:
        while not over.wait(0.05):
            sizes.append(process.memory_info().rss)

    thread = threading.Thread(target=look)
    thread.start()
    yield sizes
    over.set()
    thread.join()


def _rounds(page: Page, url: str, now: Flag, rounds: int) -> tuple[list[float], list[float]]:
    alone: list[float] = []
    beside: list[float] = []
    for _ in track(range(rounds), "Visiting"):
        alone += visits(page, url)
        now.set()
        page.wait_for_timeout(2_000)
        beside += visits(page, url)
        now.clear()
        page.wait_for_timeout(10_000)
    return alone, beside


def _figures(alone: list[float], beside: list[float], memory: list[int]) -> dict[str, float]:
    """Milliseconds of the visits alone and beside bombs, and megabytes of the server."""
    before, during = (statistics.quantiles(times, n=20)[-1] for times in (alone, beside))
    return {
        "visits": len(alone) + len(beside),
        "p50_alone_ms": round(statistics.median(alone)),
        "p50_beside_bombs_ms": round(statistics.median(beside)),
        "p95_alone_ms": round(before),
        "p95_beside_bombs_ms": round(during),
        "p95_ratio": round(during / before, 2),
        "memory_before_mb": round(memory[0] / 1e6),
        "memory_most_mb": round(max(memory) / 1e6),
    }


if __name__ == "__main__":
    main()
