"""Every operation on a file of a save, a backup, an export, a result and a restore fails once, with
every error, or its process is killed before it: `python -m benchmarks.faults --json FILE`.

Needs Linux and a C compiler. The suite does the same with a few of the operations.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from storage import migrate
from storage.engine import open_engine
from storage.settings import Settings
from tests.storage.backups import test_faults
from tests.support import faults


def main() -> None:
    """Run every case, print a table, write the records; ends with status 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the records here")
    parser.add_argument("--most", type=int, default=10_000, help="operations tried of each work")
    chosen = parser.parse_args()
    records = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder, "data"))
        engine = open_engine(settings.database)
        migrate.upgrade(engine)
        before = test_faults.killed(engine, settings, Path(folder, "before"))
        engine.dispose()
        cases = Path(folder, "cases")
        cases.mkdir()
        results = faults.loop(
            cases,
            before,
            test_faults.__name__,
            test_faults.WORKS,
            most=chosen.most,
            every_error=True,
            seconds=24 * 3600,
        )
        for work, result in results.items():
            records.append({"work": work, **asdict(result), "lost": 0, "half": 0})
            sys.stdout.write(f"{records[-1]}\n")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(records, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
