"""The command that starts the process of a job: with several accelerators one process for each."""

import os
import subprocess
import sys
from pathlib import Path

_GPUS = Path("/proc/driver/nvidia/gpus")
_SECONDS = 5.0


def accelerators() -> list[str]:
    """The NVIDIA accelerators that a run may use, by what CUDA_VISIBLE_DEVICES calls them.

    Told without importing torch: from that variable where it is set, else by the driver's folder,
    else by `nvidia-smi`. Others (AMD, Apple) are not counted; a run then has one process.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu.strip() for gpu in chosen.split(",") if gpu.strip() not in ("", "-1")]
    if _GPUS.is_dir():
        return [str(number) for number, _ in enumerate(_GPUS.iterdir())]
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=_SECONDS)  # noqa: S607 - wherever the driver put it
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = answer.stdout.decode(errors="replace").splitlines() if answer.returncode == 0 else []
    return [str(number) for number, _ in enumerate(x for x in lines if x.startswith("GPU "))]


def processes(batch_size: int | None, accelerators: int) -> int:
    """How many processes share a job: the most that divide its batch evenly, so that a step learns
    from as many pairs as with one; 1 where there is no batch to share.
    """
    if not batch_size:
        return 1
    return max(n for n in range(1, max(accelerators, 1) + 1) if batch_size % n == 0)


def command(directory: Path, count: int) -> list[str]:
    """The command that does the job of a directory in so many processes."""
    work = ["-m", "training", "work", str(directory)]
    if count == 1:
        return [sys.executable, *work]
    return [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        str(count),
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        "0",
        *work,
    ]


def visible(count: int, gpus: list[str]) -> dict[str, str]:
    """Which accelerators the processes see, where there are more than one: as many as they are."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus[:count])} if len(gpus) > 1 else {}
