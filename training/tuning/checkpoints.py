"""Checkpoints of a run: whole and verified or not there, so that a killed run can go on exactly.

`checkpoints/checkpoint-<step>/` holds the files of one step and `MANIFEST.json` with the name, size
and sha256 of each; `checkpoints.json` beside the folder records the sha256 of every manifest.
Nothing in a checkpoint is read for training before both agree. What this does not catch: someone
who can write both.
"""

import errno
import hashlib
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from storage import plain_files, synced
from storage.errors import BadInput, RuleBroken, Unavailable
from training.records.record import JsonRecord, written
from training.work import evidence

RETAINED = 2
"""Verified checkpoints that are kept: the newest, and the one before should it be damaged."""
_MANIFEST = "MANIFEST.json"
_MANIFEST_BYTES = 1 << 20
_RECORD = "checkpoints.json"
_WORKING = ".working-"
_LIBRARIES = (
    "accelerate",
    "datasets",
    "peft",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
)
_MUST_MATCH = {
    "rows_sha256": "the pairs",
    "system_sha256": "the system message",
    "settings": "the settings",
    "base_sha256": "the base model",
    "libraries": "the versions of the libraries",
}
"""What must be as it was for a run to go on exactly, in words."""


class RunIdentity(JsonRecord, frozen=True, kw_only=True):
    """What must be the same for a run to go on exactly, and what it ran on; None where unknown."""

    rows_sha256: str | None = None
    system_sha256: str | None = None
    settings: dict[str, Any] | None = None
    base_sha256: str | None = None
    libraries: dict[str, str] | None = None
    hardware: dict[str, str | int | None] | None = None


class CheckpointFile(JsonRecord, frozen=True, kw_only=True):
    """A file of a checkpoint."""

    size: int
    sha256: str


class Manifest(JsonRecord, frozen=True, kw_only=True):
    """What a checkpoint holds, and of which run."""

    step: int
    run: RunIdentity
    files: dict[str, CheckpointFile]


class _Entry(msgspec.Struct):
    """A line of the record."""

    step: int
    sha256: str
    size: int


class _CheckpointRecord(msgspec.Struct):
    """What `_RECORD` holds: the checkpoints, newest first."""

    checkpoints: list[_Entry] = []


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One recorded checkpoint; its folder may be damaged or gone until `verify` says otherwise."""

    step: int
    sha256: str
    """Of its manifest."""
    size: int
    """Bytes of its files."""
    path: Path


@dataclass(frozen=True, slots=True)
class Rejected:
    """A checkpoint that was passed over, and why."""

    step: int
    why: str


def libraries() -> dict[str, str]:
    """The versions on which the exact figures of a run depend."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


def recorded(directory: Path) -> list[Checkpoint]:
    """The checkpoints of a run directory as recorded, newest first; verified by nobody yet."""
    record = evidence.read(_CheckpointRecord, directory / _RECORD) or _CheckpointRecord()
    checkpoints = [
        Checkpoint(entry.step, entry.sha256, entry.size, _path(directory, entry.step))
        for entry in record.checkpoints
    ]
    return sorted(checkpoints, key=lambda entry: entry.step, reverse=True)


def verify(checkpoint: Checkpoint) -> Manifest:
    """The manifest of a checkpoint whose every file is the one that was written.

    Raises:
        Unavailable: it is gone, or a file is missing, added, cut or changed.
    """
    manifest = _manifest(checkpoint)
    for name, entry in manifest.files.items():
        if _sha256(checkpoint.path / name) != entry.sha256:
            raise Unavailable(f"File {name} of checkpoint {checkpoint.step} has changed.")
    return manifest


def newest(directory: Path) -> tuple[Checkpoint | None, list[Rejected]]:
    """The newest checkpoint that verifies, and those passed over on the way to it."""
    refused: list[Rejected] = []
    for checkpoint in recorded(directory):
        try:
            verify(checkpoint)
        except Unavailable as error:
            refused.append(Rejected(checkpoint.step, str(error)))
        else:
            return checkpoint, refused
    return None, refused


def offered(directory: Path) -> Checkpoint | None:
    """The newest checkpoint that looks whole: names and sizes only, fast enough for a page."""
    for checkpoint in recorded(directory):
        try:
            _manifest(checkpoint)
        except Unavailable:
            continue
        return checkpoint
    return None


def differences(saved: RunIdentity, now: RunIdentity) -> list[str]:
    """What is no longer as it was when a checkpoint was written, in words.

    `now` leaves out (None) what the caller cannot know.
    """
    return [
        phrase
        for key, phrase in _MUST_MATCH.items()
        if getattr(now, key) not in (None, getattr(saved, key))
    ]


def check(checkpoint: Checkpoint, saved: RunIdentity, now: RunIdentity) -> None:
    """Refuse to go on where the rest of the run could not be the same.

    Raises:
        RuleBroken: rows, settings, base model or library versions differ.
    """
    changed = differences(saved, now)
    if changed:
        raise RuleBroken(
            f"The run cannot go on from step {checkpoint.step}: {' and '.join(changed)} changed "
            "since. Launch a new run."
        )


@contextmanager
def writing(directory: Path, step: int, run: RunIdentity) -> Iterator[Path]:
    """An empty folder for the files of a checkpoint, which becomes one when the block ends well.

    `run` is what must be the same to go on (`differences`). Older checkpoints are removed only
    after this one verified.

    Raises:
        OSError: the disk has less than twice the room that the last checkpoint took (ENOSPC).
    """
    before = recorded(directory)
    _need_room(directory, 2 * before[0].size if before else 0)
    folder = working(directory, step)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        _commit(directory, step, folder, run)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _rotate(directory)


