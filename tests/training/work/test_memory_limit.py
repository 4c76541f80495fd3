"""The memory of a job's process: what was estimated with head room, and an end in words beyond."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.settings import ROOT
from training.work import evidence, machine, memory_limit

GROWS = """
import os, sys, time
from pathlib import Path
from training import worker
from training.work import memory_limit

directory = Path(sys.argv[1])
memory_limit.keep(lambda: worker.end_out_of_memory(directory))
held = []
for _ in range(100):
    held.append(b"x" * 10_000_000)
    time.sleep(0.05)
"""
ASKS = """
from training.work import memory_limit

memory_limit.keep(lambda: None)
try:
    bytes(20_000_000_000)  # asked for, and not touched
except MemoryError:
    print("refused")
"""


def _python(code: str, *arguments: str, limit_mb: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, memory_limit.VARIABLE: str(limit_mb)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_limit_follows_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "whole_mb", lambda: 16_000.0)
    assert memory_limit.of(None) == 14_400.0
    assert memory_limit.of(1_000.0) == 3_000.0
    assert memory_limit.of(4_000.0) == 8_000.0
    assert memory_limit.of(12_000.0) == 14_400.0, "never more than the machine can give"


def test_a_process_that_grows_beyond_it_ends_with_the_sentence_of_all_others(
    tmp_path: Path,
) -> None:
    (tmp_path / "spec.json").write_text('{"kind": "train", "settings": {"batch_size": 8}}')
    done = _python(GROWS, str(tmp_path), limit_mb=int(memory_limit.own_mb()) + 150)
    assert done.returncode == 86, done.stderr
    result = evidence.read_result(tmp_path) or {}
    assert (result["state"], result["exit"]) == ("failed", 86)
    assert str(result["message"]).startswith("The memory was not enough. Halve the batch size")


@pytest.mark.skipif(sys.platform != "linux", reason="the system holds such a limit on Linux only")
def test_one_request_beyond_all_measure_is_refused_by_the_system() -> None:
    done = _python(ASKS, limit_mb=500)
    assert done.stdout == "refused\n", done.stderr


def test_a_process_that_was_told_no_limit_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(memory_limit.VARIABLE, raising=False)
    monkeypatch.setattr(memory_limit, "_refuse_requests", pytest.fail)
    memory_limit.keep(lambda: pytest.fail("it was ended"))
