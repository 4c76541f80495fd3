"""What becomes of training runs that are killed, cancelled, starved of disk or lied to.

`python -m benchmarks.run_reliability --kills 50 --cancels 20 --servers 20` breaks real runs of a
tiny random model on the CPU and prints one line a kind of harm: how often the state came out true,
how often the newest verified checkpoint loaded, and how far the weights of a run that went on are
from those of the run that was never interrupted. Ten kills, five cancels and five server kills
take some minutes on 2 cores. It does not pull the plug: data that a disk only claims to have
written stays untested. A full disk is a real one (a tmpfs) where `unshare -rm` is allowed, else
that line is left out.
"""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from msgspec import UNSET
from sqlalchemy import Engine

from storage import migrate, settings
from storage.engine import open_engine, reading, writing
from storage.errors import RuleBroken
from storage.settings import ROOT
from storage.types import Job, JobKind, JobState
from tests.support import tuned
from tests.support.tiny_model import rows, tiny, training_job
from training import asks, reconcile, worker
from training.launch import runs
from training.records.parts import BaseModel
from training.settings import Lora
from training.tuning import checkpoints
from training.work import evidence, jobs

LINES = rows(26) + rows(7, "validation", first=100)
CHOSEN: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 4,
    "dropout": 0.2,
    "patience": 3,
    "checkpoint_steps": 1,
    "learning_rate": 0.03,
}
SERVER = """
from storage import settings
from storage.engine import open_engine
from training import reconcile
import threading
reconcile.forever(open_engine(settings.current().database), settings.current(), threading.Event())
"""
FULL = """
mount -t tmpfs -o size=$1 none $2 && cp -r $3/. $2 && "$4" -m training work $2
code=$?; rm -f $2/filler; cp -r $2/. $3; exit $code
"""
UNSHARE = shutil.which("unshare") or "/bin/false"
_FORKS = multiprocessing.get_context("forkserver")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    harm: str
    good: int
    of: int
    words: str = ""


