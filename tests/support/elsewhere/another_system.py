"""Take from this process what macOS or another system lacks, before anything of Assay is imported.

The tests of what differs run with it as `ASSAY_ELSEWHERE=1 pytest ...`. Its folder on `PYTHONPATH`
makes the processes that a test starts lack the same. It is no macOS: what that does otherwise with
what both have is not seen.
"""

import os
import platform
import sys
from pathlib import Path

_OURS = Path(__file__).resolve().parents[3]
_HIDDEN = ("/proc", "/sys/")


def leave() -> None:
    """No affinity, no limit on memory that holds, no /proc to read."""
    if not hasattr(os, "sched_getaffinity"):
        return
    for name in ("sched_getaffinity", "sched_setaffinity", "process_cpu_count"):
        if hasattr(os, name):
            delattr(os, name)
    platform.system = lambda: "Elsewhere"
    _without_memory_limits()
    sys.addaudithook(_no_proc)


def _without_memory_limits() -> None:
    import resource

    hold = resource.setrlimit
    unheld = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_RSS)

    def setrlimit(kind: int, limits: tuple[int, int]) -> None:
        if kind not in unheld:
            hold(kind, limits)

    resource.setrlimit = setrlimit


def _no_proc(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse to open a file of the kernel to our own code; psutil stands for what it asks there."""
    if event != "open" or not str(arguments[0]).startswith(_HIDDEN):
        return
    frame = sys._getframe(1)
    while frame.f_back is not None and Path(frame.f_code.co_filename).name == "pathlib.py":
        frame = frame.f_back
    file = Path(frame.f_code.co_filename)
    if file.is_relative_to(_OURS) and ".venv" not in file.parts:
        raise FileNotFoundError(2, "There is no /proc", str(arguments[0]))


leave()
