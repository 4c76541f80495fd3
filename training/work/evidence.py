"""The files by which a job process shows what it is doing; its state is decided from them alone.

A job directory holds `spec.json` (the launcher's), `launch.json`, `heartbeat.json`, `events.jsonl`,
`run.lock` and `result.json` (the worker's), `cancel.requested` and `stop.requested` (anyone's), and
what `checkpoints` tells of. The worker holds a lock on `run.lock` for as long as it lives, so that
"alive" needs no trust in process ids. A lock on a network file system may not be seen by another
host.
"""

import json
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import psutil
from msgspec import structs

from curation import strict_json
from storage import locks, plain_files, synced
from storage.errors import BadInput, RuleBroken
from storage.types import JobState
from training.records.record import written
from training.records.results import Ended
from training.records.running import Heartbeat, Launch, ProgressLine
from training.work import machine

RUN_TOKEN = "ASSAY_RUN"  # noqa: S105 - the name of an environment variable
"""Environment variable that marks every process of a job, for the sweep after a cancel."""

_HEARTBEAT_SECONDS = 5.0
_LOCK_SECONDS = 3.0
MOST_BYTES = 256 << 20
"""A file of lines that a job leaves may be so large."""
_CHUNK = 1 << 20
_JSON_BYTES = 16 << 20
_ALL_EVENTS_BYTES = 64 << 20
_MESSAGE_CHARACTERS = 1000
_ENDS = frozenset(state for state in JobState if state.final)
_SPOILT = "What the job wrote of its end cannot be taken in."

T = TypeVar("T")


class Cancelled(Exception):
    """Raised by work that stops between two steps because someone asked for it."""


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


def publish(temporary: Path, final: Path) -> None:
    """Rename a finished file or folder to its name and force the rename to the disk."""
    temporary.rename(final)
    synced.sync(final.parent)


