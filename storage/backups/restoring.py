"""Put a backup in the place of the database, which is set aside whole and never deleted.

The copy that comes in is proven under another name first. Once it bears its `.restoring-` name the
restore is certain: whatever stops it then, the next start goes on with it.
"""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Engine

from storage import events, folder, migrate, synced, troubles
from storage.backups import copying, gaps, manifest, proof, whole
from storage.engine import RESTORING, driver, open_engine, writing
from storage.errors import BadInput, Unavailable
from storage.settings import Settings

_COMPANIONS = ("-wal", "-shm")
"""SQLite's files beside a database: the log may hold most of it."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    backup: str
    proof: proof.Proof
    upgraded: bool
    """Whether the backup was of an older Assay."""
    aside: str
    """The name of the database that was there before; empty where there was none."""
    sentences: tuple[str, ...]
    """What is missing now, and what was newer than the backup."""


def restore(settings: Settings, backup: Path) -> Restored:
    """Prove a backup, set the present database aside, and put the backup in its place.

    Raises:
        BadInput: the backup is missing or does not hold; nothing was changed.
        Unavailable: a server runs on the folder, or its disk has too little room.
    """
    with _alone(settings):
        finish(settings)
        return put_in_place(settings, backup)


def bring_back(settings: Settings, backup: Path) -> tuple[str, ...]:
    """Only the files of a whole backup: the database stays as it is. Sentences on what was done.

    Raises:
        BadInput: it is no whole backup, or a file of it changed.
        Unavailable: a server runs on the folder.
    """
    with _alone(settings):
        return whole.bring_back(settings, backup, _stamp(settings))


def resume(settings: Settings) -> bool:
    """Go on with a restore that was interrupted; whether there was one.

    Raises:
        Unavailable: a server runs on the folder.
    """
    with _alone(settings):
        return finish(settings)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    try:
        lock = folder.hold(settings)
    except folder.Occupied as error:
        raise Unavailable(
            f"Assay runs on {settings.data}. Stop it (Ctrl+C where it was started), then restore."
        ) from error
    with closing(lock):
        yield


def put_in_place(settings: Settings, backup: Path) -> Restored:
    """`restore`, for whoever holds the folder."""
    with troubles.spoken(settings.data):
        return _put(settings, backup)


def _put(settings: Settings, backup: Path) -> Restored:
    database = backup / manifest.DATABASE if backup.is_dir() else backup
    if not database.is_file():
        raise BadInput(f"There is no backup {backup}. Name a file or folder that is one.")
    folder.refuse_users(settings.database)
    folder.room(settings.data, 2 * _size(database), "Restoring")
    stamp = _stamp(settings)
    part = settings.data / f"restore-{stamp}.part"
    try:
        _copy(database, part)
        older = _ready(part, backup.name)
        back = whole.bring_back(settings, backup, stamp) if backup.is_dir() else ()
        restored = _described(settings, part, backup, upgraded=older, stamp=stamp)
        restored = replace(restored, sentences=back + restored.sentences)
        _settle(part)
        synced.sync(part)
        part.rename(settings.data / f"{settings.database.name}{RESTORING}{stamp}")
    finally:
        for leftover in (part, *_beside(part)):
            leftover.unlink(missing_ok=True)
    synced.sync(settings.data)
    finish(settings)
    return restored


def _stamp(settings: Settings) -> str:
    """The time, in letters that any file system takes, under which nothing was set aside yet."""
    moment = copying.stamp()
    stamps = itertools.chain([moment], (f"{moment}-{number}" for number in itertools.count(2)))
    return next(stamp for stamp in stamps if not _aside(settings, stamp).exists())


def _size(database: Path) -> int:
    return sum(path.stat().st_size for path in (database, *_beside(database)) if path.exists())


def _beside(database: Path) -> list[Path]:
    return [database.with_name(database.name + companion) for companion in _COMPANIONS]


def _copy(backup: Path, part: Path) -> None:
    """A database that was set aside earlier has a log beside it, which belongs to it."""
    log = backup.with_name(backup.name + "-wal")
    for source, target in ((backup, part), (log, part.with_name(part.name + "-wal"))):
        if source.exists():
            shutil.copyfile(source, target)
            target.chmod(0o600)


def _ready(part: Path, name: str) -> bool:
    """Prove the copy and bring it up to date; whether it was older."""
    with _opened(part) as engine:
        revision = proof.prove(engine, name).revision
        migrate.upgrade(engine, backup=False)
        return revision != migrate.revisions()[0]


@contextmanager
def _opened(part: Path) -> Iterator[Engine]:
    engine = open_engine(part)
    try:
        yield engine
    finally:
        engine.dispose()


def _settle(part: Path) -> None:
    """Bring all of the copy into its one file. Closing it does so too, but says nothing where the
    disk refuses; what is left in the log then would be lost with the copy's name.
    """
    with closing(driver().connect(part, isolation_level=None)) as connection:
        mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
        pages = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if mode != "delete" or pages != "ok" or any(path.exists() for path in _beside(part)):
        raise Unavailable("The copy of the backup could not be finished. Try again.")


def _described(
    settings: Settings, part: Path, backup: Path, *, upgraded: bool, stamp: str
) -> Restored:
    """Say what the restore will leave, and note it in the log of the database that comes."""
    with _opened(part) as engine:
        proven = proof.prove(engine, backup.name)
        sentences = gaps.newer(settings, engine) + gaps.missing(engine, settings)
        with writing(engine) as session:
            events.record(session, None, "restore", "database", stamp, backup_head=proven.head)
    aside = _aside(settings, stamp).name if settings.database.exists() else ""
    return Restored(str(backup), proven, upgraded, aside, sentences)


def report(restored: Restored) -> list[str]:
    """What to tell the person, a sentence each."""
    proven = restored.proof
    saved = f", the newest of {proven.newest[:16].replace('T', ' ')} UTC" if proven.newest else ""
    lines = [f"Restored {restored.backup}: whole, {proven.events:,} events{saved}."]
    if restored.upgraded:
        lines.append("It was of an older Assay and is up to date now.")
    if restored.aside:
        lines.append(f"The database that was here is {restored.aside}, in the same folder.")
    return [*lines, *restored.sentences]


def _aside(settings: Settings, stamp: str) -> Path:
    return settings.database.with_name(f"assay-set-aside-{stamp}.db")


def finish(settings: Settings) -> bool:
    """Set the present database aside and rename what was proven, from wherever that stopped.

    For whoever holds the folder. Returns whether there was anything to finish.
    """
    for leftover in settings.data.glob("restore-*.part*"):  # of one that was killed sooner
        leftover.unlink()
    waiting = sorted(settings.data.glob(f"{settings.database.name}{RESTORING}*"))
    for proven in waiting:
        aside = _aside(settings, proven.name.rpartition(RESTORING)[2])
        for companion in (*_COMPANIONS, ""):
            present = settings.database.with_name(settings.database.name + companion)
            if present.exists():
                _set_aside(present, aside.with_name(aside.name + companion))
        proven.rename(settings.database)
        synced.sync(settings.data)
    return bool(waiting)


def _set_aside(present: Path, aside: Path) -> None:
    if aside.exists():
        raise Unavailable(
            f"{aside.name} exists already. Move it and {present.name} elsewhere, then start again."
        )
    present.rename(aside)
