"""What a whole backup holds: each file with its sha256, and the head of the log it was made at."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from storage import plain_files
from storage.errors import BadInput

NAME = "manifest.json"
DATABASE = "assay.db"
PARTS = ("jobs", "versions", "adapters")
"""The folders of the data folder that a backup takes, beside the database."""
_MOST_BYTES = 256_000_000
_BLOCK = 1 << 20


class FileEntry(msgspec.Struct, frozen=True):
    """One file of a backup."""

    sha256: str
    size: int
    """Bytes."""
    modified: int
    """When the original was written, nanoseconds; with the size it tells whether it changed."""


class BackupManifest(msgspec.Struct, frozen=True):
    """A whole backup. `files` is by path inside the backup, the database among them."""

    at: str
    """ISO 8601, UTC."""
    purpose: str
    """"asked" or "schedule"; only the latter are deleted again, once newer ones are there."""
    revision: str
    events: int
    head: str
    files: dict[str, FileEntry]


@dataclass(frozen=True, slots=True)
class WholeBackup:
    """A whole backup in a folder of backups."""

    path: Path
    manifest: BackupManifest

    @property
    def size(self) -> int:
        """Bytes of its files; those that did not change since the one before take no room."""
        return sum(entry.size for entry in self.manifest.files.values())


def read(backup: Path) -> BackupManifest:
    """The manifest of a backup; its files are not looked at.

    Raises:
        BadInput: there is none, or it names files that no backup has.
    """
    try:
        content = plain_files.read(backup / NAME, _MOST_BYTES)
        manifest = msgspec.json.decode(content, type=BackupManifest)
    except (OSError, msgspec.MsgspecError):
        raise BadInput(f"{backup} is no whole backup: its {NAME} is missing or damaged.") from None
    if not all(map(_is_inside, manifest.files)) or DATABASE not in manifest.files:
        raise BadInput(f"{backup} is no whole backup: its {NAME} names files of elsewhere.")
    return manifest


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    inside = path.parts[:1] in {(part,) for part in PARTS} and len(path.parts) > 1
    plain = ".." not in path.parts and not re.search(r"[\\\0:]", name)
    return name == DATABASE or (inside and plain and not path.is_absolute())


def sha256(path: Path) -> str:
    """The hash of a plain file."""
    digest = hashlib.sha256()
    with plain_files.opened(path) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def listing(folder: Path) -> list[WholeBackup]:
    """The whole backups in a folder, newest first; what is half or damaged is left out."""
    backups = []
    for path in folder.glob(f"*/{NAME}"):
        try:
            backups.append(WholeBackup(path.parent, read(path.parent)))
        except BadInput:
            continue
    return sorted(backups, key=lambda backup: backup.manifest.at, reverse=True)
