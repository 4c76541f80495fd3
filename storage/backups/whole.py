"""A whole backup: the database with the files of jobs, versions and adapters, and their hashes.

Files that did not change since the backup before are the same file on the disk (a hard link), so
each backup is whole and takes only the room of what is new. What it leaves out: base models, which
can be fetched again, checkpoints of runs, and exports outside the data folder.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from storage import folder, locks, synced, troubles
from storage.backups import copying, manifest, proof
from storage.backups.manifest import BackupManifest, FileEntry, WholeBackup
from storage.engine import open_readonly
from storage.errors import BadInput, Unavailable
from storage.settings import Settings

_LEFT_OUT = frozenset({"checkpoints", "run.lock", "heartbeat.json"})
"""Of a job's folder: what only a running process needs."""


def make(engine: Engine, settings: Settings, into: Path, purpose: str) -> WholeBackup:
    """Make a backup in a folder of backups: it gets its name once all of it is proven.

    Raises:
        Unavailable: another one is being made, the disk has too little room, or what was written
            does not verify.
    """
    with troubles.spoken(into), _alone(into):
        _sweep(into)
        backups = manifest.listing(into)
        former = backups[0] if backups else None
        half = into / f".{_name(into)}.half"
        try:
            written = _fill(engine, settings, half, former, purpose)
            final = half.with_name(half.name.removeprefix(".").removesuffix(".half"))
            half.rename(final)
        finally:
            shutil.rmtree(half, ignore_errors=True)
        synced.sync(into)
        return WholeBackup(final, written)


@contextmanager
def _alone(into: Path) -> Iterator[None]:
    into.mkdir(parents=True, exist_ok=True)
    lock = locks.take(into / ".backup.lock")
    if lock is None:
        raise Unavailable(f"Another backup into {into} is being made. Wait until it is done.")
    with lock:
        yield


def busy(into: Path) -> bool:
    """Whether a backup into this folder is being made now."""
    return locks.busy(into / ".backup.lock")


def _sweep(into: Path) -> None:
    """Remove what a killed backup or a killed deletion left."""
    for leftover in [part for kind in ("half", "gone", "tmp") for part in into.glob(f".*.{kind}")]:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink()


