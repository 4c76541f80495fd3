"""The processes of jobs: started detached, seen out, and swept up by the token they carry."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from storage import plain_files, priority
from storage.settings import ROOT
from training.records.running import Launch
from training.work import evidence, spawning

CANCEL_SECONDS = 20.0
"""A worker has so long to stop at a step boundary before it is terminated."""
TERM_SECONDS = 10.0
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "CUDA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "HF_HOME",
    "OMP_NUM_THREADS",
)


def start(
    directory: Path,
    token: str,
    environment: Mapping[str, str],
    batch_size: int | None,
    niceness: int = priority.POLITE,
) -> None:
    """Start the worker detached: its own session, a file as output, a small environment.

    With a batch size, the rows of a step are shared by a process for each accelerator.
    """
    passed = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    accelerators = spawning.accelerators()
    count = spawning.processes(batch_size, len(accelerators))
    environment = {
        **passed,
        **environment,
        **spawning.visible(count, accelerators),
        evidence.RUN_TOKEN: token,
        "REGEX_TIMEOUT_SECONDS": "2",
    }
    with plain_files.appended(directory / "train.log") as log:
        child = subprocess.Popen(
            spawning.command(directory, count),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=True,
        )
    priority.behind(child.pid, niceness)
    # The exit status is collected so that no zombie looks alive; the state comes from the files.
    threading.Thread(target=child.wait, name=f"reap-{token[:8]}", daemon=True).start()


def stop(directory: Path, token: str) -> None:
    """See a cancelled worker out: wait for its step, terminate its group, kill what is left."""
    if _gone(directory, CANCEL_SECONDS - evidence.age(directory / "cancel.requested")):
        return
    launch = evidence.read(Launch, directory / "launch.json")
    for strength in (signal.SIGTERM, signal.SIGKILL):
        if launch is not None and _carries(launch.pid, token) and evidence.alive(directory):
            with suppress(ProcessLookupError):
                os.killpg(launch.pid, strength)
        if _gone(directory, TERM_SECONDS):
            break
    sweep(token)


def _gone(directory: Path, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while evidence.alive(directory):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _carries(pid: int, token: str) -> bool:
    """Whether a process is one of this job's: its folder may name any other, the server too."""
    with suppress(psutil.Error, ValueError, OverflowError):
        return bool(psutil.Process(pid).environ().get(evidence.RUN_TOKEN) == token)
    return False


def sweep(token: str) -> int:
    """Kill every process that carries a job's token; returns how many there were."""
    killed = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(evidence.RUN_TOKEN) == token:
                process.kill()
                killed += 1
    return killed
