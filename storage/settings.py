"""Where Assay keeps its data and how it is started, read once from the environment."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Settings:
    """Places and names that differ between installs."""

    data: Path
    """Folder of the database, jobs, models, versions and adapters."""
    embedder: Path | None = None
    """Folder of a model that makes vectors of sentences, to compare what rows mean; or none."""
    backup_folder: Path | None = None
    """Folder of the backups, best on another disk; or none, for one inside `data`."""

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data / "assay.db"

    @property
    def server_lock(self) -> Path:
        """What the server holds for as long as it runs."""
        return self.data / "assay.db.server.lock"

    @property
    def backups(self) -> Path:
        """One folder per whole backup, named by its time, and the copies from before upgrades."""
        return self.backup_folder or self.data / "backups"

    @property
    def jobs(self) -> Path:
        """One folder per job, named by the job's id."""
        return self.data / "jobs"

    @property
    def versions(self) -> Path:
        """Frozen rows, one file per version, named by sha256."""
        return self.data / "versions"

    @property
    def adapters(self) -> Path:
        """Tuned adapters, one folder per job id."""
        return self.data / "adapters"


def current() -> Settings:
    """Settings from the environment.

    `ASSAY_DATA` names the data folder, `data/` by default; `ASSAY_EMBEDDER` a model folder;
    `ASSAY_BACKUPS` the folder of the backups, `backups/` in the data folder by default.
    """
    embedder = os.environ.get("ASSAY_EMBEDDER")
    backups = os.environ.get("ASSAY_BACKUPS")
    return Settings(
        data=Path(os.environ.get("ASSAY_DATA", ROOT / "data")).resolve(),
        embedder=Path(embedder).resolve() if embedder else None,
        backup_folder=Path(backups).resolve() if backups else None,
    )
