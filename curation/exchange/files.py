"""Read a table of rows from a file that somebody else wrote, all or nothing.

The file is taken apart in a child process with little memory and little time (`reading.child`), so
a damaged or hostile file costs one sentence and not the server. What a file is, is decided from
its bytes; its name is only repeated in messages. Not caught: a file that is well formed and lies.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from curation.exchange.reading import answers
from curation.exchange.reading.answers import ReadTask
from curation.exchange.source import DEFAULT, Limits, Source, Table, check_size, display_name
from storage import priority, systems
from storage.errors import BadInput
from storage.settings import ROOT

_PROMPT_SECONDS = 3.0
"""A read that takes longer goes behind people's pages."""
_LOOK_SECONDS = 0.05


def read(path: Path, name: str, limits: Limits = DEFAULT, work: Path | None = None) -> Table:
    """The rows of the file or saved dataset folder at `path`, called `name` in messages.

    `work` is the folder for temporary files (the system's by default); nothing stays there.

    Raises:
        Refused: with the faulty lines; nothing of the file may be taken.
        BadInput: the file as a whole cannot be read.
        Unavailable: the reader itself failed, which is not the file's fault.
    """
    source = Source(path, display_name(name), limits)
    check_size(source)
    with tempfile.TemporaryDirectory(prefix="assay-read-", dir=work) as folder:
        result = Path(folder) / "result.jsonl"
        code = _run_child(source, Path(folder), result)
        if code != 0:
            raise BadInput(_ended(source, code))
        return answers.read(result, source.name)


def _run_child(source: Source, folder: Path, result: Path) -> int:
    """Exit status of the reading child; negative for the signal that ended it."""
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    task = ReadTask(
        path=str(source.path.resolve()),
        name=source.name,
        work=str(unpacked),
        result=str(result),
        limits=source.limits,
    )
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "curation.exchange.reading.child",
            task.sent(),
        ],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # a library's complaint may quote a row
        start_new_session=True,
    )
    try:
        return _ends(child, source.limits)
    except subprocess.TimeoutExpired:
        source.refuse(
            f"took more than {source.limits.wall_seconds} s to read and was given up; split it"
        )
    finally:
        child.kill()
        child.wait()


def _ends(child: subprocess.Popen[bytes], limits: Limits) -> int:
    """Wait for its end."""
    try:
        return _watched(child, limits, min(_PROMPT_SECONDS, limits.wall_seconds))
    except subprocess.TimeoutExpired:
        priority.behind(child.pid)
        return _watched(child, limits, max(limits.wall_seconds - _PROMPT_SECONDS, 0))


def _watched(child: subprocess.Popen[bytes], limits: Limits, seconds: float) -> int:
    """Wait so long for its end, and end it where it outgrows its memory and the system lets it."""
    if systems.holds_memory():
        return child.wait(seconds)
    end = time.monotonic() + seconds
    while True:
        try:
            return child.wait(min(_LOOK_SECONDS, max(end - time.monotonic(), 0)))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= end:
                raise
        if systems.memory(child.pid) > limits.memory_bytes:
            child.kill()


def _environment() -> dict[str, str]:
    """What the child needs to start, and none of the server's secrets."""
    inherited = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
    return {
        **{key: os.environ[key] for key in inherited if key in os.environ},
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve gigabytes of address space
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }


def _ended(source: Source, code: int) -> str:
    """A sentence for a child that died instead of answering."""
    if code == -getattr(signal, "SIGXCPU", 0):
        return f"{source.name} takes more than {source.limits.cpu_seconds} s to read; split it."
    if code == -9:
        return f"{source.name} takes more memory or time to read than is allowed; split it."
    return (
        f"{source.name} could not be read: it stopped the reader ({code}), "
        "so it is probably damaged; export it again."
    )
