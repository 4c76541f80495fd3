"""A disk that is really full: a small one in memory, where the machine lets one be mounted."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from storage import migrate
from storage.backups import manifest, proof as backups, whole
from storage.engine import open_engine, reading
from storage.errors import Unavailable
from storage.settings import Settings
from storage.types import Action, Project, Role, User
from tests.support import stories
from tests.support.proofs import Proof

_SIZE, _LEFT = 8_000_000, 400_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("Only root mounts a small disk.")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", place],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("This machine mounts no disk in memory.")
    yield place
    subprocess.run([str(shutil.which("umount")), "--lazy", place], check=True)


def _filled(place: Path) -> Path:
    """Something else takes all the room but a little."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            file.truncate(file.tell() - _LEFT)
    return ballast


def _decide(engine: Engine, reviewer: User, desk: Project) -> int:
    """Decide cards until the disk refuses; how many were acknowledged."""
    acknowledged: list[int] = []
    with pytest.raises(Unavailable, match="is full, so nothing was saved"):
        _endlessly(engine, reviewer, desk, acknowledged)
    return len(acknowledged)


def _endlessly(engine: Engine, reviewer: User, desk: Project, acknowledged: list[int]) -> None:
    while True:
        card = stories.card(engine, reviewer, desk, limit=1)
        stories.decide(engine, reviewer, stories.op(card, Action.APPROVE))
        acknowledged.append(card.pair.id)


@pytest.mark.T09
def test_what_was_acknowledged_is_there_and_work_goes_on_once_there_is_room(
    small_disk: Path, proof: Proof
) -> None:
    settings = Settings(small_disk / "data")
    engine = open_engine(settings.database)
    migrate.upgrade(engine)
    desk, ana = stories.project(engine), stories.person(engine, "ana", Role.REVIEWER)
    stories.waiting(engine, desk, stories.messages(400))
    ballast = _filled(small_disk)
    acknowledged = _decide(engine, ana, desk)
    assert _rows(engine) == acknowledged > 0
    with pytest.raises(Unavailable, match="Free some space"):
        whole.make(engine, settings, settings.backups, "asked")
    assert manifest.listing(settings.backups) == []

    ballast.unlink()  # and nothing is started anew
    card = stories.card(engine, ana, desk, limit=1)
    stories.decide(engine, ana, stories.op(card, Action.APPROVE))
    assert _rows(engine) == acknowledged + 1
    backups.prove(engine, "the database")
    engine.dispose()
    proof(acknowledged=acknowledged, lost=0, restarts=0)


def _rows(engine: Engine) -> int:
    with reading(engine) as session:
        return int(session.scalar(text("SELECT count(*) FROM decision")) or 0)
