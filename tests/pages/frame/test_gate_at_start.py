"""What a server or a command meets when it starts: refused in a line, or safe. Status 2, or 1."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pages.frame import launcher, server, startup
from storage import events, folder, locks, settings
from storage.engine import driver, reading
from storage.errors import Unavailable
from storage.settings import ROOT
from tests.support import stories
from tests.support.live import free_port
from tests.support.proofs import Proof


def _refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The line that the launcher prints before it ends with status 2."""
    with pytest.raises(SystemExit) as ended:
        launcher.main(["--port", str(free_port()), "--no-browser"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Assay did not start. ")
    return line


@pytest.mark.T12
def test_a_second_server_on_the_folder_does_not_start(
    engine: Engine, capsys: pytest.CaptureFixture[str], proof: Proof
) -> None:
    assert engine.url.database
    with folder.hold(settings.current()):
        assert "Another Assay server already runs" in _refused(capsys)
    proof(refused=1)


@pytest.mark.T12
def test_on_a_folder_that_cannot_be_written_no_server_starts(
    engine: Engine,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    proof: Proof,
) -> None:
    assert engine.url.database

    def refuses(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(locks, "take", refuses)
    assert "cannot be written (Permission denied)" in _refused(capsys)
    proof(refused=1)


@pytest.mark.T12
def test_with_an_sqlite_that_can_lose_work_nothing_starts(tmp_path: Path, proof: Proof) -> None:
    old = "import sqlite3, sys; sqlite3.sqlite_version_info = (3, 40, 1); "
    hidden = "sys.modules['pysqlite3'] = None; "
    run = f"{old}{hidden}from storage.__main__ import app; sys.argv = ['x', 'people']; app()"
    done = subprocess.run(
        [sys.executable, "-c", run],
        cwd=ROOT,
        env={"ASSAY_DATA": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "can lose saved work" in done.stderr
    proof(refused=1)


@pytest.mark.T12
def test_a_clock_that_was_set_back_is_told_and_work_goes_on(engine: Engine, proof: Proof) -> None:
    stories.project(engine)
    with reading(engine) as session:
        newest = events.latest(session, limit=1)
    now = datetime.now(UTC)
    assert startup.clock(newest, now) == startup.clock([], now) == ""
    assert "24.0 hours behind the newest saved work" in startup.clock(
        newest, newest[0].at - timedelta(days=1)
    )
    proof(told=1)


def test_a_damaged_database_is_told_at_the_start_with_the_way_out(engine: Engine) -> None:
    stories.project(engine)
    engine.dispose()
    path = settings.current().database
    with path.open("r+b") as file:  # one page within, so that the file still opens
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 4096)
    with pytest.raises(Unavailable, match=r"damaged\. Stop Assay\. Restore a backup: "):
        server._checked(settings.current()).close()


def test_a_newer_database_is_told_by_the_launcher_too(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.dispose()
    connection = driver().connect(settings.current().database, isolation_level=None)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "was written by a newer Assay (schema 9999)" in _refused(capsys)
