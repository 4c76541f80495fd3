"""Which tests load a model and which drive a browser: read off their fixtures, and held to it.

Nobody marks a test by hand. One that asks for `model_code`, mostly by way of a model, bears the
marker `model`; one that asks for `browser`, the marker `browser`. While tests are collected, and in
a run of which none bears `model`, torch and what stands on it cannot be imported, in this process
or in one that a test starts. Only who asks for `workers` starts the processes of jobs.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import settings
from tests.support.no_models.sitecustomize import refusal
from training import worker
from training.work import processes

MARKERS = {"model_code": "model", "browser": "browser"}
"""The marker that a fixture gives to every test that asks for it."""
_REFUSING = str(Path(__file__).parent / "no_models")


@pytest.fixture(scope="session")
def model_code() -> None:
    """Whoever asks for this may import torch, and start processes that do."""


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever asks for this starts the real processes of jobs; none of them outlives the test."""
    monkeypatch.setattr(processes, "_ENVIRONMENT", (*processes._ENVIRONMENT, "PYTHONPATH"))
    yield
    for job in settings.current().jobs.glob("*/spec.json"):
        processes.sweep(job.parent.name)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs work in this process, which has the libraries loaded; all else is as in a server."""
    monkeypatch.setattr(processes, "start", lambda directory, *_: worker.work(directory))


@pytest.fixture(autouse=True)
def starts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other test starts any: a look at the jobs also starts the next one that waits."""
    if "workers" not in request.fixturenames:
        monkeypatch.setattr(processes, "start", lambda *_: None)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by its fixtures, those of its fixtures included."""
    for fixture, marker in MARKERS.items():
        if fixture in getattr(item, "fixturenames", ()):
            item.add_marker(marker)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what was given a longer time limit: begun last, it would run alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse model code to a run without a test that may load it; libraries remember a refusal."""
    refusal.active = not any(item.get_closest_marker("model") for item in session.items)
    if refusal.active:
        path = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_REFUSING, path)))
