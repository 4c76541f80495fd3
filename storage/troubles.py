"""What the database or the disk refuses, as one sentence: the cause, and what to do.

The one place where such errors get their words. An error that has none here is a bug.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, TimeoutError

from storage.errors import RESTORE, AssayError, StorageRefusal

_BUSY = (
    "Longer work is saving in {place} just now, so this was not saved. Try again in a moment; if "
    "it stays so, see which jobs and commands run."
)
_FULL = (
    "The disk of {place} is full, so nothing was saved. Free some space there and try again; "
    "nothing needs to be started anew."
)
_READ_ONLY = (
    "Nothing can be saved in {place}: the folder, a file in it or its disk is read-only or belongs "
    "to someone else. Make it yours to write, then try again."
)
_CLOSED = (
    "A file in {place} cannot be opened: it is missing, or not yours to read and write. Look at "
    "the folder, then try again."
)
_FAILING = (
    "The disk of {place} answered with an error, so nothing was saved. Look at the disk, and make "
    "a backup to another one."
)
_DAMAGED = f"The database in {{place}} is damaged. Stop Assay. {RESTORE}"
_NETWORK = (
    "The disk of {place} cannot lock files, as a network drive cannot. Move the data folder to a "
    "disk of this computer and name it with ASSAY_DATA."
)
_TOO_MANY = "Too many files are open on this computer, so nothing was saved. Close some programs."
_OUTDATED = (
    "The database in {place} has not the tables that this Assay knows: it is older or newer. "
    "Run: python -m storage upgrade"
)

_OF_SQLITE: dict[str, str] = {
    "SQLITE_BUSY": _BUSY,
    "SQLITE_LOCKED": _BUSY,
    "SQLITE_FULL": _FULL,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_PERM": _READ_ONLY,
    "SQLITE_CANTOPEN": _CLOSED,
    "SQLITE_IOERR": _FAILING,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_PROTOCOL": _NETWORK,
}
"""By the first two words of SQLite's name; what follows them is the place in its code."""
_OF_SYSTEM: dict[int, str] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EIO: _FAILING,
    errno.ENOLCK: _NETWORK,
    errno.EMFILE: _TOO_MANY,
    errno.ENFILE: _TOO_MANY,
}


def damaged(folder: Path) -> str:
    """What to tell the person where the database itself is damaged."""
    return _DAMAGED.format(place=folder)


def busy(folder: Path) -> str:
    """What to tell the person where others save for longer than one may wait."""
    return _BUSY.format(place=folder)


def sentence(error: BaseException, folder: Path) -> str | None:
    """What to tell the person about an error in this data folder; None for a bug."""
    if isinstance(error, AssayError):
        return str(error)
    if isinstance(error, TimeoutError):  # of the pool: every connection is at work
        return _BUSY.format(place=folder)
    if isinstance(error, OSError):
        form = _OF_SYSTEM.get(error.errno or 0)
    else:
        form = _of_sqlite(error.orig if isinstance(error, DBAPIError) else error)
    return form.format(place=folder) if form is not None else None


def _of_sqlite(error: BaseException | None) -> str | None:
    name = str(getattr(error, "sqlite_errorname", ""))
    form = _OF_SQLITE.get("_".join(name.split("_")[:2]))
    if form is None and name == "SQLITE_ERROR" and "no such table" in str(error):
        return _OUTDATED
    return form


@contextmanager
def spoken(folder: Path, *, files: bool = True) -> Iterator[None]:
    """Let what the database or the disk refuses inside be a refusal with a sentence; `files` says
    whether what was done with other files inside is meant too.

    Raises:
        StorageRefusal: it refused.
    """
    try:
        yield
    except AssayError:
        raise
    except Exception as error:
        words = sentence(error, folder)
        if words is None or (isinstance(error, OSError) and not files):
            raise
        raise StorageRefusal(words) from error
