"""Hostile or broken job folders: each spoils its own job, and all others go on."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pages.parts import progress
from storage import locks, settings
from storage.engine import reading, writing
from storage.tables import EventRow
from storage.types import Job, JobKind, JobState
from tests.support import tuned
from tests.support.patience import until
from training import reconcile
from training.tuning import checkpoints
from training.work import evidence, jobs, processes

Spoil = Callable[[Path], object]
ALIVE = {"pid": os.getpid(), "create_time": 1.0, "boot_id": "x", "at": evidence.now()}


def _file(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content)


def _huge(name: str) -> Spoil:
    """A gigabyte that takes no room on the disk."""

    def spoil(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(1 << 30)

    return spoil


def _result(**values: object) -> Spoil:
    return _file("result.json", json.dumps({"state": "finished", "message": "x"} | values).encode())


RESULTS: dict[str, Spoil] = {
    "deep": _file("result.json", b"[" * 200_000),
    "deep inside": _file("result.json", b'{"state": "finished", "x": ' + b"[" * 90_000),
    "not text": _file("result.json", b"\xff\xfe\x00state"),
    "empty": _file("result.json", b""),
    "a list": _file("result.json", b"[1]"),
    "a gigabyte": _huge("result.json"),
    "a pipe": lambda folder: os.mkfifo(folder / "result.json"),
    "a link": lambda folder: (folder / "result.json").symlink_to(folder / "spec.json"),
    "a link to itself": lambda folder: (folder / "result.json").symlink_to("result.json"),
    "a folder": lambda folder: (folder / "result.json").mkdir(),
    "running": _result(state="running"),
    "queued": _result(state="queued"),
    "no state of a job": _result(state="won"),
    "no state": _file("result.json", b"{}"),
    "a state that is none": _result(state=["finished"]),
    "not a number": _file("result.json", b'{"state": "finished", "train_loss": NaN}'),
    "an endless number": _file("result.json", b'{"state": "finished", "seconds": 1e999}'),
    "a long number": _file("result.json", b'{"state": "failed", "exit": ' + b"9" * 6000 + b"}"),
    "half a character": _file("result.json", b'{"state": "failed", "message": "\\ud800"}'),
    "a message that is none": _result(state="failed", message={"a": 1}),
    "rows of a wrong kind": _result(rows="many", steps="ten"),
    "an adapter elsewhere": _result(adapter_files={"../../x": "0" * 64}, adapter_sha256="0"),
    "no adapter": _result(),
    "no result, and a remote of wrong kinds": lambda folder: (
        (folder / "launch.json").write_text(json.dumps(ALIVE)),
        (folder / "remote.json").write_text('{"endpoint": {}}'),
    ),
}
BESIDE: dict[str, Spoil] = {
    "a pipe as launch": lambda folder: os.mkfifo(folder / "launch.json"),
    "a launch of wrong kinds": _file("launch.json", b'{"pid": "x", "create_time": []}'),
    "a number beyond all processes": _file(
        "launch.json", json.dumps(ALIVE | {"pid": 10**30}).encode()
    ),
    "a pipe as lock": lambda folder: os.mkfifo(folder / "run.lock"),
    "a folder as lock": lambda folder: (folder / "run.lock").mkdir(),
    "a pipe as log": lambda folder: os.mkfifo(folder / "train.log"),
    "deep trackers": _file("trackers.json", b'{"mlflow": ' * 5000),
    "trackers of wrong kinds": _file("trackers.json", b'{"mlflow": 7}'),
    "deep remote": _file("remote.json", b"[" * 200_000),
    "a remote of wrong kinds": _file("remote.json", b'{"endpoint": {}}'),
    "checkpoints of wrong kinds": _file("checkpoints.json", b'{"checkpoints": [7, {}]}'),
}
PROGRESS: dict[str, Spoil] = {
    "a pipe": lambda folder: os.mkfifo(folder / "events.jsonl"),
    "a link": lambda folder: (folder / "events.jsonl").symlink_to("/etc/passwd"),
    "a folder": lambda folder: (folder / "events.jsonl").mkdir(),
    "deep": _file("events.jsonl", b"[" * 90_000 + b"\n"),
    "no numbers": _file("events.jsonl", b'{"step": 1, "loss": NaN}\n{"step": "x"}\nnull\n'),
    "no times": _file("events.jsonl", b'{"at": "soon", "step": 1, "loss": 1.0}\n' * 3),
    "times without a zone": _file("events.jsonl", b'{"at": "2026-01-01", "step": 1}\n' * 3),
    "a pipe as heartbeat": lambda folder: os.mkfifo(folder / "heartbeat.json"),
    "a heartbeat without a time": _file("heartbeat.json", b'{"at": "never"}'),
    "a deep heartbeat": _file("heartbeat.json", b"[" * 90_000),
    "a launch without a time": _file("launch.json", json.dumps(ALIVE | {"at": "x"}).encode()),
}


def _run(engine: Engine, story: tuned.Frozen, kind: JobKind = JobKind.TRAIN) -> tuple[Job, Path]:
    """A job that waits to be looked at, and its folder."""
    spec = {"version_id": story.version.id, "name": "Run", "base": {"kind": "packaged"}}
    with writing(engine) as session:
        job = jobs.queue(session, story.lead, story.project.id, kind, spec)
    return job, tuned.running(engine, job)


def _after(engine: Engine, job: Job) -> Job:
    with reading(engine) as session:
        return jobs.get(session, job.id)


def test_a_spoilt_folder_spoils_its_own_job_only(engine: Engine) -> None:
    """One look ends the spoilt run with a sentence, and the job after it as that job says."""
    story = tuned.frozen(engine, 12)
    for name, spoil in (RESULTS | BESIDE).items():
        spoilt, directory = _run(engine, story)
        if name in BESIDE:
            evidence.finish(directory, "failed", "It broke.")
        spoil(directory)
        other, directory = _run(engine, story, JobKind.DRAFT)
        evidence.finish(directory, "failed", "The disk is full.")
        for _ in range(2):
            reconcile.tick(engine, settings.current(), wait=False)
        ended = _after(engine, spoilt)
        assert (name, ended.state) == (name, JobState.FAILED)
        assert (name, str(ended.message)[-1]) == (name, ".")
        assert (name, _after(engine, other).message) == (name, "The disk is full.")
    with reading(engine) as session:
        ends = session.query(EventRow).filter(EventRow.verb == "job_failed").count()
    assert ends == 2 * len(RESULTS | BESIDE), "each end is told once"


def test_a_process_that_does_not_stop_holds_up_no_other_job(engine: Engine) -> None:
    """Somebody cancelled a run whose process goes on; a job that ends meanwhile is taken in."""
    story, here, stop = tuned.frozen(engine, 12), settings.current(), threading.Event()
    stubborn, directory = _run(engine, story)
    lock = locks.take(directory / "run.lock")
    assert lock is not None
    evidence.request_cancel(directory)
    server = threading.Thread(target=reconcile.forever, args=(engine, here, stop))
    server.start()
    until(lambda: any(thread.name.startswith("leaving-") for thread in threading.enumerate()))
    other, directory = _run(engine, story, JobKind.DRAFT)
    evidence.finish(directory, "failed", "The disk is full.")
    until(lambda: _after(engine, other).state is JobState.FAILED)
    assert _after(engine, stubborn).state is JobState.RUNNING
    lock.close()
    until(lambda: _after(engine, stubborn).state is JobState.CANCELLED)
    stop.set()
    server.join()


def test_what_a_page_reads_of_a_spoilt_folder_is_nothing(engine: Engine) -> None:
    job, directory = _run(engine, tuned.frozen(engine, 12))
    for spoil in PROGRESS.values():
        spoil(directory)
        progress.read(job)
        progress.gauges(job)
        assert all(point["validation"] is None for point in progress.curve(job))
        shutil.rmtree(directory)
        directory.mkdir()


def test_a_checkpoint_whose_manifest_is_none_is_passed_over(tmp_path: Path) -> None:
    """Pages ask for the newest whole one: what lies in its place holds up nobody."""
    deep = b"[" * 90_000
    told = {"step": 5, "sha256": hashlib.sha256(deep).hexdigest(), "size": 1}
    evidence.write_json(tmp_path / checkpoints._RECORD, {"checkpoints": [told]})
    manifest = tmp_path / "checkpoints" / "checkpoint-5" / checkpoints._MANIFEST
    manifest.parent.mkdir(parents=True)
    os.mkfifo(manifest)
    assert checkpoints.offered(tmp_path) is None
    manifest.unlink()
    manifest.write_bytes(deep)
    assert checkpoints.offered(tmp_path) is None


def test_a_flood_of_progress_is_read_to_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "_ALL_EVENTS_BYTES", 3 << 20)
    (tmp_path / "events.jsonl").write_bytes((b'{"step": 1}' + b" " * 1012 + b"\n") * (8 << 10))
    assert 3 << 10 <= sum(1 for _ in evidence.every_event(tmp_path)) < 5 << 10


def test_a_folder_that_names_another_process_does_not_end_it(tmp_path: Path) -> None:
    """Of a cancelled job: what its folder says is its process may be the server itself."""
    server = {**ALIVE, "create_time": 0.0, "boot_id": evidence.boot_id()}
    evidence.write_json(tmp_path / "launch.json", server)
    assert not processes._carries(os.getpid(), "a-job")
