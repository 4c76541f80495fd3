"""A restore that an admin asks for on a page: noted, and done by the next start.

While a server runs nothing can take the place of its database, so the page only notes the wish.
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from sqlalchemy.orm import Session

from storage import events, synced
from storage.access import allowed
from storage.backups import copying, manifest, restoring
from storage.errors import AssayError, NotFound
from storage.settings import Settings
from storage.types import Role, User


class Staged(msgspec.Struct, frozen=True):
    """The restore that the next start does."""

    backup: str
    """Its path."""
    by: str
    at: str
    """ISO 8601, UTC."""


class RestoreReport(msgspec.Struct, frozen=True):
    """What came of the last restore that a start did."""

    at: str
    done: bool
    sentences: list[str]


def choices(settings: Settings) -> list[Path]:
    """The backups that can be restored, newest first: whole ones, then copies of the database from
    before an upgrade, which lie in the data folder.
    """
    places = {settings.backups, settings.data / "backups"}
    copies = [path for place in places for path in place.glob("*.db")]
    copies.sort(key=lambda path: path.stem[-16:], reverse=True)
    return [*(saved.path for saved in manifest.listing(settings.backups)), *copies]


@allowed(Role.ADMIN)
def stage(session: Session, actor: User, settings: Settings, backup: str) -> None:
    """Let the next start restore a backup.

    Raises:
        NotFound: there is no such backup in the folder of backups.
    """
    name = Path(backup).name[:60]
    if Path(backup) not in choices(settings):
        raise NotFound(f"There is no backup {name!r} any more. Choose another.")
    events.record(session, actor, "stage_restore", "backups", name)
    wish = Staged(backup, actor.name, datetime.now(UTC).isoformat())
    synced.write(_wish(settings), msgspec.json.encode(wish))


@allowed(Role.ADMIN)
def unstage(session: Session, actor: User, settings: Settings) -> None:
    """Let the next start restore nothing."""
    events.record(session, actor, "unstage_restore", "backups", "next")
    _wish(settings).unlink(missing_ok=True)


def staged(settings: Settings) -> Staged | None:
    """The restore that the next start does; None where it does none."""
    return copying.read(_wish(settings), Staged)


def report(settings: Settings) -> RestoreReport | None:
    """What came of the last restore that a start did."""
    return copying.read(settings.data / "restore-report.json", RestoreReport)


def at_start(settings: Settings) -> tuple[str, ...]:
    """Go on with what was interrupted and do what is staged, for whoever holds the folder.

    Returns sentences for the person. Where a backup does not hold, the database stays as it is and
    the start goes on.
    """
    interrupted = restoring.finish(settings)
    wish = staged(settings)
    if interrupted or wish is None:
        _wish(settings).unlink(missing_ok=True)
        return ("An interrupted restore was ended.",) if interrupted else ()
    try:
        restored = restoring.put_in_place(settings, Path(wish.backup))
        done, sentences = True, restoring.report(restored)
    except AssayError as error:
        done, sentences = False, [f"{Path(wish.backup).name} was not restored. {error}"]
    outcome = RestoreReport(datetime.now(UTC).isoformat(), done, sentences)
    synced.write(settings.data / "restore-report.json", msgspec.json.encode(outcome))
    _wish(settings).unlink(missing_ok=True)
    return tuple(sentences)


def _wish(settings: Settings) -> Path:
    return settings.data / "restore-staged.json"