def working(directory: Path, step: int) -> Path:
    """Where the files of a checkpoint lie until it is one."""
    return _path(directory, step).with_name(f"{_WORKING}{step}")


def adopt(source: Path, step: int, sha256: str, directory: Path) -> Checkpoint:
    """Copy a verified checkpoint into another run directory, so that it stands on its own.

    Raises:
        Unavailable: there is no such checkpoint, or it does not verify.
    """
    wanted = [
        checkpoint
        for checkpoint in recorded(source)
        if (checkpoint.step, checkpoint.sha256) == (step, sha256)
    ]
    if not wanted:
        raise Unavailable(f"Checkpoint {step} is gone. Go on from another, or launch a new run.")
    verify(wanted[0])
    _need_room(directory, 2 * wanted[0].size)
    folder = working(directory, step)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(wanted[0].path, folder)
    synced.sync_all(folder)
    _publish(directory, Checkpoint(step, sha256, wanted[0].size, folder))
    return find(directory, step, sha256)


def find(directory: Path, step: int, sha256: str) -> Checkpoint:
    """One checkpoint that verifies, by its step and the sha256 of its manifest.

    Raises:
        Unavailable: there is none, or it is damaged.
    """
    for checkpoint in recorded(directory):
        if (checkpoint.step, checkpoint.sha256) == (step, sha256):
            verify(checkpoint)
            return checkpoint
    raise Unavailable(f"Checkpoint {step} is gone. Go on from another, or launch a new run.")


def tidy(directory: Path, *, keep: bool) -> None:
    """Remove what a run left half-written; with `keep=False` its checkpoints as well."""
    folder = directory / "checkpoints"
    if not keep:
        (directory / _RECORD).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    recorded_paths = {checkpoint.path for checkpoint in recorded(directory)}
    leftovers = [checkpoint for checkpoint in folder.glob("*") if checkpoint not in recorded_paths]
    for leftover in (*leftovers, *directory.glob(".adapter-*"), directory / "trainer"):
        shutil.rmtree(leftover, ignore_errors=True)


def _path(directory: Path, step: int) -> Path:
    return directory / "checkpoints" / f"checkpoint-{step}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest(checkpoint: Checkpoint) -> Manifest:
    """The manifest, once it is the recorded one and names and sizes fit the folder."""
    where, step = checkpoint.path, checkpoint.step
    try:
        content = plain_files.read(where / _MANIFEST, _MANIFEST_BYTES)
        present = {file.name: file for file in where.iterdir() if file.name != _MANIFEST}
    except (OSError, BadInput) as error:
        raise Unavailable(f"Checkpoint {step} is missing or has no manifest.") from error
    if hashlib.sha256(content).hexdigest() != checkpoint.sha256:
        raise Unavailable(f"The manifest of checkpoint {step} is not the one that was recorded.")
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unavailable(f"The manifest of checkpoint {step} cannot be read.") from error
    if set(present) != set(manifest.files):
        raise Unavailable(f"Checkpoint {step} has files too few or too many.")
    for name, entry in manifest.files.items():
        file = present[name]
        if file.is_symlink() or not file.is_file() or file.stat().st_size != entry.size:
            raise Unavailable(f"File {name} of checkpoint {step} is not whole.")
    return manifest


def _need_room(directory: Path, size: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < size:
        raise OSError(
            errno.ENOSPC,
            f"{free // 1_000_000} MB are free and a checkpoint asks for {size // 1_000_000 + 1} MB",
        )


def _commit(directory: Path, step: int, working: Path, run: RunIdentity) -> None:
    """Force the files to the disk, describe them, give the folder its name, and read it back."""
    synced.sync_all(working)
    files = {
        file.name: CheckpointFile(size=file.stat().st_size, sha256=_sha256(file))
        for file in sorted(working.iterdir())
    }
    evidence.write_json(working / _MANIFEST, written(Manifest(step=step, run=run, files=files)))
    size = sum(file.stat().st_size for file in working.iterdir())
    committed = Checkpoint(step, _sha256(working / _MANIFEST), size, working)
    _publish(directory, committed)
    find(directory, step, committed.sha256)


def _publish(directory: Path, published: Checkpoint) -> None:
    """Record, then rename: a crash between leaves a record without a folder, which is passed
    over, never a folder that nobody vouches for.
    """
    final = _path(directory, published.step)
    shutil.rmtree(final, ignore_errors=True)
    remaining = [
        checkpoint for checkpoint in recorded(directory) if checkpoint.step != published.step
    ]
    _record(directory, [published, *remaining])
    evidence.publish(published.path, final)


def _record(directory: Path, checkpoints: list[Checkpoint]) -> None:
    lines = [
        {"step": checkpoint.step, "sha256": checkpoint.sha256, "size": checkpoint.size}
        for checkpoint in checkpoints
    ]
    evidence.write_json(directory / _RECORD, {"checkpoints": lines})


def _rotate(directory: Path) -> None:
    checkpoints = recorded(directory)
    _record(directory, checkpoints[:RETAINED])
    for old in checkpoints[RETAINED:]:
        shutil.rmtree(old.path, ignore_errors=True)
