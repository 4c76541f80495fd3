"""Files on the disk before they count: written whole or not at all, also through a crash."""

import os
import threading
from pathlib import Path


def sync_all(path: Path) -> None:
    """Force a file, or all that is in a folder, to the disk."""
    if path.is_dir():
        for inside in path.iterdir():
            sync_all(inside)
    sync(path)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, also through a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)
