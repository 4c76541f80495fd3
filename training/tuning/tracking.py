"""Report a run to trackers through the trainer's own integrations, beside the training.

Each tracker has a thread of its own, so that one that is slow, down or broken never holds a step
up, let alone ends a run: it is left out, and the run's progress lines say so. What it has not taken
in when the run ends is waited for a little and then given up.
"""

import copy
import os
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl as Control,
    TrainerState as State,
    TrainingArguments,
)
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from training.records.tasks import TrainTask
from training.tuning import trackers
from training.work.evidence import Evidence

_LAST_SECONDS = 30.0
"""How long all trackers together are waited for at the end of a run."""
_MOST_WAITING = 10_000
"""Reports that may wait for a slow tracker; later ones are dropped."""
_OPEN: list["Reporter"] = []


def follow(trainer: Trainer, task: TrainTask, hold: Evidence) -> None:
    """Report a run that is about to begin to the trackers of its task."""
    if not task.trackers:
        return
    job_id = hold.directory.name
    trainer.args.run_name = f"{task.name} · {job_id[:8]}"
    _prepare(hold.directory, Path(task.data_dir), job_id)
    for name in task.trackers:
        reporter = Reporter(name, hold, parameters(task, job_id))
        _OPEN.append(reporter)
        trainer.add_callback(reporter)


def end(state: str) -> None:
    """Tell the trackers how the run ended, and wait for them a little."""
    until = time.monotonic() + _LAST_SECONDS
    for reporter in _OPEN:
        reporter.end(state)
    for reporter in _OPEN:
        reporter.wait(until - time.monotonic())
    _OPEN.clear()


def parameters(task: TrainTask, job_id: str) -> dict[str, str]:
    """What the integrations do not report by themselves: Assay's own settings, and of what rows."""
    parameters = {
        **task.settings.to_dict(),
        "version_sha256": task.version_sha256,
        "rows_sha256": task.rows_sha256,
        "base": task.base.where,
        "job": job_id,
    }
    return {f"assay.{name}": str(value)[:250] for name, value in parameters.items()}


def _prepare(directory: Path, data: Path, job_id: str) -> None:
    """What the integrations read from the environment when they begin."""
    board = data / "tensorboard" / job_id
    os.environ |= trackers.environment(trackers.NAMES) | {
        "MLFLOW_TAGS": trackers.tags(job_id),
        "TENSORBOARD_LOGGING_DIR": str(board),
        "WANDB_DIR": str(directory),
    }
    os.environ.pop("MLFLOW_RUN_ID", None)  # else runs would be written over one another


class Reporter(TrainerCallback):
    """One tracker, fed by a thread of its own."""

    def __init__(self, name: str, hold: Evidence, parameters: Mapping[str, str]) -> None:
        self._name, self._hold, self._parameters = name, hold, parameters
        self._waiting: queue.Queue[tuple[str, tuple[Any, ...], dict[str, Any]]] = queue.Queue(
            _MOST_WAITING
        )
        self._inner: Any = None
        self._broken = False
        self._thread = threading.Thread(target=self._work, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: State,
        control: Control,
        model: object = None,
        **kwargs: object,
    ) -> None:
        """Open the run at the tracker."""
        self._put("on_train_begin", args, state, control, model=model)

    def on_log(
        self,
        args: TrainingArguments,
        state: State,
        control: Control,
        logs: dict[str, float] | None = None,
        model: object = None,
        **kwargs: object,
    ) -> None:
        """Report the figures of a step."""
        self._put("on_log", args, state, control, logs=dict(logs or {}), model=model)

    def end(self, state: str) -> None:
        """Ask for the run's end to be told."""
        self._add(("end", (state,), {}))

    def wait(self, seconds: float) -> None:
        """Wait until all is told, so long at most."""
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            self._hold.say(f"Tracker {self._name} does not answer; the run ended without it.")

    def _put(
        self,
        event: str,
        args: TrainingArguments,
        state: State,
        control: Control,
        **keywords: object,
    ) -> None:
        # The state goes on changing while this report waits.
        self._add((event, (args, copy.copy(state), control), keywords))

    def _add(self, report: tuple[str, tuple[Any, ...], dict[str, Any]]) -> None:
        if self._broken:
            return
        try:
            self._waiting.put_nowait(report)
        except queue.Full:
            self._broken = True

    def _work(self) -> None:
        """Hand the reports on in order; whatever goes wrong ends this tracker, not the run."""
        try:
            integrations = cast("Any", get_reporting_integration_callbacks)
            (kind,) = integrations([self._name])
            self._inner = kind()
            while True:
                event, values, keywords = self._waiting.get()
                if event == "end":
                    self._end(*values)
                    return
                getattr(self._inner, event)(*values, **keywords)
                if event == "on_train_begin":
                    self._begun()
        except Exception as error:  # the outermost frame of this thread: a library of others
            self._broken = True
            self._hold.say(
                f"Tracker {self._name} cannot be reported to ({type(error).__name__}); the run "
                "goes on without it."
            )

    def _begun(self) -> None:
        """Report Assay's parameters, and note where the run is found."""
        run, link = _OPENED[self._name](self._inner, self._parameters)
        trackers.note(self._hold.directory, self._name, run=run, link=link, ended=False)
        self._hold.say(f"Reporting to {self._name}.")

    def _end(self, state: str) -> None:
        """The integrations would call every end a good one, so they are not asked."""
        _ENDED[self._name](self._inner, state)
        if trackers.links(self._hold.directory).get(self._name):
            trackers.note(self._hold.directory, self._name, ended=True)


def _mlflow_opened(inner: Any, parameters: Mapping[str, str]) -> tuple[str, str | None]:  # noqa: ANN401
    mlflow = inner._ml_flow
    run = mlflow.active_run()
    mlflow.log_params(dict(parameters))
    uri = mlflow.get_tracking_uri().rstrip("/")
    link = f"{uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    return run.info.run_id, link if uri.startswith("http") else None


def _mlflow_ended(inner: Any, state: str) -> None:  # noqa: ANN401
    inner._ml_flow.flush_async_logging()
    inner._ml_flow.end_run(trackers.STATUS.get(state, "FAILED"))


def _wandb_opened(inner: Any, parameters: Mapping[str, str]) -> tuple[str, str | None]:  # noqa: ANN401
    run = inner._wandb.run
    run.config.update(dict(parameters))
    return run.id, run.url or None


def _wandb_ended(inner: Any, state: str) -> None:  # noqa: ANN401
    inner._wandb.finish(exit_code=0 if state == "finished" else 1)


def _board_opened(inner: Any, parameters: Mapping[str, str]) -> tuple[str, str | None]:  # noqa: ANN401
    inner.tb_writer.add_text(
        "assay", "\n".join(f"{name}: {parameters[name]}" for name in parameters)
    )
    return str(inner.logging_dir), None


def _board_ended(inner: Any, state: str) -> None:  # noqa: ANN401
    inner.tb_writer.add_text("state", state)
    inner.on_train_end(None, None, None)


_OPENED = {"mlflow": _mlflow_opened, "wandb": _wandb_opened, "tensorboard": _board_opened}
_ENDED = {"mlflow": _mlflow_ended, "wandb": _wandb_ended, "tensorboard": _board_ended}