def _until(done: Callable[[], bool], seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def _steps(directory: Path) -> int:
    return max(
        (e.step for e in evidence.read_events(directory)[0] if e.loss is not UNSET), default=0
    )


def _span(directory: Path) -> float:
    """Seconds from the first measured step to the last."""
    times = [e.at for e in evidence.read_events(directory)[0] if e.loss is not UNSET]
    first, last = (datetime.fromisoformat(at) for at in (times[0], times[-1]))
    return (last - first).total_seconds()


def _run(directory: Path) -> multiprocessing.process.BaseProcess:
    """A worker forked from a process that has its libraries loaded."""
    made = _FORKS.Process(target=worker.work, args=(directory,))
    made.start()
    return made


def _furthest(one: Path, other: Path) -> float:
    from safetensors.torch import load_file

    first, second = (load_file(d / "adapter" / "adapter_model.safetensors") for d in (one, other))
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def kills(folder: Path, base: Path, count: int, chance: random.Random) -> list[Line]:
    """SIGKILL at random moments, saves among them; each run then goes on to its end."""
    whole = training_job(folder / "whole", base, LINES, **CHOSEN)
    _run(whole).join()
    took = _span(whole)
    verified = same = half = 0
    furthest = 0.0
    for i in range(count):
        part = training_job(folder / f"part-{i}", base, LINES, **CHOSEN)
        child = _run(part)
        _until(lambda part=part: _steps(part) >= 1)  # type: ignore[misc]
        time.sleep(chance.uniform(0, took))
        child.kill()
        child.join()
        half += bool(list(part.glob("checkpoints/.working-*")))
        found, refused = checkpoints.newest(part)
        if found is None:
            continue
        verified += not refused or found.step > 0
        last = folder / f"last-{i}"
        last.mkdir()
        shutil.copy(part / "rows.jsonl", last)
        spec = evidence.read_json(part / "spec.json") or {}
        checkpoints.adopt(part, found.step, found.sha256, last)
        before = {"job": part.name, "step": found.step, "sha256": found.sha256}
        evidence.write_json(last / "spec.json", {**spec, "resumed_from": before})
        _run(last).join()
        if (evidence.read_result(last) or {}).get("state") == "finished":
            apart = _furthest(whole, last)
            furthest, same = max(furthest, apart), same + (apart == 0.0)
    return [
        Line(
            "kill -9 at a random moment: a checkpoint verifies",
            verified,
            count,
            f"{half} kills fell into a write",
        ),
        Line(
            "... and the run that goes on ends as the whole one",
            same,
            count,
            f"largest weight difference {furthest}",
        ),
    ]


def _launched(engine: Engine, story: tuned.Frozen, base: Path, epochs: int = 20) -> Job:
    """A run of some 800 short steps, so that it is still at it when it is harmed."""
    wish = runs.RunPlan(
        story.version.id,
        "Run",
        BaseModel("folder", str(base)),
        Lora(epochs=epochs, batch_size=1, checkpoint_steps=20, patience=0),
    )
    with writing(engine) as session:
        return asks.launch(session, story.lead, wish)


def _directory(job: Job) -> Path:
    return jobs.folder(settings.current(), job.id)


def _state(engine: Engine, job: Job) -> JobState:
    reconcile.tick(engine, settings.current())
    with reading(engine) as session:
        return jobs.get(session, job.id).state


LEAVING = 5.0
"""Seconds that a process of a cancelled run may take to end, its result already written."""


def _carriers(job: Job) -> int:
    """Living processes with the job's token."""
    found = 0
    for process in psutil.process_iter():
        try:
            named = process.environ().get(evidence.RUN_TOKEN) == job.id
            found += named and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
    return found


def _cancel(engine: Engine, story: tuned.Frozen, job: Job) -> bool:
    """Cancel and see it out; whether nothing at all is left of it."""
    with writing(engine) as session:
        asks.cancel(session, story.lead, job.id, settings.current())
    state = _state(engine, job)
    if state is not JobState.CANCELLED:
        print(f"     (the run was {state} when the cancel came)")
    left = [_directory(job) / name for name in ("checkpoints", "checkpoints.json", "adapter")]
    kept = [path.name for path in left if path.exists()]
    end = time.monotonic() + LEAVING
    while _carriers(job) and time.monotonic() < end:
        time.sleep(0.1)
    staying = _carriers(job)
    if kept or staying:
        print(f"     (left behind: {kept}, {staying} processes)")
    return state is JobState.CANCELLED and not kept and not staying


def cancels(engine: Engine, story: tuned.Frozen, base: Path, count: int) -> list[Line]:
    """Cancel a run that trains and has written checkpoints."""
    good, slowest = 0, 0.0
    for _ in range(count):
        job = _launched(engine, story, base)
        reconcile.tick(engine, settings.current())
        _until(lambda job=job: len(checkpoints.recorded(_directory(job))) > 0)  # type: ignore[misc]
        began = time.monotonic()
        good += _cancel(engine, story, job)
        slowest = max(slowest, time.monotonic() - began)
    words = f"no process after {LEAVING:.0f} s, no checkpoint, no adapter; slowest {slowest:.1f} s"
    return [Line("cancel", good, count, words)]


def servers(
    engine: Engine, story: tuned.Frozen, base: Path, count: int, chance: random.Random
) -> list[Line]:
    """Kill the process that keeps the states at random moments; the next one finds them true."""
    job = _launched(engine, story, base)
    good = 0
    for _ in range(count):
        server = subprocess.Popen([sys.executable, "-c", SERVER], cwd=ROOT)
        time.sleep(chance.uniform(1, 4))
        server.kill()
        server.wait()
        state = _state(engine, job)
        _until(lambda: evidence.alive(_directory(job)), 30)
        good += state is JobState.RUNNING and _carriers(job) == 1
    gone = _cancel(engine, story, job)
    return [
        Line(
            "server killed while a run trains: it trains on",
            good,
            count,
            "and is then cancelled" if gone else "BUT CANCEL LEFT SOMETHING",
        )
    ]


def lies(engine: Engine, story: tuned.Frozen, base: Path) -> list[Line]:
    """Two launches at once, a worker's number taken by another process, another boot."""
    refused: list[str] = []

    def launch() -> None:
        try:
            _launched(engine, story, base)
        except RuleBroken as error:
            refused.append(str(error))

    clicks = [threading.Thread(target=launch) for _ in range(4)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    lines = [Line("four launches at once: one runs", len(refused), 3)]
    with reading(engine) as session:
        job = jobs.listing(session, story.project.id, JobKind.TRAIN)[0]
    _cancel(engine, story, job)
    me = psutil.Process()
    claims = {
        "the worker's number is another process now": {"create_time": me.create_time() - 500},
        "the machine restarted since": {"create_time": me.create_time(), "boot_id": "other"},
    }
    for harm, claim in claims.items():
        job = _launched(engine, story, base)
        directory = tuned.running(engine, job)
        launch_json = {"pid": me.pid, "boot_id": evidence.boot_id(), "at": evidence.now()} | claim
        evidence.write_json(directory / "launch.json", launch_json)
        lines.append(
            Line(harm, int(_state(engine, job) is JobState.LOST), 1, "lost, and no signal")
        )
    return lines


def whole_way(engine: Engine, story: tuned.Frozen, base: Path) -> list[Line]:
    """Through the verbs: killed, lost, gone on with, finished, an adapter with both runs named."""
    job = _launched(engine, story, base, epochs=4)
    reconcile.tick(engine, settings.current())
    _until(lambda: len(checkpoints.recorded(_directory(job))) == 2)
    began = time.monotonic()
    launch = evidence.read_json(_directory(job) / "launch.json") or {}
    os.kill(int(launch["pid"]), signal.SIGKILL)
    lost = _until(lambda: _state(engine, job) is JobState.LOST, 60)
    took = time.monotonic() - began
    with writing(engine) as session:
        again = asks.resume(session, story.lead, job.id, settings.current())
    for latest in reconcile.finish_all(engine, settings.current(), again.id):
        again = latest
    named = ((again.result or {}).get("resumed_from") or {}).get("job") == job.id
    good = lost and again.state is JobState.FINISHED and named
    return [Line("killed, lost, gone on with, finished", int(good), 1, f"lost after {took:.1f} s")]


def numbers(folder: Path, engine: Engine) -> list[Line]:
    """A loss that is no number."""
    del engine
    poisoned = tiny(folder / "poisoned", poison=True)
    directory = training_job(folder / "nan", poisoned, LINES, **CHOSEN)
    _run(directory).join()
    result = evidence.read_result(directory) or {}
    good = result.get("state") == "failed" and bool(result.get("diverged"))
    return [Line("a loss that is no number", int(good), 1, str(result.get("message")))]


def full_disk(folder: Path, base: Path) -> list[Line]:
    """The disk is full in the first save, or too small for the next one."""
    allowed = subprocess.run([UNSHARE, "-rm", "true"], check=False, capture_output=True)
    if allowed.returncode:
        return []
    lines = []
    for harm, size in (
        ("disk full within a save", "100k"),
        ("too little room for a second one", "200k"),
    ):
        directory = training_job(folder / f"full-{size}", base, LINES, **CHOSEN)
        mount = folder / f"mount-{size}"
        mount.mkdir()
        done = subprocess.run(
            [
                UNSHARE,
                "-rm",
                "/bin/sh",
                "-c",
                FULL,
                "sh",
                size,
                str(mount),
                str(directory),
                sys.executable,
            ],
            cwd=ROOT,
            check=False,
            capture_output=True,
        )
        result = evidence.read_result(directory) or {}
        _found, refused = checkpoints.newest(directory)
        good = done.returncode == worker.DISK_FULL and not refused
        lines.append(Line(harm, int(good), 1, f"exit {done.returncode}; {result.get('message')}"))
    return lines


def main(
    kill: Annotated[int, typer.Option("--kills")] = 10,
    cancel: Annotated[int, typer.Option("--cancels")] = 5,
    server: Annotated[int, typer.Option("--servers")] = 5,
    seed: int = 7,
) -> None:
    """Break runs and print the table."""
    chance = random.Random(seed)
    _FORKS.set_forkserver_preload(["training.tuning.sft"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["ASSAY_DATA"] = str(folder / "data")
        (folder / "data").mkdir()
        engine = open_engine(settings.current().database)
        migrate.upgrade(engine)
        base = tiny(folder / "small")
        story = tuned.frozen(engine, 60)
        tuned.waive(engine, story.lead, story.project)
        parts: list[Callable[[], list[Line]]] = [
            lambda: kills(folder, base, kill, chance),
            lambda: whole_way(engine, story, base),
            lambda: cancels(engine, story, base, cancel),
            lambda: servers(engine, story, base, server, chance),
            lambda: lies(engine, story, base),
            lambda: numbers(folder, engine),
            lambda: full_disk(folder, base),
        ]
        print(
            f"seed {seed}; python {sys.version.split()[0]}, torch "
            f"{checkpoints.libraries()['torch']}, {os.cpu_count()} cores"
        )
        for part in parts:
            for line in part():
                print(f"{line.good:3} of {line.of:3}  {line.harm}  {line.words}", flush=True)


if __name__ == "__main__":
    typer.run(main)
