"""Jobs: real processes, killed and cancelled, whose state comes true from what is on disk."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from storage import priority, settings
from storage.engine import reading, writing
from storage.errors import NotAllowed, NotFound, RuleBroken
from storage.settings import ROOT
from storage.types import Job, JobKind, JobState, Role
from tests.storage.test_troubles import locked
from tests.support import stories, tuned
from tests.support.patience import PATIENCE, until
from tests.support.tiny_model import tiny
from training import asks, reconcile
from training.launch import runs
from training.lifecycle import adapter_files
from training.models import adapters
from training.records.parts import BaseModel
from training.settings import Lora
from training.work import evidence, jobs, processes

TICK = """
from storage import settings
from storage.engine import open_engine
from training import reconcile
reconcile.tick(open_engine(settings.current().database), settings.current())
"""


pytestmark = pytest.mark.usefixtures("workers")


def _tick(engine: Engine) -> None:
    reconcile.tick(engine, settings.current())


def _tick_elsewhere() -> None:
    """One look by a process that knows nothing yet, as after a restart of the server."""
    subprocess.run([sys.executable, "-c", TICK], cwd=ROOT, check=True, timeout=PATIENCE)


def _state(engine: Engine, job: Job) -> JobState:
    with reading(engine) as session:
        return jobs.get(session, job.id).state


def _after_a_look(engine: Engine, job: Job) -> JobState:
    _tick(engine)
    return _state(engine, job)


def _message(engine: Engine, job: Job) -> str:
    with reading(engine) as session:
        return str(jobs.get(session, job.id).message)


def _directory(job: Job) -> Path:
    return jobs.folder(settings.current(), job.id)


def _workers(job: Job) -> list[psutil.Process]:
    """The living processes that carry a job's token."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(evidence.RUN_TOKEN) == job.id:
                found.append(process)
        except psutil.Error:
            continue
    return [one for one in found if one.status() != psutil.STATUS_ZOMBIE]


def _running(engine: Engine) -> tuple[tuned.Frozen, Job]:
    """A run whose worker has said that it lives, and is still loading its libraries."""
    story = tuned.frozen(engine, 12)
    job = tuned.launched(engine, story)
    _tick(engine)
    until(lambda: (_directory(job) / "launch.json").exists())
    assert _state(engine, job) is JobState.RUNNING
    return story, job


def _kill(job: Job) -> None:
    launch = evidence.read_json(_directory(job) / "launch.json")
    assert launch is not None
    os.kill(int(launch["pid"]), signal.SIGKILL)


@pytest.mark.usefixtures("model_code")
def test_a_killed_worker_is_lost_at_the_next_look(engine: Engine) -> None:
    _story, job = _running(engine)
    _kill(job)
    until(lambda: _after_a_look(engine, job) is JobState.LOST)
    assert "ended without a result" in _message(engine, job)
    assert not _workers(job)


@pytest.mark.usefixtures("model_code")
def test_a_restarted_server_finds_the_true_state(engine: Engine) -> None:
    """The process that started the worker is gone; new ones look at the files."""
    story = tuned.frozen(engine, 12)
    job = tuned.launched(engine, story)
    _tick_elsewhere()
    until(lambda: (_directory(job) / "launch.json").exists())
    _tick_elsewhere()
    assert _state(engine, job) is JobState.RUNNING
    assert len(_workers(job)) == 1
    _kill(job)
    until(lambda: not evidence.alive(_directory(job)))
    _tick_elsewhere()
    assert _state(engine, job) is JobState.LOST


@pytest.mark.usefixtures("model_code")
def test_a_final_state_never_changes(engine: Engine) -> None:
    _story, job = _running(engine)
    _kill(job)
    until(lambda: _after_a_look(engine, job) is JobState.LOST)
    evidence.finish(_directory(job), "finished", "Too late.", {})
    _tick(engine)
    assert _state(engine, job) is JobState.LOST


