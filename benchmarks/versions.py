"""Versions: the same hash from any order and process, every changed bit found, and what it costs.

`python -m benchmarks.versions [--rows 10000] [--flips 1000]` makes a project of synthetic rows in
a temporary folder and freezes them. It prints: whether four processes with other orders, hash
seeds, locales and time zones, and a copy of the database read by another process, give the same
sha256 and card; how many of the flipped bits were found in the database, in a snapshot and in an
export; and the CPU seconds of freezing, proving and exporting (median of three interleaved rounds).
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.progress import track
from sqlalchemy import Engine

from curation.versions import (
    archive,
    canonical,
    cards,
    freezing,
    packages,
    verification,
    verify_version,
)
from curation.versions.layouts import LAYOUTS
from storage import migrate, pairs
from storage.engine import open_engine, reading, writing
from storage.settings import ROOT
from storage.types import Action, Origin, PairStatus, Project, Role, Split, User, Version
from tests.curation.versions.test_versions_integrity import cells, flip, rows, unflip, unguarded
from tests.support import stories

ROUNDS = 3
_HASHES = """
import json, random, sys
from curation.versions import canonical
from tests.curation.versions.test_versions_integrity import rows
made = rows(int(sys.argv[1]))
random.Random(int(sys.argv[2])).shuffle(made)
print(json.dumps([canonical.sha256(made), canonical.merkle_root(made)]))
"""
_CARD = """
import hashlib, sys
from pathlib import Path
from curation.versions import cards
from storage.engine import open_engine, reading
with reading(open_engine(Path(sys.argv[1]))) as session:
    print(hashlib.sha256(cards.to_json(cards.build(session, 1))).hexdigest())
"""
_ELSEWHERE = (
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
    {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "TZ": "America/Lima"},
    {"PYTHONHASHSEED": "3", "LC_ALL": "POSIX", "PYTHONUTF8": "0"},
    {"PYTHONHASHSEED": "4", "TZ": "Pacific/Kiritimati"},
)


def _run(script: str, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def approved(engine: Engine, desk: Project, lead: User, count: int) -> None:
    """So many rows, approved and compared, put in without the queue: only the version counts."""
    with writing(engine) as session:
        for row in track(rows(count), description="rows"):
            words = f"{row.prompt} {row.pair_id}"
            stored = pairs.add(session, desk.id, words, row.response, Origin.IMPORT)
            stored.status = PairStatus.APPROVED
            made = pairs.decide(
                session,
                lead,
                stored,
                Action.APPROVE,
                op=f"bench-{stored.id}",
                before_sha256=stored.content_sha256,
                seen_version=1,
            )
            stored.approval_id, stored.swept_sha256 = made.id, stored.content_sha256


def same_everywhere(count: int) -> None:
    """The hashes of the same rows from other processes and orders."""
    made = rows(count)
    here = [canonical.sha256(made), canonical.merkle_root(made)]
    there = [
        json.loads(_run(_HASHES, environment, str(count), str(order)))
        for order, environment in enumerate(_ELSEWHERE)
    ]
    same = sum(one == here for one in there)
    print(f"same sha256 and root elsewhere: {same} of {len(there)} ({count:,} rows)")


def flips_in_database(path: Path, flips: int) -> None:
    """Bits changed one at a time in versions, rows, seals and events."""
    dice, found, other = random.Random(30), 0, open_engine(path)
    with unguarded(path) as raw:
        known = cells(raw)
        for _ in track(range(flips), description="database"):
            done = flip(raw, known, dice)
            with reading(other) as session:
                found += bool(verification.everything(session).problems)
            unflip(raw, done)
    print(f"bits flipped in the database and found: {found} of {flips}")


def flips_in_snapshot(engine: Engine, version: Version, flips: int) -> None:
    """Bits changed one at a time in the canonical rows."""
    with reading(engine) as session:
        content = bytearray(canonical.canonical(archive.rows(session, version.id)))
    dice, found = random.Random(31), 0
    for _ in track(range(flips), description="snapshot"):
        bit = dice.randrange(len(content) * 8)
        content[bit // 8] ^= 1 << bit % 8
        found += hashlib.sha256(content).hexdigest() != version.sha256
        content[bit // 8] ^= 1 << bit % 8
    print(f"bits flipped in the snapshot and found: {found} of {flips}")


def flips_in_export(engine: Engine, version: Version, folder: Path, flips: int) -> None:
    """Bits changed one at a time in a zip, each looked for by the stand-alone script."""
    with reading(engine) as session:
        content = bytearray(packages.build(session, version.id, "chat", tuple(Split)).zipped())
    dice, found, path = random.Random(32), 0, folder / "export.zip"
    for _ in track(range(flips), description="export"):
        bit = dice.randrange(len(content) * 8)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        try:
            verify_version.verify(path)
        except verify_version.DamagedError:
            found += 1
        content[bit // 8] ^= 1 << bit % 8
    print(f"bits flipped in an export and found: {found} of {flips}")


def times(engine: Engine, version: Version) -> None:
    """Seconds of what a person waits for, in interleaved rounds."""

    def exported(layout: str) -> Callable[[], object]:
        def make() -> object:
            with reading(engine) as session:
                return packages.build(session, version.id, layout, tuple(Split)).zipped()

        return make

    def proven() -> object:
        with reading(engine) as session:
            return archive.opened(session, version.id)

    def carded() -> object:
        with reading(engine) as session:
            return cards.build(session, version.id)

    work: dict[str, Callable[[], object]] = {"prove": proven, "card": carded}
    work |= {f"export {name}": exported(name) for name in LAYOUTS if name != "preference"}
    work.pop("export xlsx")  # these rows hold what no workbook keeps
    took: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, do in work.items():
            start = time.process_time()
            do()
            took[name].append(time.process_time() - start)
    base = statistics.median(took["prove"])
    for name, seconds in took.items():
        median = statistics.median(seconds)
        print(f"{name:26} {median:7.3f} s of CPU   {median / base:5.1f} x prove   n {ROUNDS}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--flips", type=int, default=1_000)
    asked = parser.parse_args()
    same_everywhere(asked.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = open_engine(folder / "assay.db")
        migrate.upgrade(engine)
        desk, lead = stories.project(engine), stories.person(engine, "lena", Role.LEAD)
        approved(engine, desk, lead, asked.rows)
        start = time.process_time()
        with writing(engine) as session:
            version = freezing.freeze(session, lead, desk.id)
        print(f"{'freeze':26} {time.process_time() - start:7.3f} s of CPU   n 1")
        times(engine, version)
        with reading(engine) as session:
            card = hashlib.sha256(cards.to_json(cards.build(session, version.id))).hexdigest()
        engine.dispose()
        copy = folder / "copy.db"
        shutil.copy(folder / "assay.db", copy)
        there = [_run(_CARD, environment, str(copy)) for environment in _ELSEWHERE]
        print(f"same card elsewhere: {sum(one == card for one in there)} of {len(there)}")
        flips_in_snapshot(engine, version, asked.flips)
        flips_in_export(engine, version, folder, asked.flips)
        small = folder / "small.db"
        _small(small)
        flips_in_database(small, asked.flips)


def _small(path: Path) -> None:
    """A database whose proof takes milliseconds, so that a thousand of them take seconds."""
    engine = open_engine(path)
    migrate.upgrade(engine)
    desk, lead = stories.project(engine), stories.person(engine, "lena", Role.LEAD)
    approved(engine, desk, lead, 60)
    with writing(engine) as session:
        freezing.freeze(session, lead, desk.id)
    engine.dispose()


if __name__ == "__main__":
    main()
