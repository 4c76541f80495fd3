"""Several processes for one run: how many, by which command, and that they end as one would."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from storage.settings import ROOT
from storage.types import Job, JobKind, JobState
from tests.support.patience import PATIENCE
from tests.support.tiny_model import rows, training_job
from training import kinds
from training.records.parts import BaseModel
from training.records.record import written
from training.records.specs import TrainSpec
from training.settings import Lora, MethodSettings, Provider
from training.work import evidence, ranks, spawning
from training.worker import work

NOW = datetime(2026, 7, 1, tzinfo=UTC)
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("chosen", "there"), [("", []), ("-1", []), ("0", ["0"]), ("2, 3", ["2", "3"])]
)
def test_the_accelerators_that_were_chosen_are_counted(
    monkeypatch: pytest.MonkeyPatch, chosen: str, there: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert spawning.accelerators() == there


def test_the_driver_is_asked_where_nothing_was_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(spawning, "_GPUS", tmp_path / "gpus")
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert spawning.accelerators() == []
    tool.write_text("#!/bin/sh\necho 'GPU 0: One (UUID: a)'\necho 'GPU 1: Other (UUID: b)'\n")
    tool.chmod(0o755)
    assert spawning.accelerators() == ["0", "1"]
    tool.write_text("#!/bin/sh\necho 'No driver.'\nexit 9\n")
    assert spawning.accelerators() == []
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    assert spawning.accelerators() == ["0"]


@pytest.mark.parametrize(
    ("kind", "batch_size", "there", "count"),
    [
        (JobKind.TRAIN, 8, 0, 1),
        (JobKind.TRAIN, 8, 1, 1),
        (JobKind.TRAIN, 8, 2, 2),
        (JobKind.TRAIN, 8, 3, 2),
        (JobKind.TRAIN, 3, 2, 1),
        (JobKind.EVALUATE, 8, 4, 1),
    ],
)
def test_a_batch_is_shared_evenly_or_not_at_all(
    kind: JobKind, batch_size: int, there: int, count: int
) -> None:
    def asked(settings: MethodSettings) -> int:
        spec = TrainSpec(version_id=1, base=BaseModel("packaged"), settings=settings)
        job = Job("x", 1, kind, JobState.QUEUED, 1, written(spec), None, None, NOW, None)
        return spawning.processes(kinds.KINDS[kind].batch_size(job), there)

    assert asked(Lora(batch_size=batch_size)) == count
    assert asked(Provider(batch_size=batch_size)) == 1
    assert spawning.processes(None, there) == 1


def test_only_what_works_is_seen() -> None:
    assert spawning.visible(2, ["0", "1", "3"]) == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert spawning.visible(1, ["0", "1"]) == {"CUDA_VISIBLE_DEVICES": "0"}
    assert spawning.visible(1, ["0"]) == {}
    assert spawning.command(Path("/jobs/1"), 1)[1:] == ["-m", "training", "work", "/jobs/1"]
    assert spawning.command(Path("/jobs/1"), 4)[1:6] == [
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "4",
    ]


def test_the_others_write_nothing_but_that_they_failed(tmp_path: Path) -> None:
    with ranks.Quiet(tmp_path) as held:
        held.say("Loading.")
        held.progress(1, 2, loss=1.0)
        held.finish("finished", "Done.")
        assert list(tmp_path.iterdir()) == []
        held.finish("failed", "The memory was not enough.", {"exit": 86})
    assert [one.name for one in tmp_path.iterdir()] == ["result.json"]
    evidence.finish(tmp_path, "failed", "The other process is gone.")
    assert (evidence.read_result(tmp_path) or {})["exit"] == 86


def test_two_processes_end_where_one_does(small: Path, tmp_path: Path) -> None:
    """By the very command of several accelerators, on two CPU processes (gloo)."""
    lines = rows(16) + rows(8, "validation", first=100)
    one, two = (
        training_job(tmp_path / name, small, lines, epochs=1, checkpoint_steps=1)
        for name in ("one", "two")
    )
    assert work(one) == 0
    done = subprocess.run(
        spawning.command(two, 2),
        cwd=ROOT,
        env={**os.environ, evidence.RUN_TOKEN: "two"},
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    alone, shared = (_result(directory) for directory in (one, two))
    assert shared["state"] == "finished", shared["message"]
    assert shared["hardware"]["processes"] == 2
    for name in ("steps", "rows", "epochs", "trained_tokens"):
        assert shared[name] == alone[name]
    for name in ("first_train_loss", "train_loss", "validation_loss"):
        assert shared[name] == pytest.approx(alone[name], rel=1e-4)
    assert [e.step for e in evidence.every_event(two) if e.loss is not UNSET] == [1, 2]
    manifest = json.loads((two / "checkpoints/checkpoint-1/MANIFEST.json").read_text())
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= set(manifest["files"])


def _result(directory: Path) -> dict[str, Any]:
    found = evidence.read_result(directory)
    assert found is not None
    return found
