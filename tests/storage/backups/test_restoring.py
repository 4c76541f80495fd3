"""A restore: proven first, nothing deleted, the same from wherever it was stopped."""

import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from storage import events, folder, migrate, people
from storage.__main__ import app as commands
from storage.backups import gaps, restoring
from storage.engine import RESTORING, driver, open_engine, reading
from storage.errors import BadInput, Unavailable
from storage.settings import Settings
from tests.support import stories


@pytest.fixture
def desk(engine: Engine) -> Engine:
    """A running database with a project, and people in it."""
    stories.project(engine)
    stories.person(engine, "ana")
    return engine


@pytest.fixture
def backup(desk: Engine, tmp_path: Path) -> Path:
    """A backup of it, after which Ben joined."""
    path = tmp_path / "backup.db"
    with desk.connect() as connection:
        connection.connection.driver_connection.execute("VACUUM INTO ?", (str(path),))  # type: ignore[union-attr]
    stories.person(desk, "ben")
    return path


@pytest.fixture
def crashed(desk: Engine, backup: Path, tmp_path: Path) -> Settings:
    """What a killed server leaves: a database, and a log that holds the newest of it."""
    assert backup.exists()
    settings = Settings(tmp_path / "crashed")
    settings.data.mkdir()
    for file in Path(str(desk.url.database)).parent.glob("assay.db*"):
        shutil.copy(file, settings.data)
    assert (settings.data / "assay.db-wal").stat().st_size > 0
    return settings


def _people(database: Path) -> list[str]:
    engine = open_engine(database)
    try:
        migrate.check(engine)
        with reading(engine) as session:
            assert events.verify(session)[1] is None
            return [user.name for user in people.everyone(session)]
    finally:
        engine.dispose()


