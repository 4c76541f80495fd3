"""The data folder as a whole: one holder at a time, room for what comes, files that stay."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import psutil

from storage import locks, private
from storage.errors import AssayError, Unavailable
from storage.locks import Lock
from storage.settings import Settings

SPARE = 50_000_000
"""Bytes that stay free beside what a piece of work needs: the database's log grows meanwhile."""


NETWORK_DISKS = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "afpfs", "ncpfs", "davfs", "webdav"),
        *("9p", "glusterfs", "ceph", "lustre", "beegfs", "gpfs", "fuse.sshfs", "fuse.rclone"),
        *("fuse.s3fs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.ceph", "fuse.davfs2"),
    }
)
"""File systems on which two computers, or a computer and its guest, do not see each other's locks
and shared memory: SQLite's log can lose saved work there."""
ALLOW_NETWORK = "ASSAY_ALLOW_NETWORK_DISK"


class Occupied(AssayError):
    """Another process holds the data folder."""


def hold(settings: Settings) -> Lock:
    """The lock of one server, or one restore, on one data folder; ends with its process.

    Raises:
        Occupied: another process holds it.
        Unavailable: nothing can be written into the folder, or it lies on a network drive.
    """
    private.begin()
    refuse_network(settings.data)
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


def refuse_users(database: Path) -> None:
    """Refuse while another program of this person has a database open: a command, or a job that
    outlived the server. It would go on writing into a file that is about to be put elsewhere.

    Raises:
        Unavailable: one has it open.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # of somebody else, or gone meanwhile
            if process.pid != os.getpid() and _has_open(process, database):
                raise Unavailable(
                    f"Process {process.pid} has {database} open: a command or a job. Wait until it "
                    "has ended, or end it, then restore."
                )


def _has_open(process: psutil.Process, path: Path) -> bool:
    return any(file.path == str(path) for file in process.open_files())


def refuse_network(data: Path) -> None:
    """Refuse a data folder on a network drive.

    Raises:
        Unavailable: it lies on one, and `ASSAY_ALLOW_NETWORK_DISK` is not set.
    """
    kind = _file_system(data)
    if kind in NETWORK_DISKS and os.environ.get(ALLOW_NETWORK) != "1":
        raise Unavailable(
            f"The data folder {data} lies on a network drive ({kind}), where saved work can be "
            "lost. Move it to a disk of this computer and name it with ASSAY_DATA."
        )


def _file_system(path: Path) -> str:
    """The kind of file system that a path lies on, or will once it exists; "" where unknown, or
    where it is the one that the computer itself runs from.
    """
    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    path = path.resolve()
    below = [place for place in (path, *path.parents) if place in mounts and place != place.parent]
    return mounts[below[0]] if below else ""


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
