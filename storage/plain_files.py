"""Read files that somebody else may have put there: plain ones only, and no more than they may be.

A named pipe would hold up whoever opens it, a link may lead anywhere, a device never ends; each is
refused before a byte is read. Does not say what a file holds.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from storage.errors import BadInput

_CANNOT = frozenset(
    {errno.EACCES, errno.EISDIR, errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.ENXIO}
)
"""What the system says of a path that is no plain file, or of one that is none of our business."""
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


@contextmanager
def opened(path: Path, most: int | None = None, *, links: bool = False) -> Iterator[BinaryIO]:
    """A plain file to read; `links` says whether its last name may be a link to one.

    Raises:
        FileNotFoundError: there is nothing of that name.
        BadInput: it is no plain file, or has more bytes than `most`.
    """
    with _handle(path, os.O_RDONLY, "rb", links=links) as file:
        status = os.fstat(file.fileno())
        if most is not None and status.st_size > most:
            raise BadInput(f"{path.name} is larger than {_amount(most)}.")
        yield file


def read(path: Path, most: int, *, links: bool = False) -> bytes:
    """All bytes of a plain file.

    Raises:
        FileNotFoundError: there is nothing of that name.
        BadInput: it is no plain file, or has more bytes than `most`.
    """
    with opened(path, most, links=links) as file:
        content = file.read(most + 1)  # a file may grow while it is read
    if len(content) > most:
        raise BadInput(f"{path.name} is larger than {_amount(most)}.")
    return content


def appended(path: Path) -> BinaryIO:
    """A plain file to add bytes to; made, for its owner alone, where there is none.

    Raises:
        BadInput: it is no plain file.
    """
    return _handle(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, "ab", links=False)


def _handle(path: Path, flags: int, mode: str, *, links: bool) -> BinaryIO:
    follow = 0 if links else getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(path, flags | os.O_CLOEXEC | _NO_WAIT | follow, 0o600)
    except OSError as error:
        if error.errno in _CANNOT:
            raise _odd(path) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _odd(path)
    return cast("BinaryIO", os.fdopen(handle, mode))


def _odd(path: Path) -> BadInput:
    return BadInput(f"{path.name} is no plain file that can be read.")


def _amount(count: int) -> str:
    return f"{count >> 20} MB" if count >= 1 << 20 else f"{count >> 10} KB"