def _sql(database: Path, *statements: str) -> Any:  # noqa: ANN401 - rows of any kind
    with closing(driver().connect(database, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements]


def test_copying_a_backup_over_the_file_destroys_it_and_a_restore_does_not(
    crashed: Settings, backup: Path, tmp_path: Path
) -> None:
    copied = Settings(tmp_path / "copied")
    shutil.copytree(crashed.data, copied.data)
    shutil.copy(backup, copied.database)  # what looks like a restore
    with closing(driver().connect(copied.database)) as connection:
        try:
            [(state,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            names = connection.execute("SELECT count(*) FROM user").fetchall()
        except driver().DatabaseError:
            state, names = "damaged", []
    assert state != "ok" or names != [(2,)], "the old log was played into the backup"

    restored = restoring.restore(crashed, backup)
    assert _people(crashed.database) == ["ana", "lena"]
    assert _people(crashed.data / restored.aside) == ["ana", "ben", "lena"], "nothing is deleted"


def test_a_restore_says_what_is_newer_and_what_files_are_missing(
    crashed: Settings, backup: Path
) -> None:
    (crashed.jobs / "later").mkdir(parents=True)
    lines = restoring.report(restoring.restore(crashed, backup))
    assert "only in the database set aside: people 1; events 1." in " ".join(lines)
    assert "1 job (later) that the backup does not know" in " ".join(lines)


def test_what_was_set_aside_can_be_restored_in_turn(crashed: Settings, backup: Path) -> None:
    first = restoring.restore(crashed, backup)
    assert (crashed.data / f"{first.aside}-wal").exists(), "its log went with it"
    second = restoring.restore(crashed, crashed.data / first.aside)
    assert _people(crashed.database) == ["ana", "ben", "lena"]
    assert second.aside != first.aside


@pytest.mark.parametrize("harm", ["a damaged page", "another file", "an empty file"])
def test_a_damaged_database_is_restored_all_the_same(
    crashed: Settings, backup: Path, harm: str
) -> None:
    HARMED[harm][0](crashed.database)
    restored = restoring.restore(crashed, backup)
    assert _people(crashed.database) == ["ana", "lena"]
    assert (crashed.data / restored.aside).exists()


def test_a_server_on_the_folder_refuses_a_restore(crashed: Settings, backup: Path) -> None:
    with folder.hold(crashed), pytest.raises(Unavailable, match="Stop it"):
        restoring.restore(crashed, backup)
    assert _people(crashed.database) == ["ana", "ben", "lena"]


def _flipped(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * 4096)


def test_a_program_that_has_the_database_open_refuses_a_restore(
    crashed: Settings, backup: Path
) -> None:
    """A job that outlived the server would go on writing into the file that is set aside."""
    script = f"import sqlite3; c = sqlite3.connect({str(crashed.database)!r}); "
    script += "c.execute('SELECT 1 FROM user'); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(Unavailable, match=f"Process {other.pid} has .*assay.db open"):
            restoring.restore(crashed, backup)
        other.communicate(b"\n")
    assert restoring.restore(crashed, backup).aside


HARMED: dict[str, tuple[Any, str]] = {
    "a damaged page": (_flipped, "damaged"),
    "another file": (lambda path: path.write_bytes(b"not a database" * 99), "no database of Assay"),
    "an empty file": (lambda path: path.write_bytes(b""), "no database of Assay"),
    "a guard taken out": (
        lambda path: _sql(path, "DROP TRIGGER decision_no_update"),
        "lacks 1 of the guards",
    ),
    "a guard that guards nothing": (
        lambda path: _sql(
            path,
            "DROP TRIGGER event_no_update",
            "CREATE TRIGGER event_no_update BEFORE UPDATE ON event BEGIN SELECT 1; END",
        ),
        "lacks 1 of the guards",
    ),
    "a changed log": (lambda path: _changed(path), "changed at event 2"),
    "an orphan": (
        lambda path: _sql(
            path, "PRAGMA foreign_keys = OFF", "INSERT INTO scratch VALUES (99, 'x', '{}', '2026')"
        ),
        "parents are gone",
    ),
    "a newer schema": (
        lambda path: _sql(path, "UPDATE alembic_version SET version_num = '9999'"),
        "newer Assay",
    ),
}


def _changed(path: Path) -> None:
    """As whoever changes the log and puts its guard back would leave it."""
    [[(guard,)]] = _sql(path, "SELECT sql FROM sqlite_master WHERE name = 'event_no_update'")
    change = "UPDATE event SET actor_id = 2 WHERE id = 2"
    _sql(path, "DROP TRIGGER event_no_update", change, guard)


@pytest.mark.parametrize("harm", HARMED)
def test_a_backup_that_does_not_hold_changes_nothing(
    crashed: Settings, backup: Path, harm: str
) -> None:
    spoil, sentence = HARMED[harm]
    spoil(backup)
    before = {path.name for path in crashed.data.iterdir()}
    with pytest.raises(BadInput, match=sentence):
        restoring.restore(crashed, backup)
    assert {path.name for path in crashed.data.iterdir()} - {"assay.db.server.lock"} == before
    assert _people(crashed.database) == ["ana", "ben", "lena"]


def test_a_copy_whose_log_cannot_be_brought_into_it_is_not_put_in_place(
    crashed: Settings, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing a database brings its log in, but says nothing where that fails: what stood only in
    the log would be gone. Here a second connection keeps the log from being brought in.
    """
    missing, held = gaps.missing, []

    def looks(engine: Engine, settings: Settings) -> tuple[str, ...]:
        held.append(driver().connect(engine.url.database, timeout=0.01))
        held[0].execute("BEGIN")
        held[0].execute("SELECT count(*) FROM user").fetchall()
        return missing(engine, settings)

    monkeypatch.setattr(gaps, "missing", looks)
    with pytest.raises(Unavailable):
        restoring.restore(crashed, backup)
    held[0].close()
    monkeypatch.undo()
    assert _people(crashed.database) == ["ana", "ben", "lena"]
    assert restoring.restore(crashed, backup).aside


def test_an_older_backup_is_brought_up_to_date(tmp_path: Path) -> None:
    old = open_engine(tmp_path / "old.db")
    migrate.upgrade(old, "0001")
    old.dispose()
    settings = Settings(tmp_path / "data")
    restored = restoring.restore(settings, tmp_path / "old.db")
    assert restored.upgraded
    assert _people(settings.database) == []


class Killed(BaseException):
    """The process ends here."""


def _interrupted(settings: Settings, backup: Path, at: int, patch: pytest.MonkeyPatch) -> bool:
    """Restore, and die at a rename; whether it came so far."""
    count, rename = iter(range(99)), Path.rename

    def dies(path: Path, target: Path) -> Path:
        if next(count) == at:
            raise Killed
        return rename(path, target)

    patch.setattr(Path, "rename", dies)
    try:
        restoring.restore(settings, backup)
    except Killed:
        return True
    finally:
        patch.undo()
    return False


def test_a_restore_that_dies_at_any_rename_is_finished_or_never_began(
    crashed: Settings, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = 0
    while True:
        settings = Settings(tmp_path / f"at-{at}")
        shutil.copytree(crashed.data, settings.data)
        if not _interrupted(settings, backup, at, monkeypatch):
            break
        certain = any(settings.data.glob(f"*{RESTORING}*"))
        if certain:
            with pytest.raises(Unavailable, match="was interrupted"):
                open_engine(settings.database)
            assert restoring.resume(settings)
        expected = ["ana", "lena"] if certain else ["ana", "ben", "lena"]
        assert _people(settings.database) == expected
        if certain:
            (aside,) = settings.data.glob("assay-set-aside-*.db")
            assert _people(aside) == ["ana", "ben", "lena"]
        at += 1
    assert at >= 4, "the copy, the log, its index, the database"


def test_the_command_restores_and_refuses_in_a_sentence(
    crashed: Settings, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_DATA", str(crashed.data))
    done = CliRunner().invoke(commands, ["restore", str(backup)])
    assert (done.exit_code, f"Restored {backup}: whole" in done.stdout) == (0, True)
    again = CliRunner().invoke(commands, ["restore", str(crashed.data / "none.db")])
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)
    assert "No restore was interrupted." in CliRunner().invoke(commands, ["restore"]).stdout
