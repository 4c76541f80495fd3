"""What is known here of a run that goes on at an endpoint: enough to find it again, never a pair.

`remote.json` is written before each step that costs something, so that a worker that takes over
finds the files and the job that are there already instead of sending and paying twice.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from storage import plain_files, synced
from storage.errors import BadInput, RuleBroken
from storage.types import Split
from training.work import evidence

_FILE = "remote.json"
_MOST_BYTES = 1 << 20
ENDED = frozenset({"succeeded", "failed", "cancelled"})
"""States of a job, by the published interface, that never change again."""


@dataclass(slots=True)
class RemoteRun:
    """A run at an endpoint as far as it came."""

    endpoint: str
    key: str
    """Id of the job here that began it; names its files there."""
    training_file: str | None = None
    validation_file: str | None = None
    job: str | None = None
    status: str | None = None
    """The endpoint's word; None before it has a job."""
    step: int = 0
    """Of the last figures that were taken over."""

    def save(self, directory: Path) -> None:
        """Write it whole or not at all."""
        evidence.write_json(directory / _FILE, asdict(self))

    def name(self, split: Split) -> str:
        """The name that the file of a split has at the endpoint."""
        return f"assay-{self.key}-{split.value}.jsonl"

    @property
    def files(self) -> list[str]:
        """Ids of the files that lie at the endpoint."""
        return [
            file_id for file_id in (self.training_file, self.validation_file) if file_id is not None
        ]

    @property
    def open(self) -> bool:
        """Whether the endpoint may still be at it."""
        return self.status not in ENDED

    @property
    def resumable(self) -> bool:
        """Whether there is something to take up again: a job that may still give a model."""
        return self.status not in ("failed", "cancelled")


def read(directory: Path) -> RemoteRun | None:
    """The record in a run directory; None where the run never came to its endpoint."""
    content = evidence.read_json(directory / _FILE)
    return None if content is None else msgspec.convert(content, RemoteRun)


def sha256(directory: Path) -> str:
    """Of the record, so that a run that goes on can say from what."""
    return hashlib.sha256(_content(directory)).hexdigest()


def _content(directory: Path) -> bytes:
    """The record as it lies there; empty where there is none that can be read."""
    try:
        return plain_files.read(directory / _FILE, _MOST_BYTES)
    except (FileNotFoundError, BadInput):
        return b""


def adopt(source: Path, expected: str, directory: Path) -> None:
    """Give a run the record of the one it goes on from.

    Raises:
        RuleBroken: the record is gone, or another than when the run was asked to go on.
    """
    content = _content(source)
    if hashlib.sha256(content).hexdigest() != expected:
        raise RuleBroken(
            "What was known of the run at its endpoint changed meanwhile. Ask it to go on again."
        )
    synced.write(directory / _FILE, content)


def left(directory: Path) -> str:
    """What may go on, and cost, at an endpoint after the process here has ended; empty where
    nothing does.
    """
    remote_run = read(directory)
    if remote_run is None or not remote_run.open or remote_run.training_file is None:
        return ""
    what = (
        f"its job {remote_run.job}"
        if remote_run.job
        else f"a job with files named assay-{remote_run.key[:8]}"
    )
    return (
        f" Endpoint {remote_run.endpoint} may still be at {what}: go on with this run to take it "
        "up again without paying twice, or cancel it there."
    )
