"""Long stories told once in a process: the data folder that one leaves is copied afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import Engine, func, select

from storage.engine import reading
from storage.tables import EventRow

T = TypeVar("T")
Files = dict[str, bytes]

_copies: dict[tuple[object, ...], tuple[Files, object]] = {}


def once(engine: Engine, make: Callable[[], T], *key: object) -> T:
    """What `make` returns, and the data folder as it leaves it; only the first call makes it.

    A story that begins in a folder where something happened already is always made anew. Ids and
    times of the copies are those of the first. `make` may write through `engine` only, and what
    it returns is shared: frozen.
    """
    if not _untouched(engine):
        return make()
    if key not in _copies:
        value = make()
        engine.dispose()  # closing the last connection writes the log back into the file
        _copies[key] = _files(_folder(engine)), value
        return value
    files, stored = _copies[key]
    engine.dispose()
    for name, content in files.items():
        path = _folder(engine) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return cast(T, stored)


def _folder(engine: Engine) -> Path:
    return Path(str(engine.url.database)).parent


def _untouched(engine: Engine) -> bool:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(EventRow)) == 0


def _files(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