def _name(into: Path) -> str:
    name, number = copying.stamp(), 1
    while (into / (unique := name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return unique


def _fill(
    engine: Engine, settings: Settings, half: Path, former: WholeBackup | None, purpose: str
) -> BackupManifest:
    half.mkdir(mode=0o700)
    at = datetime.now(UTC).isoformat()
    copying.database(engine, half / manifest.DATABASE)
    proven = _proven(half / manifest.DATABASE)
    files = {manifest.DATABASE: _entry(half / manifest.DATABASE)}
    _require_room(settings, half, former)
    for source in _sources(settings):
        name = source.relative_to(settings.data).as_posix()
        try:
            files[name] = _take(source, half / name, former, name)
        except FileNotFoundError:  # a job that was tidied up meanwhile
            continue
    for place, _, _ in os.walk(half, topdown=False):
        synced.sync(Path(place))
    written = BackupManifest(at, purpose, proven.revision, proven.events, proven.head, files)
    synced.write(half / manifest.NAME, msgspec.json.format(msgspec.json.encode(written), indent=1))
    return written


def _require_room(settings: Settings, half: Path, former: WholeBackup | None) -> None:
    needed = sum(
        status.st_size
        for source in _sources(settings)
        if (status := source.stat())
        and not _same(former, source.relative_to(settings.data).as_posix(), status)
    )
    folder.room(half, needed, "The backup")


def _proven(database: Path) -> proof.Proof:
    engine = open_readonly(database)
    try:
        return proof.prove(engine, "The copy of the database")
    except BadInput as error:
        raise Unavailable(f"The backup was not made. {error}") from error
    finally:
        engine.dispose()


def _sources(settings: Settings) -> Iterator[Path]:
    """The plain files that a backup takes; links lead elsewhere and are left out."""
    for part in manifest.PARTS:
        for place, folders, names in os.walk(settings.data / part):
            folders[:] = [name for name in folders if _is_included(name)]
            for path in (Path(place, name) for name in sorted(names) if _is_included(name)):
                if path.is_file() and not path.is_symlink():
                    yield path


def _is_included(name: str) -> bool:
    return name not in _LEFT_OUT and not name.startswith(".")


def _same(former: WholeBackup | None, name: str, status: os.stat_result) -> bool:
    """Whether the backup before has this file as it is now."""
    entry = former.manifest.files.get(name) if former is not None else None
    return entry is not None and (entry.size, entry.modified) == (
        status.st_size,
        status.st_mtime_ns,
    )


def _take(source: Path, target: Path, former: WholeBackup | None, name: str) -> FileEntry:
    status = source.stat()
    target.parent.mkdir(parents=True, exist_ok=True)
    if former is not None and _same(former, name, status):
        try:
            os.link(former.path / name, target)
        except OSError:  # a file system without links, or the former file is gone
            target.unlink(missing_ok=True)
        else:
            return former.manifest.files[name]
    shutil.copyfile(source, target)
    synced.sync(target)
    entry = _entry(target)
    return FileEntry(entry.sha256, entry.size, status.st_mtime_ns)


def _entry(path: Path) -> FileEntry:
    status = path.stat()
    return FileEntry(manifest.sha256(path), status.st_size, status.st_mtime_ns)


def verify(backup: Path) -> BackupManifest:
    """Prove a whole backup: every file by its hash, the database by all that can be checked.

    Raises:
        BadInput: a file is missing or changed, or the database does not hold.
    """
    listed = manifest.read(backup)
    for name, entry in listed.files.items():
        try:
            intact = manifest.sha256(backup / name) == entry.sha256
        except FileNotFoundError:
            intact = False
        if not intact:
            raise BadInput(f"{name} in {backup} is missing or changed. Choose another backup.")
    engine = open_readonly(backup / manifest.DATABASE)
    try:
        proof.prove(engine, backup.name)
    finally:
        engine.dispose()
    return listed


def prune(into: Path, keep: int) -> None:
    """Delete the oldest scheduled backups beyond so many; one that was asked for stays."""
    scheduled = [saved for saved in manifest.listing(into) if saved.manifest.purpose == "schedule"]
    for old in scheduled[keep:]:
        gone = old.path.with_name(f".{old.path.name}.gone")
        old.path.rename(gone)  # so that no half of it can be taken for a backup
        shutil.rmtree(gone, ignore_errors=True)


def bring_back(settings: Settings, backup: Path, stamp: str) -> tuple[str, ...]:
    """Put back the files that the data folder lacks, and those of adapters that changed; what was
    there is set aside. Other files may have grown since and stay. Sentences on what was done.

    Raises:
        BadInput: a file of the backup is missing or changed.
    """
    back = aside = 0
    for name, entry in manifest.read(backup).files.items():
        target = settings.data / name
        if name == manifest.DATABASE or not _wanted(target, entry):
            continue
        if target.exists():
            _set_aside(target, settings.data / f"files-set-aside-{stamp}" / name)
            aside += 1
        _put(backup / name, target, entry)
        back += 1
    sentences = [f"{back:,} files came back from the backup."] if back else []
    if aside:
        sentences.append(
            f"{aside:,} files of adapters had changed; they are in files-set-aside-{stamp} now."
        )
    return tuple(sentences)


def _wanted(target: Path, entry: FileEntry) -> bool:
    if not target.exists():
        return True
    return "adapter" in target.parts[-3:-1] and manifest.sha256(target) != entry.sha256


def _set_aside(target: Path, aside: Path) -> None:
    aside.parent.mkdir(parents=True, exist_ok=True)
    target.rename(aside)


def _put(source: Path, target: Path, entry: FileEntry) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.half")
    try:
        shutil.copyfile(source, half)
        if manifest.sha256(half) != entry.sha256:
            raise BadInput(f"{source} changed since the backup. Choose another backup.")
        synced.sync(half)
        half.rename(target)
    except FileNotFoundError as error:
        raise BadInput(f"{source} is missing in the backup. Choose another backup.") from error
    finally:
        half.unlink(missing_ok=True)
    synced.sync(target.parent)
