"""Trackers: a real MLflow server, real event files; one that is down; ends that are told truly."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage.errors import BadInput
from storage.settings import ROOT
from tests.support.patience import PATIENCE, until
from tests.support.tiny_model import rows, started, tiny, training_job
from training.tuning import trackers
from training.work import evidence
from training.worker import work

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_code")]

ROWS = [*rows(8), *rows(2, "validation", 100)]


@dataclass(frozen=True, slots=True)
class Mlflow:
    """A running server and its database."""

    url: str
    folder: Path

    def _ask(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.folder / "mlflow.db") as database:
            return database.execute(query, values).fetchall()

    def status(self, run: str) -> str:
        """How a run stands there."""
        return str(self._ask("SELECT status FROM runs WHERE run_uuid = ?", run)[0][0])

    def params(self, run: str) -> dict[str, str]:
        """The parameters of a run."""
        return dict(self._ask("SELECT key, value FROM params WHERE run_uuid = ?", run))

    def metric(self, run: str, key: str) -> list[int]:
        """The steps at which a metric was reported."""
        found = self._ask("SELECT step FROM metrics WHERE run_uuid = ? AND key = ?", run, key)
        return sorted(step for (step,) in found)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """One server for the tests of this file."""
    folder = tmp_path_factory.mktemp("mlflow")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.mlflow_server", str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http"), (folder / "log").read_text()
    yield Mlflow(url, folder)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A run sets variables for its trackers; none of them outlives a test."""
    for name in list(os.environ):
        if name.startswith(("MLFLOW", "WANDB", "TENSORBOARD", "ASSAY_TRACKERS")):
            monkeypatch.delenv(name)
    # A busy machine may take long; here the figures are asked for, not the patience.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    monkeypatch.setattr("training.tuning.tracking._LAST_SECONDS", 120.0)
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]


def _run(directory: Path, small: Path, *names: str, **chosen: object) -> Path:
    made = training_job(directory, small, ROWS, **{"epochs": 2, **chosen})
    spec = evidence.read_json(made / "spec.json") or {}
    evidence.write_json(made / "spec.json", spec | {"trackers": list(names), "name": "Desk"})
    return made


def _told(directory: Path) -> str:
    return "\n".join(str(one.message) for one in evidence.every_event(directory))


def test_a_run_is_reported_with_figures_and_parameters_and_no_row(
    mlflow: Mlflow, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url)
    plain = _run(tmp_path / "plain", small)
    directory = _run(tmp_path / "run", small, "mlflow", "tensorboard")
    assert (work(plain), work(directory)) == (0, 0)
    known = trackers.links(directory)
    run = known["mlflow"]["run"]
    assert mlflow.status(run) == "FINISHED"
    assert mlflow.metric(run, "loss") == [1, 2]
    assert mlflow.metric(run, "eval_loss") == [1, 2]
    told = mlflow.params(run)
    assert (told["assay.learning_rate"], told["assay.job"]) == ("0.02", "run")
    assert told["assay.version_sha256"] == "0" * 64
    assert known["mlflow"]["link"].startswith(f"{mlflow.url}/#/experiments/")
    assert list((mlflow.folder / "artifacts").rglob("*")) == []
    _board(Path(known["tensorboard"]["run"]))
    results = [evidence.read_result(one) or {} for one in (plain, directory)]
    assert results[0]["adapter_sha256"] == results[1]["adapter_sha256"]
    written = (mlflow.folder / "mlflow.db").read_bytes()
    written += b"".join(one.read_bytes() for one in _files(Path(known["tensorboard"]["run"])))
    assert b"assay.rows_sha256" in written
    assert not [row for row in ROWS if row["prompt"].encode() in written]
    assert not [row for row in ROWS if row["response"].encode() in written]


def _files(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file()]


def _board(folder: Path) -> None:
    """The event files, read by TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    assert [one.step for one in found.Scalars("train/loss")] == [1, 2]
    assert len(found.Scalars("eval/loss")) == 2


def test_a_tracker_that_is_down_neither_ends_nor_holds_a_run(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    directory = _run(tmp_path / "run", small, "mlflow")
    assert work(directory) == 0
    assert (evidence.read_result(directory) or {})["state"] == "finished"
    assert "the run goes on without it" in _told(directory)
    assert trackers.links(directory) == {}


def test_a_cancelled_run_is_killed_there(
    mlflow: Mlflow, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url)
    directory = _run(tmp_path / "run", small, "mlflow")
    evidence.request_cancel(directory)
    assert work(directory) == 0
    assert (evidence.read_result(directory) or {})["state"] == "cancelled"
    assert mlflow.status(trackers.links(directory)["mlflow"]["run"]) == "KILLED"


def test_a_run_that_diverged_has_failed_there(
    mlflow: Mlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url)
    directory = _run(tmp_path / "run", tiny(tmp_path / "bad", poison=True), "mlflow")
    assert work(directory) == 1
    assert mlflow.status(trackers.links(directory)["mlflow"]["run"]) == "FAILED"


def test_a_killed_run_does_not_stay_running_there(
    mlflow: Mlflow, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url)
    directory = _run(tmp_path / "run", small, "mlflow", epochs=20, batch_size=1)
    process = started(directory)
    until(lambda: trackers.links(directory), lambda: process.poll() is None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    run = trackers.links(directory)["mlflow"]["run"]
    assert mlflow.status(run) == "RUNNING"
    trackers.end_elsewhere(directory, "lost")
    until(lambda: mlflow.status(run) != "RUNNING")
    assert mlflow.status(run) == "FAILED"


def test_a_tracker_that_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_TRACKERS", "MLflow, tensorboard,")
    assert trackers.chosen() == ["mlflow", "tensorboard"]
    monkeypatch.setenv("ASSAY_TRACKERS", "neptune")
    with pytest.raises(BadInput, match="'neptune', which is no tracker"):
        trackers.chosen()


def test_only_what_trackers_need_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    monkeypatch.setenv("MLFLOW_RUN_ID", "another run")
    monkeypatch.setenv("HF_MLFLOW_LOG_ARTIFACTS", "1")
    passed = trackers.environment(["mlflow"])
    assert passed["MLFLOW_TRACKING_TOKEN"] == "t"
    assert passed["HF_MLFLOW_LOG_ARTIFACTS"] == "FALSE"
    assert "MLFLOW_RUN_ID" not in passed
    assert trackers.environment([]) == {}


def test_weights_and_biases_offline(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="the optional extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    directory = _run(tmp_path / "run", small, "wandb")
    process = started(directory)
    assert process.wait(PATIENCE) == 0
    known = trackers.links(directory)["wandb"]
    assert (known["link"], known["ended"]) == (None, True)
    (kept,) = directory.rglob("run-*.wandb")
    written = b"".join(one.read_bytes() for one in _files(kept.parent))
    assert b"assay.rows_sha256" in written
    assert b"train/loss" in written
    assert not [row for row in ROWS if row["prompt"].encode() in written]
    assert not [row for row in ROWS if row["response"].encode() in written]
