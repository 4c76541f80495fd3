"""What this machine has, and what a process took of it; asked without loading a model library."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from storage import systems

_ASK_SECONDS = 5.0
_STATUS = Path("/proc/self/status")
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_UNLIMITED = 1 << 60
"""Limits above this are the kernel's way to say that there is none."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A GPU."""

    name: str
    memory_mb: float


def setup() -> dict[str, str]:
    """What a model's answers depend on besides its files: libraries by version, and the device."""
    gpus = accelerators()
    libraries = {name: version(name) for name in ("assay", "torch", "transformers", "peft")}
    return {**libraries, "device": gpus[0].name if gpus else "cpu"}


@lru_cache(maxsize=1)
def accelerators() -> tuple[Accelerator, ...]:
    """The NVIDIA GPUs that a run may use, as their driver's own tool tells; empty where none is.

    Asked once a process. `CUDA_VISIBLE_DEVICES` is respected where it hides all of them.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ()
    ask = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            ask, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    gpus = []
    for line in answer.stdout.splitlines():
        name, _, memory = line.rpartition(",")
        with suppress(ValueError):
            gpus.append(Accelerator(name.strip(), float(memory) * 1024 * 1024 / 1e6))
    return tuple(gpus)


def memory_mb() -> float:
    """Memory that a run can have here, in MB: one GPU's, else what is free now within limits."""
    if accelerators():
        return min(gpu.memory_mb for gpu in accelerators())
    return min(float(psutil.virtual_memory().available), _limit()) / 1e6


def whole_mb() -> float:
    """The memory of this machine, or of the container that this process is in, in MB."""
    return min(float(psutil.virtual_memory().total), _container()) / 1e6


def _limit() -> float:
    """Bytes this container may still use; infinite where no limit is set."""
    return max(0.0, _container() - float(psutil.Process().memory_info().rss))


def _container() -> float:
    """Bytes this container may use in all; infinite where no limit is set."""
    for path in _LIMITS:
        with suppress(OSError, ValueError):
            limit = int(path.read_text())
            if limit < _UNLIMITED:
                return float(limit)
    return float("inf")


def peak_mb() -> float | None:
    """The most memory this process had at once, in MB: on the accelerator where one is used, else
    in RAM since the last `forget_peak` (elsewhere than on Linux since the process was started);
    None where the system does not tell.
    """
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return float(torch.cuda.max_memory_reserved()) / 1e6
    return _ram_peak_mb()


def _ram_peak_mb() -> float | None:
    with suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = systems.peak_memory()
    return peak / 1e6 if peak is not None else None


def forget_peak() -> None:
    """Begin to measure the peak anew, where the system lets a process do so."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def lived() -> float:
    """Seconds since this process was started."""
    return max(0.0, time.time() - float(psutil.Process().create_time()))
