"""Render a chat template before it is trusted: in a child process, with limits on time and memory.

What it does not show: that the template behaves alike for every chat. A worker has limits of its
own on what it renders.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import psutil

from storage.errors import BadInput

_CHILD = Path(__file__).with_name("template_child.py")
_SECONDS = 20.0
"""Of the clock; of the processor the child may take 2 seconds."""
_MEMORY = 640 << 20
"""Bytes, where the system does not hold the child's own limit."""
_LOOK_SECONDS = 0.02
_OUT_OF_TIME = getattr(signal, "SIGXCPU", 0)
_REASONS = {
    "memory": "needs too much memory",
    "long": "writes far too much",
    "time": "takes too long",
    "error": "cannot write a chat of a system message, a user and an assistant",
}


def require(name: str, template: str, tokens: Mapping[str, str]) -> None:
    """Refuse the template of the model `name` if it cannot be rendered within the limits.

    `tokens` are the special tokens that it may write, by what it calls them.

    Raises:
        BadInput: says how it failed.
    """
    verdict = _verdict(json.dumps({"template": template, "tokens": dict(tokens)}))
    if verdict != "ok":
        reason = _REASONS.get(verdict, _REASONS["memory"])
        raise BadInput(f"The chat template of {name} {reason}. Choose another base model.")


@lru_cache(maxsize=64)
def _verdict(task: str) -> str:
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as spoken:
        given.write(task.encode())
        given.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-I", str(_CHILD)],
            stdin=given,
            stdout=spoken,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        try:
            reason = _reason(child)
        finally:
            child.kill()
            child.wait()
        spoken.seek(0)
        return reason or spoken.read(16).decode()


def _reason(child: subprocess.Popen[bytes]) -> str:
    """Why a child was not waited for, or said nothing; empty where it ended by itself."""
    end = time.monotonic() + _SECONDS
    process = psutil.Process(child.pid)
    while child.poll() is None:
        if time.monotonic() > end:
            return "time"
        with suppress(psutil.Error):
            if process.memory_info().rss > _MEMORY:
                return "memory"
        time.sleep(_LOOK_SECONDS)
    if child.returncode == 0:
        return ""
    return "time" if child.returncode == -_OUT_OF_TIME else "memory"
