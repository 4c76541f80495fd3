"""Five thousand words that stand nowhere else, put through the product, then looked for in logs,
what commands print, temporary files, folders of jobs and the tables that hold no texts (T27).

`python -m benchmarks.canaries --words 5000 --json FILE`. The import of so many rows is a job, the
scan for personal data runs, and the server gets hostile requests and messages meanwhile.
"""

import argparse
import json
import logging
import os
import tempfile
from pathlib import Path

from storage import migrate, settings
from storage.engine import open_engine
from tests.support import stories, tabs
from tests.support.canaries import (
    Canaries,
    broken_files,
    command,
    decide,
    fail_in_a_page,
    rows,
    search,
    send_odd_requests,
)
from tests.support.live import running

_ROUNDS = 25
"""Of hostile requests, thirteen words in each."""


def main() -> None:
    """Put the words through, look for them, print and write what was counted."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.canaries", description=__doc__)
    asked.add_argument("--words", type=int, default=5000)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        temporary = root / "temporary"
        temporary.mkdir()
        os.environ |= {"ASSAY_DATA": str(root / "data"), "TMPDIR": str(temporary)}
        tempfile.tempdir = None
        words = Canaries()
        logging.basicConfig(filename=temporary / "log", level=logging.INFO)
        _go_through(words, given.words, root)
        search(words, settings.current(), open_engine(settings.current().database), [temporary])
        left = [path for path in temporary.rglob("*") if path.is_file() and path.name != "log"]
    counts = {"words": words.count, "found": len(words.found), "temporary_files_left": len(left)}
    record = {"id": "T27", "source": "benchmarks.canaries", "counts": counts}
    print(json.dumps(record, indent=1))
    for place, found in words.found.items():
        print(f"{place}: {len(found)} words")
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def _go_through(words: Canaries, count: int, root: Path) -> None:
    engine = open_engine(settings.current().database)
    migrate.upgrade(engine)
    desk = stories.project(engine)
    as_lena = ("--as", "lena", "-p", desk.name)
    many = max(1, (count - 350) // 3)
    source = root / "pairs.jsonl"
    lines = (json.dumps(row) + "\n" for row in rows(words, many))
    source.write_text("".join(lines), "utf-8")
    with running(settings.current().data) as live:
        assert command(words, "import", str(source), *as_lena) == 0
        for name, content in broken_files(words):
            (root / name).write_bytes(content)
            assert command(words, "import", str(root / name), *as_lena) == 1
        decide(words, engine, desk)
        fail_in_a_page(words)
        assert command(words, "scrub", *as_lena) == 0
        assert command(words, "sweep", *as_lena) == 0
        send_odd_requests(words, live, tabs.signed_in(live, 1), _ROUNDS)
    engine.dispose()


if __name__ == "__main__":
    main()
