"""One process at a time: locks on files, which end with the process that took them.

Another computer may not see a lock on a network file system. A system without locks on files gets a
marker beside the file instead, which names the process and lasts until someone sees that it ended.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

_LOOK_SECONDS = 0.05
"""Another that only looks holds the lock for an instant; whoever works holds it for longer."""
_PAUSE = 0.005


class Lock:
    """A lock that this process has, until it is closed or the process ends."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def close(self) -> None:
        """Let others have it."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def take(path: Path, seconds: float = 0.0) -> Lock | None:
    """The lock on a file, which is made where there is none; None where another has it still after
    so many seconds. Threads of one process exclude each other too.
    """
    lock = FileLock(path, mode=0o600, thread_local=False, poll_interval=_PAUSE)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return None
    return Lock(lock)


def wait(path: Path) -> Lock:
    """The lock on a file, as soon as no other has it."""
    lock = FileLock(path, mode=0o600, thread_local=False)
    lock.acquire()
    return Lock(lock)


def busy(path: Path) -> bool:
    """Whether a living process has the lock on a file."""
    if not path.exists():
        return False
    lock = take(path, _LOOK_SECONDS)
    if lock is None:
        return True
    lock.close()
    return False
