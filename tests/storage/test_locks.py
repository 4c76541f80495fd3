"""A lock belongs to one process, for as long as that process lives."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage import locks
from storage.settings import ROOT
from tests.support.patience import until

HOLDS = """
import sys, time
from pathlib import Path
from storage import locks
lock = locks.take(Path(sys.argv[1]))
print("taken", flush=True)
time.sleep(600)
"""


def test_a_lock_is_given_to_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    assert not locks.busy(path)
    first = locks.take(path)
    assert first is not None
    assert locks.take(path) is None
    assert locks.busy(path)
    first.close()
    assert not locks.busy(path)
    with locks.wait(path):
        assert locks.busy(path)


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"taken\n"
    assert locks.busy(path)
    child.kill()
    child.wait()
    child.stdout.close()
    until(lambda: not locks.busy(path))


def test_those_who_only_look_do_not_take_each_other_for_a_worker(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    path.touch()
    mistaken: list[bool] = []

    def look() -> None:
        mistaken.extend(locks.busy(path) for _ in range(50))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mistaken) == 100
    assert not any(mistaken)


def test_a_lock_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "one.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"one\.lock"):
        locks.take(tmp_path / "one.lock")
    assert not (tmp_path / "elsewhere").exists()
