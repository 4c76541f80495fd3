"""Every upgrade, stopped after each of its statements: `python -m benchmarks.upgrades --json FILE`.

Nothing may be half, and no row lost. The suite does the same with every fifth statement.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.storage import test_upgrades


def main() -> None:
    """Stop everywhere, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the record here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stops = test_upgrades.stopped_everywhere(Path(folder), step=1)
    record = {"revisions": len(test_upgrades.REVISIONS), "stops": stops, "half": 0, "lost": 0}
    sys.stdout.write(json.dumps(record) + "\n")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([record], indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
