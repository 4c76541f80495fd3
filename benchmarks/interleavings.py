"""Two review sessions over one pair, in every order of their steps, to a depth.

`python -m benchmarks.interleavings --depth 6 --json FILE` takes each order of claim, decide and
undo by two people, of leases that run out and of a lead who gives the pair to another. After each
step one person at most holds the pair, and each answer is true of the database. Three minutes of
one core at depth 5, some twenty-five at depth 6; `tests/curation/review/test_interleaved.py` is the
small twin.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from storage import migrate
from storage.engine import open_engine, writing
from tests.support import stories
from tests.support.interleaved import Browser, Desk, explore


def main() -> None:
    """Take the orders and print how many there were."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--depth", type=int, default=6)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(Path(folder) / "assay.db")
        migrate.upgrade(engine)
        browsers = {name: Browser(stories.person(engine, name)) for name in ("ana", "ben")}
        desk = Desk(stories.project(engine), browsers, stories.person(engine, "lea"))
        with writing(engine) as session:
            desk.open(session)
            orders = explore(session, desk, given.depth)
        engine.dispose()
    counts = {"depth": given.depth, "interleavings": orders, "untrue": len(desk.trouble)}
    record = {"id": "T02", "source": "benchmarks.interleavings", "counts": counts}
    print(json.dumps({**record, "cpu_s": round(time.process_time() - began, 1)}, indent=1))
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