@contextmanager
def new_folder(final: Path, prefix: str) -> Iterator[Path]:
    """An empty folder that gets its name once the block ended well and all in it is on the disk,
    and goes where it did not.
    """
    temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=final.parent))
    try:
        yield temporary
        synced.sync_all(temporary)
        publish(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write a JSON object whole or not at all. Non-finite numbers are refused."""
    synced.write(path, json.dumps(value, allow_nan=False, ensure_ascii=False).encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a plain file; None where there is none that can be read."""
    try:
        return _object(path)
    except (FileNotFoundError, BadInput):
        return None


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a plain file.

    Raises:
        FileNotFoundError: there is no such file.
        BadInput: it is no plain file, too large, or holds something else.
    """
    try:
        value = strict_json.loads(plain_files.read(path, _JSON_BYTES).decode())
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name} is no text.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path.name} holds no JSON object.")
    return value


def read(kind: type[T], path: Path) -> T | None:
    """The record in a plain file; None where there is none, or another."""
    try:
        return msgspec.json.decode(plain_files.read(path, _JSON_BYTES), type=kind)
    except (FileNotFoundError, BadInput, msgspec.DecodeError, RecursionError):
        return None


def boot_id() -> str:
    """What changes when the machine restarts."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(int(psutil.boot_time()))


def cancel_requested(directory: Path) -> bool:
    """Whether someone asked the job to stop at its next step."""
    return (directory / "cancel.requested").exists()


def request_cancel(directory: Path) -> None:
    """Ask the job to stop at its next step."""
    synced.write(directory / "cancel.requested", now().encode())


def stop_requested(directory: Path) -> bool:
    """Whether someone asked the run to stop at its next step and keep what it learnt."""
    return (directory / "stop.requested").exists()


def request_stop(directory: Path) -> None:
    """Ask the run to stop at its next step and keep what it learnt."""
    synced.write(directory / "stop.requested", now().encode())


def read_result(directory: Path) -> dict[str, Any] | None:
    """How the job ended; None while it has not said so. A result that cannot be read, or that names
    no end, is a failure.
    """
    try:
        result = _object(directory / "result.json")
        if msgspec.convert(result, Ended).state not in _ENDS:
            raise BadInput("result.json names no way in which a job ends.")
    except FileNotFoundError:
        return None
    except (BadInput, msgspec.ValidationError) as error:
        reason = str(error) if isinstance(error, BadInput) else "result.json has other keys."
        return {"state": "failed", "message": f"{_SPOILT} {reason} Start it again."}
    return result


def read_events(directory: Path, offset: int = 0) -> tuple[list[ProgressLine], int]:
    """Whole progress lines from a byte offset, and the offset to go on from.

    A half-written last line is left for the next call; at most a megabyte is read at a time.
    """
    try:
        with plain_files.opened(directory / "events.jsonl") as file:
            file.seek(offset)
            chunk = file.read(_CHUNK)
    except (FileNotFoundError, BadInput):
        return [], offset
    end = chunk.rfind(b"\n") + 1
    if end == 0 and len(chunk) == _CHUNK:
        end = _CHUNK
    events = (_parsed(line) for line in chunk[:end].splitlines())
    return [event for event in events if event is not None], offset + end


def every_event(directory: Path) -> Iterator[ProgressLine]:
    """All whole progress lines, of a flood the first 64 MB."""
    offset, end = 0, -1
    while end < offset < _ALL_EVENTS_BYTES:
        end = offset
        events, offset = read_events(directory, offset)
        yield from events


def copy_events(source: Path, directory: Path, step: int) -> None:
    """Give a job the measured progress lines of another up to a step, marked as `earlier`."""
    lines = (
        _line(structs.replace(event, earlier=True))
        for event in every_event(source)
        if event.step <= step and event.message is None
    )
    synced.write(directory / "events.jsonl", "".join(lines).encode())


def _line(event: ProgressLine) -> str:
    return json.dumps(written(event), allow_nan=False, ensure_ascii=False) + "\n"


def _parsed(line: bytes) -> ProgressLine | None:
    """One progress line, or None where a crash tore it."""
    try:
        return msgspec.json.decode(line, type=ProgressLine)
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_locked(lock: Path) -> bool:
    """Whether a living worker holds the job's lock; what is no plain file is nobody's lock."""
    return lock.is_file() and not lock.is_symlink() and locks.busy(lock)


def _runs_still(launch: Launch) -> bool:
    """Whether the very process that wrote `launch.json` still runs (not another with its
    number).
    """
    if launch.boot_id != boot_id():
        return False
    try:
        process = psutil.Process(launch.pid)
        began_then = abs(process.create_time() - launch.create_time) < 1
        return began_then and bool(process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, ValueError, OverflowError):
        return False


def age(path: Path) -> float:
    """Seconds since a file was written; endless where there is none.

    A file of the future tells that the clock was set back by so much. It counts as that old:
    below zero, whatever waits for an age would wait until the clock is there again.
    """
    try:
        return abs(time.time() - path.lstat().st_mtime)
    except OSError:
        return math.inf


def alive(directory: Path) -> bool:
    """Whether a worker is at this job now: it holds the lock, or it runs and has not said how it
    ended.
    """
    if _is_locked(directory / "run.lock"):
        return True
    launch = read(Launch, directory / "launch.json")
    return launch is not None and read_result(directory) is None and _runs_still(launch)


def finish(
    directory: Path, state: str, message: str, detail: Mapping[str, object] | None = None
) -> None:
    """Say how the job ended. The first word stands: a final state never changes."""
    if read_result(directory) is None:
        result = {**(detail or {}), "state": state, "message": message, "at": now()}
        write_json(directory / "result.json", result)


class Evidence:
    """A worker's hold on its job directory: lock, launch record, heartbeat, progress lines.

    Raises:
        RuleBroken: on entering, another process is at this job.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._step = 0
        self._total = 0
        self._moved = now()
        self._stopped = threading.Event()
        self._beat = threading.Thread(target=self._beats, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        lock = locks.take(self.directory / "run.lock", _LOCK_SECONDS)
        if lock is None:
            raise RuleBroken(
                f"Job {self.directory.name} is already being worked on by another process."
            )
        self._lock = lock
        try:
            self._write_launch()
            self._mend_events()
        except BaseException:
            lock.close()
            raise
        self._beat.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._beat.join()
        self._lock.close()

    def progress(
        self, step: int, total: int, message: str | None = None, **numbers: float | None
    ) -> None:
        """Add one progress line: loss, eval_loss, learning_rate, grad_norm, memory_mb,
        rows_a_second; None for what is not finite.
        """
        self._step, self._total = step, total
        self.moved()
        finite = {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in numbers.items()
        }
        sentence = message[:_MESSAGE_CHARACTERS] if message is not None else None
        line = ProgressLine(at=now(), step=step, total=total, message=sentence)
        event = structs.replace(line, **finite)
        with (self.directory / "events.jsonl").open("ab") as file:
            file.write(_line(event).encode())

    def say(self, message: str) -> None:
        """Add a progress line that only tells what happens now."""
        self.progress(self._step, self._total, message)

    def moved(self) -> None:
        """Let the heartbeat tell that the work goes on, where there is no progress line to add."""
        self._moved = now()

    def stop_requested(self) -> bool:
        """Whether someone asked this run to stop at its next step and keep what it learnt."""
        return stop_requested(self.directory)

    def cancel_requested(self) -> bool:
        """Whether someone asked this job to stop at its next step."""
        return cancel_requested(self.directory)

    def finish(self, state: str, message: str, detail: Mapping[str, object] | None = None) -> None:
        """Say how the job ended, and what its process took: seconds, and memory at its highest."""
        took = {"seconds": round(machine.lived(), 2), "peak_memory_mb": machine.peak_mb()}
        finish(self.directory, state, message, {**(detail or {}), "took": took})

    def _write_launch(self) -> None:
        launch = Launch(
            pid=os.getpid(),
            create_time=psutil.Process().create_time(),
            boot_id=boot_id(),
            token=os.environ.get(RUN_TOKEN, self.directory.name),
            at=now(),
        )
        write_json(self.directory / "launch.json", written(launch))

    def _mend_events(self) -> None:
        """End a line that a killed worker tore, so that the next one starts clean."""
        path = self.directory / "events.jsonl"
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")

    def _beats(self) -> None:
        """Show every five seconds that the process lives. A full disk must not end the
        heartbeat.
        """
        while True:
            with suppress(OSError):
                beat = Heartbeat(at=now(), step=self._step, total=self._total, moved=self._moved)
                write_json(self.directory / "heartbeat.json", written(beat))
            if self._stopped.wait(_HEARTBEAT_SECONDS):
                return
