"""Is a decision on the disk before the browser hears that it is saved?

`python -m benchmarks.durability --folder DATA --decisions 200` lets a reviewer decide pairs on a
real server under strace and reads from the trace, for each answer, whether the decision was written
to the database's log and a sync of that log had ended before the answer left. It shows what the
operating system was asked for; whether a disk keeps what it has acknowledged, only pulling the plug
shows.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import msgspec

from benchmarks.reviewers import reviewers
from tests.support import traced


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--folder", type=Path, required=True, help="a data folder, copied first")
    asked.add_argument("--decisions", type=int, default=200)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    if not traced.possible():
        raise SystemExit("strace is missing here, or may not look at processes.")
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        data.mkdir()
        shutil.copy(given.folder / "assay.db", data / "assay.db")
        result = traced.measure(
            data, reviewers(data, 1)[0], given.decisions, Path(scratch) / "trace"
        )
    figures = json.dumps(msgspec.to_builtins(result), indent=1)
    print(figures)
    if given.json:
        given.json.write_text(f"{figures}\n", "utf-8")


if __name__ == "__main__":
    main()