@pytest.mark.usefixtures("model_code")
def test_cancel_ends_the_process_and_all_it_started(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that does not stop by itself in time is terminated, with its whole group."""
    monkeypatch.setattr(processes, "CANCEL_SECONDS", 0.2)
    monkeypatch.setattr(processes, "TERM_SECONDS", 5.0)
    story, job = _running(engine)
    with writing(engine) as session:
        asks.cancel(session, story.lead, job.id, settings.current())
    _tick(engine)
    assert _state(engine, job) is JobState.CANCELLED
    assert not _workers(job)
    with writing(engine) as session, pytest.raises(RuleBroken, match="already cancelled"):
        asks.cancel(session, story.lead, job.id, settings.current())


@pytest.mark.usefixtures("model_code")
def test_cancel_of_a_dead_run_succeeds_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "CANCEL_SECONDS", 10 * PATIENCE)  # who waits, hangs
    story, job = _running(engine)
    _kill(job)
    until(lambda: not evidence.alive(_directory(job)))
    with writing(engine) as session:
        asks.cancel(session, story.lead, job.id, settings.current())
    _tick(engine)
    assert _state(engine, job) is JobState.CANCELLED


def test_a_cancelled_job_in_the_queue_never_starts(engine: Engine) -> None:
    story = tuned.frozen(engine, 12)
    job = tuned.launched(engine, story)
    with writing(engine) as session:
        asks.cancel(session, story.lead, job.id, settings.current())
    _tick(engine)
    assert _state(engine, job) is JobState.CANCELLED
    assert not (_directory(job) / "train.log").exists()


def test_who_may_cancel_what(engine: Engine) -> None:
    story = tuned.frozen(engine, 12)
    job = tuned.launched(engine, story)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    ida = stories.person(engine, "ida", Role.ADMIN)
    here = settings.current()
    with writing(engine) as session:
        with pytest.raises(RuleBroken, match="Only a lead can cancel a training run"):
            asks.cancel(session, ben, job.id, here)
        with pytest.raises(NotAllowed):
            asks.cancel(session, ida, job.id, here)
        with pytest.raises(NotFound, match="There is no job"):
            asks.cancel(session, story.lead, "none", here)


def test_a_process_that_never_reported_never_started(engine: Engine) -> None:
    story = tuned.frozen(engine, 12)
    job = tuned.launched(engine, story)
    tuned.running(engine, job)
    _tick(engine)
    assert _state(engine, job) is JobState.RUNNING
    old = time.time() - reconcile.START_SECONDS - 1
    os.utime(_directory(job) / "spec.json", (old, old))
    _tick(engine)
    assert _state(engine, job) is JobState.FAILED
    assert "never started" in _message(engine, job)


@pytest.mark.usefixtures("model_code")
def test_two_looks_at_once_start_one_worker(engine: Engine) -> None:
    story = tuned.frozen(engine, 12)
    job = tuned.launched(engine, story)
    looks = [threading.Thread(target=_tick, args=(engine,)) for _ in range(6)]
    for look in looks:
        look.start()
    _tick_elsewhere()
    for look in looks:
        look.join(timeout=PATIENCE)
    until(lambda: (_directory(job) / "launch.json").exists())
    (worker,) = _workers(job)
    assert worker.nice() >= priority.POLITE, "pages go first"
    assert _state(engine, job) is JobState.RUNNING


def test_two_launches_at_once_are_one_run(engine: Engine) -> None:
    story = tuned.frozen(engine, 12)
    tuned.waive(engine, story.lead, story.project)
    refused: list[str] = []

    def launch() -> None:
        wish = runs.RunPlan(story.version.id, "run", settings=Lora(epochs=1))
        try:
            with writing(engine) as session:
                asks.launch(session, story.lead, wish)
        except RuleBroken as error:
            refused.append(str(error))

    clicks = [threading.Thread(target=launch) for _ in range(4)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join(timeout=PATIENCE)
    assert len(refused) == 3
    with reading(engine) as session:
        assert len(jobs.listing(session, story.project.id, JobKind.TRAIN)) == 1


@pytest.mark.usefixtures("model_code")
def test_one_job_runs_at_a_time_and_says_what_the_next_waits_for(engine: Engine) -> None:
    story, job = _running(engine)
    with writing(engine) as session:
        packaged = BaseModel("packaged")
        waiting = asks.evaluate(session, story.lead, story.version.id, packaged, None)
        assert [one.id for one in jobs.ahead(session, waiting)] == [job.id]
        assert jobs.ahead(session, job) == []
    _tick(engine)
    assert _state(engine, waiting) is JobState.QUEUED
    assert not _directory(waiting).exists()


@pytest.mark.usefixtures("model_code")
def test_a_worker_gets_no_secrets_of_the_server(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_SERVER", "hush")
    _story, job = _running(engine)
    inside = _workers(job)[0].environ()
    assert "A_SECRET_OF_THE_SERVER" not in inside
    assert inside[evidence.RUN_TOKEN] == job.id


@pytest.mark.usefixtures("model_code")
def test_a_run_outlives_the_server_and_becomes_an_adapter(engine: Engine, tmp_path: Path) -> None:
    """A tiny model trained for real: queued here, started by one process, taken in by another."""
    base = BaseModel("folder", str(tiny(tmp_path / "small")))
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    with writing(engine) as session:
        wish = runs.RunPlan(story.version.id, "For real", base, Lora(epochs=2, batch_size=4))
        job = asks.launch(session, story.lead, wish)
    _tick_elsewhere()
    until(lambda: evidence.read_result(_directory(job)) is not None)
    until(lambda: not evidence.alive(_directory(job)))
    assert _state(engine, job) is JobState.RUNNING
    _tick_elsewhere()
    assert _state(engine, job) is JobState.FINISHED, _message(engine, job)
    with reading(engine) as session:
        adapter = adapters.listing(session, story.project.id)[0]
        adapter_files.package(session, adapter.id, settings.current())
    assert adapter.card["result"]["version_sha256"] == story.version.sha256
    assert adapter.card["result"]["steps"] == 8
    log = (_directory(job) / "train.log").read_text()
    assert "Ticket" not in log


def test_a_job_that_ended_while_somebody_else_saved_is_taken_in_by_the_next_look(
    engine: Engine,
) -> None:
    story = tuned.frozen(engine, 20)
    spec = {"version_id": story.version.id, "name": "Run", "base": {"kind": "packaged"}}
    with writing(engine) as session:
        job = jobs.queue(session, story.lead, story.project.id, JobKind.TRAIN, spec)
    folder = tuned.running(engine, job)
    evidence.finish(folder, "failed", "The loss is no number.")
    with locked(engine):
        reconcile.tick(engine, settings.current())
    assert _state(engine, job) is JobState.RUNNING
    reconcile.tick(engine, settings.current())
    assert _state(engine, job) is JobState.FAILED
    assert _message(engine, job) == "The loss is no number."
