"""A copy of a database while others write: whole, checked, on the disk before it has its name."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlalchemy import Engine

from storage import folder, synced, troubles
from storage.engine import driver
from storage.errors import Unavailable

T = TypeVar("T", bound=msgspec.Struct)


def stamp() -> str:
    """The time in UTC, in letters that any file system takes."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def database(engine: Engine, target: Path) -> None:
    """Copy a database to a file that does not exist yet; it gets its name once it is whole.

    Raises:
        Unavailable: the disk has too little room, or the database is damaged.
    """
    with troubles.spoken(target.parent):
        _copied(engine, target)


def _copied(engine: Engine, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.room(target.parent, Path(str(engine.url.database)).stat().st_size, "The backup")
    half = target.with_name(f".{target.name}.half")
    half.unlink(missing_ok=True)
    try:
        with engine.connect() as connection:
            connection.connection.driver_connection.execute("VACUUM INTO ?", (str(half),))  # type: ignore[union-attr]
        _check(half)
        half.chmod(0o600)
        synced.sync(half)
        half.rename(target)
    finally:
        half.unlink(missing_ok=True)
    synced.sync(target.parent)


def _check(half: Path) -> None:
    with closing(driver().connect(half)) as connection:
        pages = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if pages != "ok":
        raise Unavailable(f"The copy is damaged ({pages}). The disk may be failing: look at it.")


def read(path: Path, kind: type[T]) -> T | None:
    """What was written as JSON; None where there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def prune(files: list[Path], keep: int) -> None:
    """Delete the oldest of these copies, whose names end with their time, beyond so many."""
    for old in sorted(files, key=lambda path: path.stem[-16:])[:-keep]:
        old.unlink()
