"""Backups that the server makes by itself, once a day, and what came of the last one.

What is wished and what came of it lie with the backups, not in the database: they outlast it.
"""

import logging
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from storage import events, priority, synced
from storage.access import allowed
from storage.backups import copying, whole
from storage.engine import reading
from storage.errors import AssayError, BadInput
from storage.settings import ROOT, Settings
from storage.tables import EventRow
from storage.types import Role, User

log = logging.getLogger(__name__)

EVERY = timedelta(days=1)
_AGAIN = timedelta(hours=1)
"""After a failed one."""
MOST_BACKUPS = 365
_LOOK_SECONDS = 2.0
_STOP_SECONDS = 5.0


class BackupPlan(msgspec.Struct, frozen=True):
    """What the server does by itself."""

    daily: bool = True
    keep: int = 7
    """Scheduled backups that stay; older ones are deleted."""


class LastBackup(msgspec.Struct, frozen=True):
    """What came of the last backup."""

    at: str
    """ISO 8601, UTC."""
    verified: bool
    sentence: str


def plan(settings: Settings) -> BackupPlan:
    """What is wished; a backup a day of which seven stay, unless an admin changed it."""
    return copying.read(settings.backups / "schedule.json", BackupPlan) or BackupPlan()


def last(settings: Settings) -> LastBackup | None:
    """What came of the last one; None before the first."""
    return copying.read(settings.backups / "last.json", LastBackup)


def _write(path: Path, value: msgspec.Struct) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    synced.write(path, msgspec.json.encode(value))


@allowed(Role.ADMIN)
def change(session: Session, actor: User, settings: Settings, daily: bool, keep: int) -> None:
    """Say whether the server makes one a day, and how many stay.

    Raises:
        BadInput: none would stay, or more than a year of them.
    """
    if not 1 <= keep <= MOST_BACKUPS:
        raise BadInput(f"Keep between 1 and {MOST_BACKUPS} backups.")
    events.record(session, actor, "schedule", "backups", "daily", daily=daily, keep=keep)
    _write(settings.backups / "schedule.json", BackupPlan(daily, keep))


@allowed(Role.ADMIN)
def ask(session: Session, actor: User, settings: Settings) -> None:
    """Let the server make a backup now."""
    events.record(session, actor, "ask", "backups", "now")
    _write(settings.backups / "asked.json", BackupPlan())


def is_requested(settings: Settings) -> bool:
    """Whether a backup was asked for that has not begun."""
    return (settings.backups / "asked.json").exists()


def is_due(engine: Engine, settings: Settings, now: datetime) -> bool:
    """Whether a day went by since the last one, or since the first event where there is none. A
    last one of the future was made before the clock was set back, and counts as long ago.
    """
    if not plan(settings).daily:
        return False
    latest = last(settings)
    since = latest.at if latest is not None else _beginning(engine)
    if since is None:
        return False
    age = now - datetime.fromisoformat(since)
    wait = EVERY if latest is None or latest.verified else _AGAIN
    return age >= wait or age < -_AGAIN


def _beginning(engine: Engine) -> str | None:
    with reading(engine) as session:
        return session.scalar(select(EventRow.at).where(EventRow.id == 1))


def run(engine: Engine, settings: Settings) -> None:
    """Make a scheduled backup, delete those beyond the plan, and note what came of it.

    Raises:
        AssayError: it failed, which is noted too.
    """
    try:
        saved = whole.make(engine, settings, settings.backups, "schedule")
        whole.prune(settings.backups, plan(settings).keep)
    except AssayError as error:
        note(settings, str(error), verified=False)
        raise
    note(settings, f"{saved.path.name}, {saved.manifest.events:,} events", verified=True)


def note(settings: Settings, sentence: str, *, verified: bool) -> None:
    """Note what came of a backup, where the disk lets it."""
    with suppress(OSError):
        _write(
            settings.backups / "last.json",
            LastBackup(datetime.now(UTC).isoformat(), verified, sentence),
        )


def forever(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Make what is due or asked for, while the server runs; each in a process of its own."""
    while not stop.wait(_LOOK_SECONDS):
        try:
            if is_requested(settings) or is_due(engine, settings, datetime.now(UTC)):
                (settings.backups / "asked.json").unlink(missing_ok=True)
                _make(settings, stop)
        except (AssayError, OSError) as error:
            log.warning("The backups could not be looked at: %s", type(error).__name__)


def _make(settings: Settings, stop: threading.Event) -> None:
    command = [sys.executable, "-m", "storage", "backup", "--scheduled"]
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    priority.behind(child.pid)
    before = last(settings)
    while child.poll() is None:
        if stop.wait(_LOOK_SECONDS / 4):
            child.terminate()  # what is half is removed by the next one
            child.wait(_STOP_SECONDS)
            return
    if child.returncode and last(settings) == before:
        note(settings, "The backup ended before it was done.", verified=False)
