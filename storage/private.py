"""What Assay keeps is for its owner alone: folders 0700, files 0600, held at this one place.

It does not help against another program of the same person, nor where a file system keeps no
permissions (a Windows drive under WSL, a USB stick): then a sentence says so.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077
"""The permissions that nobody but the owner has."""


def begin() -> None:
    """Let this process, and those it starts, write for its owner alone from now on."""
    os.umask(OTHERS)


def close(path: Path, *, all_files: bool = False) -> str:
    """Make the data folder where there is none, and close it to others with all that is in it.

    Returns a sentence for the person where something was open, else "". A folder that is closed
    lets nobody in, so files in it are looked at only where it was open, or with `all_files`.
    """
    begin()
    with suppress(OSError):  # whoever needs the folder says that it cannot be made
        path.mkdir(parents=True, exist_ok=True)
    if not all_files and not _open_to_others(path):
        return ""
    wide = [place for place in (path, *_below(path)) if _open_to_others(place)]
    for place in wide:
        with suppress(OSError):  # told below
            place.chmod(stat.S_IMODE(place.lstat().st_mode) & ~OTHERS)
    if any(_open_to_others(place) for place in wide):
        return (
            f"Others on this computer can read {path}: it belongs to someone else, or its file "
            "system keeps no permissions. Name a folder of your own with ASSAY_DATA."
        )
    if not wide:
        return ""
    return f"Others on this computer could read {path}. Now it is closed to all but you."


def _below(path: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(path):
        yield from (Path(parent, name) for name in (*folders, *files))


def _open_to_others(path: Path) -> bool:
    """Links have no permissions of their own, and what they lead to is not Assay's to change."""
    try:
        mode = path.lstat().st_mode
    except OSError:  # gone meanwhile
        return False
    return not stat.S_ISLNK(mode) and bool(mode & OTHERS)
