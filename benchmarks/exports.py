"""Two people export at the same time, a hundred times each: does each get their own rows?

`python -m benchmarks.exports` starts the real server, signs two people in to two Chromium contexts,
and lets both press Download together. Their versions are equally long (over 3 MB) and differ in one
character in the middle. Each file is checked against its own manifest and against the version its
owner chose. Streamlit tells large downloads apart by name, length and parts of their bytes only.
"""

import argparse
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser
from rich.progress import track

from storage import migrate
from storage.engine import open_engine
from storage.types import Version
from tests.support import two_exports
from tests.support.browser_fixture import launched, window
from tests.support.live import Live, running


def main() -> None:
    """Measure and print."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--times", type=int, default=100, help="Downloads of each person.")
    times = ask.parse_args().times
    with tempfile.TemporaryDirectory() as name, launched() as browser:
        folder = Path(name)
        engine = open_engine(folder / "data" / "assay.db")
        migrate.upgrade(engine)
        made = two_exports.twins(engine, rows=24, characters=160_000)
        engine.dispose()
        with running(folder / "data") as live:
            _measure(browser, live, folder, made, times)


def _measure(browser: Browser, live: Live, folder: Path, made: list[Version], times: int) -> None:
    pages = [window(browser).new_page() for _ in made]
    for page, name in zip(pages, two_exports.NAMES, strict=True):
        two_exports.at_versions(page, live, name)
    right, sizes, begun = 0, set(), time.perf_counter()
    for number in track(range(times), "Downloading"):
        for path, version in zip(two_exports.both(pages, folder, number), made, strict=True):
            right += two_exports.is_of(path, version)
            sizes.add(path.stat().st_size)
            path.unlink()
    took = time.perf_counter() - begun
    print(
        f"{right} of {2 * times} downloads were whole and of the version their owner chose; sizes "
        f"{sorted(sizes)}; {took / times:.2f} s for two at once"
    )


if __name__ == "__main__":
    main()
