"""The files of a job: whole or absent, a torn line left alone, alive only while it is."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage import locks
from storage.errors import RuleBroken
from storage.settings import ROOT
from tests.support.patience import until
from training.records.running import ProgressLine
from training.work import evidence
from training.work.evidence import Evidence

WAITS = (
    "import sys, time; from pathlib import Path; from training.work.evidence import Evidence\n"
    "with Evidence(Path(sys.argv[1])) as held:\n    held.progress(1, 9, loss=0.5)\n"
    "    time.sleep(60)"
)


def test_progress_is_read_in_pieces_and_a_torn_line_waits(tmp_path: Path) -> None:
    with Evidence(tmp_path) as held:
        held.progress(1, 3, loss=2.0)
        held.progress(2, 3, loss=float("nan"), grad_norm=1.0)
    first, offset = evidence.read_events(tmp_path, 0)
    assert [event.step for event in first] == [1, 2]
    assert first[1].loss is None
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"step": 3, "to')
    assert evidence.read_events(tmp_path, offset) == ([], offset)
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'tal": 3}\n')
    assert evidence.read_events(tmp_path, offset)[0] == [ProgressLine(step=3, total=3)]


def test_a_line_that_a_crash_tore_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b'{"step": 1}\n{"ste')
    with Evidence(tmp_path) as held:
        held.progress(2, 3)
    assert [event.step for event in evidence.read_events(tmp_path)[0]] == [1, 2]


def test_a_flood_is_read_a_megabyte_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"x" * (3 << 20) + b'\n{"step": 7}\n')
    offset, found = 0, []
    for _ in range(5):
        events, offset = evidence.read_events(tmp_path, offset)
        found += events
    assert found == [ProgressLine(step=7)]


def test_the_first_result_stands(tmp_path: Path) -> None:
    evidence.finish(tmp_path, "failed", "It broke.")
    evidence.finish(tmp_path, "finished", "It did not.")
    result = evidence.read_result(tmp_path)
    assert result is not None
    assert (result["state"], result["message"]) == ("failed", "It broke.")


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        evidence.write_json(tmp_path / "a.json", {"x": float("inf")})
    (tmp_path / "b.json").mkdir()
    with pytest.raises(OSError, match=r"b\.json"):
        evidence.write_json(tmp_path / "b.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_a_file_of_the_future_is_old(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.touch()
    assert evidence.age(path) < 3600
    ahead = time.time() + 86400  # written before the clock was set back by a day
    os.utime(path, (ahead, ahead))
    assert evidence.age(path) > 80_000


def test_a_second_worker_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "_LOCK_SECONDS", 0.1)
    with (
        locks.wait(tmp_path / "run.lock"),
        pytest.raises(RuleBroken, match="already being worked on"),
        Evidence(tmp_path),
    ):
        pass
    assert not (tmp_path / "launch.json").exists()


def test_alive_follows_a_real_process_to_its_kill(tmp_path: Path) -> None:
    assert not evidence.alive(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", WAITS, str(tmp_path)], cwd=ROOT)
    until(lambda: evidence.read_events(tmp_path)[0])
    launch = evidence.read_json(tmp_path / "launch.json")
    assert launch is not None
    assert launch["pid"] == child.pid
    assert evidence.alive(tmp_path)
    child.send_signal(signal.SIGKILL)
    # A killed process that nobody has waited for is not alive.
    until(lambda: not evidence.alive(tmp_path))
    child.wait()
    assert not evidence.alive(tmp_path)
    assert evidence.read_result(tmp_path) is None


@pytest.mark.parametrize("change", [{"create_time": 1.0}, {"boot_id": "another"}, {"pid": "x"}])
def test_another_process_with_the_same_number_is_not_the_worker(
    tmp_path: Path, change: dict[str, object]
) -> None:
    with Evidence(tmp_path):
        launch = json.loads((tmp_path / "launch.json").read_text())
        assert evidence.alive(tmp_path)
    assert evidence.alive(tmp_path), "the process runs and has not said how it ended"
    evidence.write_json(tmp_path / "launch.json", launch | change)
    assert not evidence.alive(tmp_path)


def test_a_heartbeat_says_how_far_the_work_is(tmp_path: Path) -> None:
    with Evidence(tmp_path):
        until((tmp_path / "heartbeat.json").exists)
        beat = evidence.read_json(tmp_path / "heartbeat.json")
    assert beat is not None
    assert {"at", "step", "total", "moved"} == set(beat)
