"""Runs that are killed and go on: the same adapter to the last bit, or a refusal that says why."""

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training_support import rows, started, tiny, training_job
from training import checkpoints, evidence
from training.worker import work

pytestmark = pytest.mark.filterwarnings("ignore")

LINES = rows(26) + rows(7, "validation", first=100)
"""26 rows in batches of 4: the last step of a pass has 2."""
CHOSEN: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 4,
    "dropout": 0.2,
    "patience": 3,
    "checkpoint_steps": 3,
    "learning_rate": 0.03,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base model."""
    return tiny(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def whole(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was never interrupted."""
    directory = tmp_path_factory.mktemp("jobs") / "whole"
    assert work(training_job(directory, small, LINES, **CHOSEN)) == 0
    return directory


def _result(directory: Path) -> dict[str, Any]:
    found = evidence.read_result(directory)
    assert found is not None
    return found


def _steps(directory: Path) -> int:
    return max((e["step"] for e in evidence.read_events(directory)[0] if "loss" in e), default=0)


def _until(done: Callable[[], bool], child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not done() and child.poll() is None:
        assert time.monotonic() < end, "took too long"
        time.sleep(0.002)


def _killed_at(directory: Path, step: int) -> None:
    """Run in a process of its own until it has done this step, then kill it."""
    child = started(directory)
    _until(lambda: _steps(directory) >= step, child)
    child.send_signal(signal.SIGKILL)
    child.wait()


def _going_on(source: Path, directory: Path) -> Path:
    """A job directory that goes on from the newest checkpoint of another, as `runs` makes it."""
    spec = json.loads((source / "spec.json").read_text())
    found, _refused = checkpoints.newest(source)
    assert found is not None
    directory.mkdir()
    shutil.copy(source / "rows.jsonl", directory)
    checkpoints.adopt(source, found.step, found.sha256, directory)
    evidence.copy_events(source, directory, found.step)
    spec["resumed_from"] = {"job": source.name, "step": found.step, "sha256": found.sha256}
    (directory / "spec.json").write_text(json.dumps(spec))
    return directory


def _furthest(one: Path, other: Path) -> float:
    """The largest difference between the weights of two adapters."""
    from safetensors.torch import load_file

    first, second = (load_file(d / "adapter" / "adapter_model.safetensors") for d in (one, other))
    assert set(first) == set(second)
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def _same_course(one: Path, other: Path) -> None:
    kept = ("steps", "train_loss", "validation_curve", "validation_loss", "stopped_early", "epochs",
            "trained_tokens", "adapter_sha256")  # fmt: skip
    first, second = _result(one), _result(other)
    assert {name: first[name] for name in kept} == {name: second[name] for name in kept}


def _at(tmp_path: Path, small: Path, step: int, **more: object) -> Path:
    """A run that was stopped on request at a step, which leaves its checkpoint."""
    directory = training_job(tmp_path / f"part-{step}", small, LINES, **(CHOSEN | more))
    evidence.request_stop(directory)
    return directory


def test_a_killed_run_goes_on_to_the_same_weights(
    small: Path, whole: Path, tmp_path: Path
) -> None:
    """Killed twice, in the first pass and in a later one, with dropout and joined batches."""
    part = training_job(tmp_path / "part", small, LINES, **CHOSEN)
    _killed_at(part, random.Random(7).randint(4, 6))
    assert evidence.read_result(part) is None
    second = _going_on(part, tmp_path / "second")
    _killed_at(second, random.Random(8).randint(12, 20))
    last = _going_on(second, tmp_path / "last")
    assert work(last) == 0, _result(last)["message"]
    assert _furthest(whole, last) == 0.0
    _same_course(whole, last)
    events = [e["step"] for e in evidence.every_event(last) if "loss" in e]
    assert events == [e["step"] for e in evidence.every_event(whole) if "loss" in e]


def test_each_checkpoint_leads_to_the_same_end(
    small: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a pass, at its end (7 and 14: after the evaluation), and right before the last."""
    monkeypatch.setattr(checkpoints, "KEPT", 1000)
    every = training_job(tmp_path / "every", small, LINES, **(CHOSEN | {"checkpoint_steps": 1}))
    assert work(every) == 0
    assert _furthest(whole, every) == 0.0, "writing checkpoints changes nothing"
    known = {one.step: one for one in checkpoints.recorded(every)}
    assert 14 in known
    for step in (1, 7, 8, 14, max(known)):
        source = tmp_path / f"only-{step}"
        shutil.copytree(every, source)
        record = {"checkpoints": [{"step": step, "sha256": known[step].sha256,
                                   "size": known[step].size}]}  # fmt: skip
        evidence.write_json(source / "checkpoints.json", record)
        last = _going_on(source, tmp_path / f"last-{step}")
        assert work(last) == 0, _result(last)["message"]
        assert _furthest(whole, last) == 0.0, step
        _same_course(every, last)
