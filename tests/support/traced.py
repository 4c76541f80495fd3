"""A server under strace: was a decision on the disk before the browser heard that it is saved?"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support import live as servers
from tests.support.desk_client import DeskClient
from tests.support.live import Live

_CALLS = "pwrite64,fdatasync,fsync,sendto,sendmsg,write,writev"
_LONGEST = 2**17
"""Bytes of a call's data that strace prints."""
_CALL = re.compile(r"(\w+)\(\d+<([^>]*)>")


@dataclass(frozen=True, slots=True)
class Durability:
    """What the trace shows of the decisions that were answered."""

    answers: int
    synced: int
    """Of these, how many were in the log and a sync of it had ended before the answer left."""


def possible() -> bool:
    """Whether this machine has strace and lets it look at a process."""
    strace = shutil.which("strace")
    if strace is None:
        return False
    tried = subprocess.run([strace, "-e", "trace=none", "true"], capture_output=True, check=False)
    return tried.returncode == 0


@contextmanager
def tracing(live: Live, file: Path) -> Iterator[None]:
    """Write the server's calls to a file from here on."""
    watching = subprocess.Popen(
        ["strace", "-f", "-y", "-s", str(_LONGEST), "-e", f"trace={_CALLS}", "-o", str(file)]
        + [part for pid in _family(live.process.pid) for part in ("-p", str(pid))],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stderr is not None
    for line in watching.stderr:
        if "attached" in line:
            break
    try:
        yield
    finally:
        watching.terminate()
        watching.wait()
        watching.stderr.close()


def _family(pid: int) -> list[int]:
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def measure(data: Path, reviewer: int, decisions: int, file: Path) -> Durability:
    """Let one reviewer decide so many pairs on a traced server."""
    with servers.running(data) as live:
        client = DeskClient(live, reviewer)
        client.open()
        with tracing(live, file):
            for _ in range(1 + decisions):
                client.decide()
        client.drop()
    # The first may have been on its way while strace was still taking hold.
    answered = [press.op for press in client.presses.values() if press.status == "saved"][1:]
    return Durability(len(answered), sum(_synced(file, answered).values()))


def _synced(file: Path, ops: list[str]) -> dict[str, bool]:
    """By decision: whether write, end of a sync and answer came in this order."""
    stage, ordered = dict.fromkeys(ops, ""), dict[str, bool]()
    for name, path, line in _calls(file):
        if "-wal" in path and name == "pwrite64":
            stage.update((op, "written") for op in ops if not stage[op] and op in line)
        elif "-wal" in path and line.rstrip().endswith("= 0"):
            stage.update((op, "synced") for op, at in stage.items() if at == "written")
        elif "socket:" in path:
            for op in ops:
                if op in line:
                    ordered.setdefault(op, stage[op] == "synced")
    return {op: ordered.get(op, False) for op in ops}


def _calls(file: Path) -> Iterator[tuple[str, str, str]]:
    """Each call when it ended: its name, the path of its file, and what strace wrote of it. Of one
    that another thread interrupts, strace writes the beginning and the end on lines of their own.
    """
    begun: dict[str, tuple[str, str, str]] = {}
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            pid, _, text = line.partition(" ")
            if (call := _CALL.match(text.lstrip())) is not None:
                name, path = call.groups()
                if line.rstrip().endswith("<unfinished ...>"):
                    begun[pid] = (name, path, line)
                else:
                    yield name, path, line
            elif "resumed>" in line and pid in begun:
                name, path, beginning = begun.pop(pid)
                yield name, path, beginning + line
