"""Open the database safely and give transactions: `reading` to look, `writing` for one verb."""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from storage import folder, private, troubles, unseen
from storage.errors import Unavailable

log = logging.getLogger(__name__)

# sqlite.org/wal.html#walresetbug: commits can be lost in WAL mode before these releases.
_FIXED = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
WAIT_MILLISECONDS = 30_000
"""So long a verb waits for others who save."""
PRESS_MILLISECONDS = 1_000
"""So long a press of a stream waits: its card stays in the browser, which sends it again."""
RESTORING = ".restoring-"
"""After the name of a database: a proven copy that is about to take its place."""
_write_lock = threading.Lock()


class _Writer(threading.local):
    """Whether this thread is inside `writing`."""

    active = False


_writer = _Writer()


def safe_in_wal(version: tuple[int, ...]) -> bool:
    """Whether this SQLite release is free of the WAL-reset bug."""
    return version >= _FIXED[0] or any(
        version[:2] == fixed[:2] and version >= fixed for fixed in _FIXED[1:]
    )


@cache
def driver() -> ModuleType:
    """The SQLite module to use: the system's where it is safe, else the bundled `pysqlite3`.

    Raises:
        Unavailable: neither is safe and `ASSAY_ALLOW_OLD_SQLITE` is not set.
    """
    if safe_in_wal(sqlite3.sqlite_version_info):
        return sqlite3
    try:
        import pysqlite3.dbapi2 as bundled
    except ImportError:
        bundled = None
    if bundled is not None and safe_in_wal(bundled.sqlite_version_info):
        return bundled  # type: ignore[no-any-return]
    if os.environ.get("ASSAY_ALLOW_OLD_SQLITE") == "1":
        log.warning("SQLite %s has the WAL-reset bug; allowed by hand", sqlite3.sqlite_version)
        return sqlite3
    raise Unavailable(
        f"SQLite {sqlite3.sqlite_version} can lose saved work (the WAL-reset bug). "
        "Install the pysqlite3 package, or a Python linked against SQLite 3.51.3 or newer."
    )


def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection has no type
    connection.isolation_level = None  # we emit BEGIN ourselves, so DDL rolls back too
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: past the disk's own memory, too
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {WAIT_MILLISECONDS}")


def _begin(connection: Any) -> None:  # noqa: ANN401 - SQLAlchemy's event passes a Connection
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {options.get('wait', WAIT_MILLISECONDS)}")
    connection.exec_driver_sql(options.get("begin", "BEGIN"))


def _without_foreign_keys(connection: Any, _record: object) -> None:  # noqa: ANN401 - as above
    connection.execute("PRAGMA foreign_keys = OFF")


def open_engine(path: Path, *, foreign_keys: bool = True) -> Engine:
    """An engine on one SQLite file; cache it, never a Session.

    Raises:
        Unavailable: a restore into its place was interrupted.
    """
    private.begin()
    path.parent.mkdir(parents=True, exist_ok=True)
    if any(path.parent.glob(f"{path.name}{RESTORING}*")):
        raise Unavailable(
            f"A restore in {path.parent} was interrupted. Start Assay, which ends it, "
            "or run: python -m storage restore"
        )
    engine = create_engine(
        f"sqlite:///{path}",
        module=driver(),
        connect_args={"timeout": 30},
        pool_size=32,
        max_overflow=0,
    )
    event.listen(engine, "connect", _configure)
    if not foreign_keys:
        event.listen(engine, "connect", _without_foreign_keys)
    event.listen(engine, "begin", _begin)
    unseen.install()
    return engine


def open_readonly(path: Path) -> Engine:
    """An engine on a file that is looked at and not changed: no log is written back into it."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    return create_engine("sqlite://", creator=lambda: driver().connect(address, uri=True))


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A consistent look at the database; what is changed inside is thrown away.

    Raises:
        StorageRefusal: the database or its disk refuses.
    """
    with troubles.spoken(folder_of(engine), files=False), Session(engine) as session:
        yield session


def folder_of(engine: Engine) -> Path:
    """The folder of an engine's file, for sentences."""
    return Path(engine.url.database).parent if engine.url.database else Path("the data folder")


def require_room(session: Session, needed: int, purpose: str) -> None:
    """Refuse long work for which the disk of the database has too little room; `needed` in bytes.

    Raises:
        Unavailable: too little is free.
    """
    bound = session.get_bind()
    engine = bound if isinstance(bound, Engine) else bound.engine
    if engine.url.database:
        folder.room(folder_of(engine), needed, purpose)


@contextmanager
def _alone(engine: Engine, wait: int) -> Iterator[None]:
    """Hold the lock of this process."""
    if not _write_lock.acquire(timeout=wait / 1000):
        raise Unavailable(troubles.busy(folder_of(engine)))
    try:
        yield
    finally:
        _write_lock.release()


@contextmanager
def writing(engine: Engine, wait: int | None = None) -> Iterator[Session]:
    """One transaction that holds the write lock from its first statement; it waits for the lock so
    many milliseconds at most.

    A rule checked inside therefore still holds at commit. The lock of this process keeps waiting
    fair where SQLite's own busy handler is not.

    Raises:
        StorageRefusal: the database or its disk refuses, and nothing was saved.
    """
    if _writer.active:
        raise RuntimeError(
            "A write transaction inside another of the same thread would wait for it"
        )
    wait = WAIT_MILLISECONDS if wait is None else wait
    locked = engine.execution_options(begin="BEGIN IMMEDIATE", wait=wait)
    with _alone(engine, wait):
        _writer.active = True
        try:
            with (
                troubles.spoken(folder_of(engine), files=False),
                Session(locked, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session
        finally:
            _writer.active = False
