"""The hash of a folder, computed anew only when its files may have changed.

Large models take seconds to read, and pages ask at every draw. A file counts as unchanged while
size, inode and both times stay; the time of the last change of a file's status cannot be set by
hand, but a disk that rots is only noticed by a new process.
"""

import time
from functools import lru_cache
from pathlib import Path

from curation.personal import model_files

_FRESH_SECONDS = 2.0
"""Two writes within one tick of the clock look the same: fresh files are read at every call."""

Signature = tuple[tuple[str, int, int, int, int], ...]


def folder_sha256(folder: Path) -> str:
    """As `model_files.folder_sha256`."""
    signature = _signature(folder)
    newest = max((changed for *_, changed in signature), default=0)
    if time.time_ns() - newest < _FRESH_SECONDS * 1e9:
        return model_files.folder_sha256(folder)
    return _read(str(folder), signature)


@lru_cache(maxsize=64)
def _read(folder: str, _signature: Signature) -> str:
    return model_files.folder_sha256(Path(folder))


def _signature(folder: Path) -> Signature:
    stats = ((path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file())
    return tuple((name, s.st_size, s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats)
