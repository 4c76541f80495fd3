"""Processes that claim pairs of one queue at once: none is held by two, and how long a claim takes.

`python -m benchmarks.claiming --json FILE`: eight processes take pairs of 2,000, three cards at a
time, and reject them, until none is left. It is harder than the server's own way, which is one
process with a fair lock. `tests/curation/review/test_review.py` has the small twin.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections import Counter
from pathlib import Path

from curation.review import claims, decisions
from storage import migrate
from storage.engine import open_engine, writing
from storage.errors import StorageRefusal
from storage.types import Action, Role
from tests.support import stories

_CARDS = 3
_BREATH_SECONDS = 0.02


def main() -> None:
    """Let them claim, and print what they got."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--processes", type=int, default=8)
    asked.add_argument("--pairs", type=int, default=2000)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "assay.db"
        engine = open_engine(path)
        migrate.upgrade(engine)
        desk = stories.project(engine)
        stories.waiting(engine, desk, stories.messages(given.pairs))
        names = [f"Reviewer {number}" for number in range(given.processes)]
        for name in names:
            stories.person(engine, name, Role.REVIEWER)
        engine.dispose()
        with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
            work = pool.starmap(claim, [(str(path), name, desk.id) for name in names])
    held = Counter(pair_id for ids, _, _ in work for pair_id in ids)
    waits = sorted(wait for _, waits, _ in work for wait in waits)
    counts = {
        "processes": given.processes,
        "pairs": given.pairs,
        "claimed": held.total(),
        "doubled": sum(count > 1 for count in held.values()),
        "busy": sum(busy for _, _, busy in work),
        "p99_ms": round(1000 * waits[len(waits) * 99 // 100], 1),
    }
    record = {"id": "T03", "source": "benchmarks.claiming", "counts": counts}
    print(json.dumps(record, indent=1))
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def claim(path: str, name: str, project_id: int) -> tuple[list[int], list[float], int]:
    """One process: the pairs that it was handed and decided, the seconds that each handing out
    took, and how often the database was busy for too long.
    """
    engine = open_engine(Path(path))
    who = stories.person(engine, name)
    held: list[int] = []
    waits: list[float] = []
    busy = 0
    while True:
        time.sleep(_BREATH_SECONDS)
        began = time.monotonic()
        try:
            with writing(engine) as session:
                cards = claims.lease(session, who, project_id, limit=_CARDS)
            waits.append(time.monotonic() - began)
            with writing(engine) as session:
                for card in cards:
                    decisions.decide(session, who, stories.op(card, Action.REJECT))
        except StorageRefusal:
            busy += 1
            continue
        if not cards:
            return held, waits, busy
        held += [card.pair.id for card in cards]


if __name__ == "__main__":
    main()
