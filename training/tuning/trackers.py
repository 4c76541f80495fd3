"""Which trackers a run reports to, as the server's environment says, and where it is found there.

`ASSAY_TRACKERS` lists them: mlflow, tensorboard, wandb. They get names, parameters and metrics,
never the text of a row; models and code are not uploaded, whatever else their settings say.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from storage import plain_files
from storage.errors import BadInput
from storage.settings import ROOT
from training.records.record import written
from training.records.results import TrackerLink
from training.work import evidence

NAMES = ("mlflow", "tensorboard", "wandb")
_FILE = "trackers.json"
_PASSED = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_HTTP_REQUEST_TIMEOUT",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "WANDB_API_KEY",
    "WANDB_BASE_URL",
    "WANDB_ENTITY",
    "WANDB_PROJECT",
    "WANDB_MODE",
)
"""What trackers read from the environment, and a run's process is therefore given."""
_FORCED = {
    "HF_MLFLOW_LOG_ARTIFACTS": "FALSE",
    "MLFLOW_NESTED_RUN": "FALSE",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "WANDB_LOG_MODEL": "false",
    "WANDB_WATCH": "false",
    "WANDB_CONSOLE": "off",
    "WANDB_SILENT": "true",
    "WANDB_DISABLE_CODE": "true",
    "WANDB_DISABLE_GIT": "true",
    "WANDB_INIT_TIMEOUT": "20",
}
"""No models, no code, no console, no telemetry."""
_USUAL = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""An answer soon or none, unless the server's environment says otherwise."""
_NOTING = threading.Lock()
STATUS = {"finished": "FINISHED", "cancelled": "KILLED"}
"""What MLflow calls the end of a run; FAILED for every other."""


def chosen() -> list[str]:
    """The trackers of the server.

    Raises:
        BadInput: one is not known.
    """
    named = [word.strip().lower() for word in os.environ.get("ASSAY_TRACKERS", "").split(",")]
    names = [word for word in dict.fromkeys(named) if word]
    unknown = [word for word in names if word not in NAMES]
    if unknown:
        raise BadInput(
            f"ASSAY_TRACKERS names {unknown[0][:40]!r}, which is no tracker that Assay knows "
            f"({', '.join(NAMES)}). Ask whoever runs this server to mend it."
        )
    return names


def environment(names: Sequence[str]) -> dict[str, str]:
    """What a process that reports to these trackers is given; nothing where there are none."""
    if not names:
        return {}
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return _USUAL | passed | _FORCED


def passed() -> dict[str, str]:
    """What the process of a run is given.

    Raises:
        BadInput: the server names a tracker that is not known.
    """
    return environment(chosen())


def links(directory: Path) -> dict[str, dict[str, Any]]:
    """Where a run is found, by tracker: `run` (its id there), `link`, `ended`."""
    places = evidence.read(dict[str, TrackerLink], directory / _FILE) or {}
    return {name: written(place) for name, place in places.items()}


def note(directory: Path, name: str, **facts: str | bool | None) -> None:
    """Remember where a run is found at a tracker, and whether it was told the end."""
    with _NOTING:  # each tracker has a thread of its own
        places = links(directory)
        evidence.write_json(directory / _FILE, places | {name: places.get(name, {}) | facts})


def end_elsewhere(directory: Path, state: str) -> None:
    """Tell MLflow how a run ended whose process could not; in a process of its own, as the server
    waits for no tracker. W&B sees by itself that a run no longer reports; TensorBoard has no end.
    """
    left: Mapping[str, Any] = links(directory).get("mlflow", {})
    if not left.get("run") or left.get("ended"):
        return
    code = "import sys; from training.tuning import trackers; trackers.tell_end(*sys.argv[1:])"
    inherited = {
        key: os.environ[key] for key in ("PATH", "HOME", "VIRTUAL_ENV") if key in os.environ
    }
    with plain_files.appended(directory / "train.log") as log:
        subprocess.Popen(
            [sys.executable, "-c", code, str(directory), state],
            cwd=ROOT,
            env=inherited | environment(["mlflow"]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def tell_end(directory: str, state: str) -> None:
    """Tell MLflow how a run ended, in this process."""
    from mlflow.tracking import MlflowClient

    place = Path(directory)
    MlflowClient().set_terminated(links(place)["mlflow"]["run"], STATUS.get(state, "FAILED"))
    note(place, "mlflow", ended=True)


def tags(job_id: str) -> str:
    """How a run's job is found at MLflow, in the form of its MLFLOW_TAGS."""
    return json.dumps({"assay_run": job_id})
