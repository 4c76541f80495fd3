"""Backups while people decide, and each restored: `python -m benchmarks.backups --json FILE`.

A person decides one pair after another, in a process of its own, while whole backups are made. Each
is then verified and restored into a folder of its own: it must hold every decision that was
acknowledged before it began. With `--folder`, a copy of that data folder is backed up and restored
once, to tell how long it takes.
"""

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from sqlalchemy import text

from storage import migrate, projects
from storage.backups import restoring, whole
from storage.engine import open_engine, reading
from storage.settings import Settings
from storage.types import Action, Role
from tests.support import stories


def main() -> None:
    """Measure, print the record, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the record here")
    parser.add_argument("--backups", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="a data folder to time instead")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        record = _timed(place, chosen.folder) if chosen.folder else _loaded(place, chosen.backups)
    sys.stdout.write(json.dumps(record) + "\n")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([record], indent=1) + "\n", "utf-8")


def _timed(scratch: Path, folder: Path) -> dict[str, float]:
    settings = Settings(scratch / "data")
    shutil.copytree(folder, settings.data)
    engine = open_engine(settings.database)
    migrate.upgrade(engine, backup=False)
    started, cpu = time.monotonic(), time.process_time()
    backup = whole.make(engine, settings, settings.backups, "asked")
    made, made_cpu = time.monotonic(), time.process_time()
    engine.dispose()
    restored = restoring.restore(settings, backup.path)
    return {
        "events": restored.proof.events,
        "mb": backup.size / 1e6,
        "backup_s": made - started,
        "backup_cpu_s": made_cpu - cpu,
        "restore_s": time.monotonic() - made,
        "restore_cpu_s": time.process_time() - made_cpu,
    }


def _loaded(scratch: Path, count: int) -> dict[str, float]:
    settings = Settings(scratch / "data")
    engine = open_engine(settings.database)
    migrate.upgrade(engine)
    desk = stories.project(engine)
    stories.person(engine, "ana", Role.REVIEWER)
    stories.waiting(engine, desk, stories.messages(5000))
    here, there = multiprocessing.Pipe(duplex=False)
    reviewer = multiprocessing.get_context("spawn").Process(
        target=_decide, args=(settings.database, desk.id, there), daemon=True
    )
    reviewer.start()
    here.recv()
    acknowledged, lost, made = 1, 0, []
    for _ in range(count):
        while here.poll():
            acknowledged += here.recv()
        made.append((acknowledged, whole.make(engine, settings, settings.backups, "asked")))
    reviewer.terminate()
    for number, (before, backup) in enumerate(made):
        whole.verify(backup.path)
        target = Settings(scratch / f"restored-{number}")
        restored = restoring.restore(target, backup.path)
        rows = _decisions(target)
        lost += max(before - rows, 0) + (restored.proof.head != backup.manifest.head)
        shutil.rmtree(target.data)
    return {"backups": count, "restored": count, "acknowledged": acknowledged, "lost": lost}


def _decide(database: Path, project_id: int, tell: Connection) -> None:
    engine = open_engine(database)
    with reading(engine) as session:
        desk = projects.get(session, project_id)
    ana = stories.person(engine, "ana")
    while True:
        card = stories.card(engine, ana, desk, limit=1)
        stories.decide(engine, ana, stories.op(card, Action.APPROVE))
        tell.send(1)


def _decisions(settings: Settings) -> int:
    engine = open_engine(settings.database)
    with reading(engine) as session:
        count = int(session.scalar(text("SELECT count(*) FROM decision")) or 0)
    engine.dispose()
    return count


if __name__ == "__main__":
    main()
