"""What operating systems differ in, asked at this one place.

Linux, also inside Windows (WSL), has all of it. macOS does not tell which processors a process may
use, holds no process to a limit on its memory, and has no /proc: what then serves instead is
weaker, and each function says how.
"""

import importlib
import os
import platform
from types import ModuleType

import psutil


def cores() -> int:
    """How many processors this process may use; elsewhere than on Linux, how many there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def limits() -> ModuleType | None:
    """The module by which a process limits itself; None where the system has no such limits."""
    try:
        return importlib.import_module("resource")
    except ImportError:
        return None


def holds_memory() -> bool:
    """Whether the system ends a process that takes more memory than it limited itself to.

    Where it does not, who started the process must look at `memory` and end it, and between two
    looks it can take more.
    """
    return platform.system() == "Linux" and hasattr(limits(), "RLIMIT_AS")


def memory(pid: int) -> int:
    """Bytes of memory that a process and those it started have now; 0 where it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(int(one.memory_info().rss) for one in family)
    except psutil.Error:
        return 0


def peak_memory() -> float | None:
    """The most bytes of memory this process had at once since it was started; None where the system
    does not tell.
    """
    resource = limits()
    if resource is None:
        return None
    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return (
        peak if platform.system() == "Darwin" else peak * 1024
    )  # bytes there, kilobytes elsewhere
