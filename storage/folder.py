"""The data folder as a whole: one holder at a time, room for what comes, files that stay."""

import os
import shutil
from pathlib import Path

from storage import locks, private
from storage.errors import AssayError, Unavailable
from storage.locks import Lock
from storage.settings import Settings

SPARE = 50_000_000
"""Bytes that stay free beside what a piece of work needs: the database's log grows meanwhile."""


class Occupied(AssayError):
    """Another process holds the data folder."""


def hold(settings: Settings) -> Lock:
    """The lock of one server, or one restore, on one data folder; ends with its process.

    Raises:
        Occupied: another process holds it.
        Unavailable: nothing can be written into the folder.
    """
    private.begin()
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        lock = locks.take(settings.server_lock)
    except OSError as error:
        raise Unavailable(
            f"The data folder {settings.data} cannot be written ({error.strerror}). Make it yours "
            "to write, or name another with ASSAY_DATA."
        ) from error
    if lock is None:
        raise Occupied(
            f"Another Assay server already runs on {settings.data}. "
            "Use that one, or choose another folder with ASSAY_DATA."
        )
    return lock


def room(folder: Path, needed: int, purpose: str) -> None:
    """Refuse work for which the disk of a folder has too little room; `needed` in bytes.

    Raises:
        Unavailable: too little is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise Unavailable(
            f"{purpose} needs {_megabytes(needed + SPARE)} free on the disk of {folder}, and "
            f"{_megabytes(free)} are. Free some space and try again."
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
