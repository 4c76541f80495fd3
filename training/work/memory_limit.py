"""The memory that the process of a job may have: what was estimated and head room, at most a share
of the machine's.

A process looks at itself four times a second, which needs nothing of the system, and ends itself
where it has more. Where the system holds a limit on what a process may ask for (Linux), a single
request beyond all measure is refused before it is met. Memory of an accelerator is not looked at:
its own driver limits that.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from training.work import machine, ranks

VARIABLE = "ASSAY_MEMORY_MB"
"""Environment variable by which a worker is told its limit."""
_SHARE = 0.9
"""Of the machine's memory: the rest is for the server and the system."""
_TIMES = 2.0
_SPARE_MB = 2000.0
"""A run may have twice what was measured, and a small one this much more."""
_UNTOUCHED_MB = 4000.0
_UNTOUCHED_MB_A_CORE = 100.0
"""A process asks for more than it touches: pools of the allocator, stacks of threads."""
_LOOK_SECONDS = 0.25
_STATM = Path("/proc/self/statm")


def of(expected_mb: float | None) -> float:
    """MB that a job may have whose memory was estimated so, or was not."""
    most = _SHARE * machine.whole_mb()
    if expected_mb is None:
        return most
    return min(most, max(_TIMES * expected_mb, expected_mb + _SPARE_MB))


def environment(expected_mb: float | None) -> dict[str, str]:
    """What the process of a job is told."""
    return {VARIABLE: str(int(of(expected_mb)))}


def keep(end: Callable[[], None]) -> None:
    """Keep this process to its limit, if it was told one; `end` is called where it has more, in
    another thread, and does not come back.
    """
    with suppress(KeyError, ValueError):
        limit = float(os.environ[VARIABLE])
        _refuse_requests(limit)
        threading.Thread(
            target=_watch, args=(limit / ranks.count(), end), name="memory", daemon=True
        ).start()


def _refuse_requests(limit_mb: float) -> None:
    """Have the system refuse what no run asks for. Not beside an accelerator, whose driver maps
    much more than it uses.
    """
    if machine.accelerators():
        return
    with suppress(ImportError, AttributeError, ValueError, OSError):
        import resource

        untouched = _UNTOUCHED_MB + _UNTOUCHED_MB_A_CORE * (os.cpu_count() or 1)
        limit = int((limit_mb + untouched) * 1e6)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _watch(limit_mb: float, end: Callable[[], None]) -> None:
    pause = threading.Event()
    while own_mb() <= limit_mb:
        pause.wait(_LOOK_SECONDS)
    end()


def own_mb() -> float:
    """MB of RAM that this process has to itself; files that it only maps are not counted where the
    system tells them apart.
    """
    with suppress(OSError, ValueError):
        _, resident, shared, *_ = map(int, _STATM.read_text().split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return float(psutil.Process().memory_info().rss) / 1e6
