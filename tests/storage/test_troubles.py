"""What the database or the disk refuses: one sentence, on pages and on commands, and no traceback.

Each trouble is a real one: a lock that another holds, a database that may not grow, damaged pages.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import streamlit as st
from sqlalchemy import Engine, event
from typer.testing import CliRunner

from pages.frame import server
from storage import folder, people, settings, troubles
from storage.__main__ import app as commands
from storage.engine import driver, reading, writing
from storage.errors import Unavailable
from storage.settings import Settings
from storage.types import Role
from tests.support import stories
from tests.support.proofs import Proof
from tests.support.ui import OpenPage


@contextmanager
def _on_connect(engine: Engine, pragma: str) -> Iterator[None]:
    def configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
        connection.execute(pragma)

    engine.dispose()
    event.listen(engine, "connect", configure)
    yield
    event.remove(engine, "connect", configure)
    engine.dispose()


@contextmanager
def locked(engine: Engine) -> Iterator[None]:  # noqa: ARG001 - as the other troubles
    """Another program saves, longer than anybody waits."""
    other = driver().connect(settings.current().database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("storage.engine.WAIT_MILLISECONDS", 10)
        yield
    other.close()


@contextmanager
def full(engine: Engine) -> Iterator[None]:
    """The database may not grow any more."""
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    with _on_connect(engine, f"PRAGMA max_page_count = {pages}"):
        yield


@contextmanager
def read_only(engine: Engine) -> Iterator[None]:
    """The folder may be read and not written."""
    with _on_connect(engine, "PRAGMA query_only = ON"):
        yield


@contextmanager
def damaged(engine: Engine) -> Iterator[None]:
    """The first pages are overwritten: nothing of the database makes sense any more."""
    engine.dispose()
    with settings.current().database.open("r+b") as file:
        file.write(b"\xff" * 8192)
    yield


TROUBLES: dict[str, tuple[Any, str]] = {
    "locked": (locked, "Try again in a moment"),
    "full": (full, "Free some space"),
    "read-only": (read_only, "Make it yours to write"),
    "damaged": (damaged, "python -m storage restore FILE"),
}


def _fill(engine: Engine, saved: list[int]) -> None:
    """Save until there is no page left to save in, and note what was saved."""
    for number in range(2000):
        with writing(engine) as session:
            people.join(session, f"{number} {'x' * 60}", frozenset({Role.REVIEWER}))
        saved.append(number)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_press_is_refused_in_a_sentence_and_the_next_goes_through(
    engine: Engine, trouble: str
) -> None:
    stories.project(engine)
    cause, sentence = TROUBLES[trouble]
    with cause(engine), pytest.raises(Unavailable, match=sentence):
        _fill(engine, [])
    if trouble == "damaged":
        return
    with writing(engine) as session:  # without a restart
        people.join(session, "ana", frozenset({Role.REVIEWER}))
    with reading(engine) as session:
        assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


@pytest.mark.T09
def test_on_a_full_disk_all_that_was_saved_stays_and_work_goes_on_once_there_is_room(
    engine: Engine, proof: Proof
) -> None:
    stories.project(engine)
    saved: list[int] = []
    with full(engine), pytest.raises(Unavailable, match="Free some space"):
        _fill(engine, saved)
    with reading(engine) as session:
        readable = sum(user.name.endswith("x") for user in people.everyone(session))
    assert readable == len(saved) > 0
    with writing(engine) as session:
        people.join(session, "ana", frozenset({Role.REVIEWER}))
    proof(saved=len(saved), readable=readable, restarts=0)


def test_a_press_on_a_page_says_it(engine: Engine, open_page: OpenPage) -> None:
    ana = stories.person(engine, "ana")
    page = open_page("pages/operate/people/page.py", user=ana)
    (field,) = page.multiselect
    field.set_value(["admin", "lead"]).run()
    with locked(engine):
        page.button(key=f"save-{field.key}").click().run()
    assert "Try again in a moment" in page.error[0].value
    page.button(key=f"save-{field.key}").click().run()
    assert not page.error
    with reading(engine) as session:
        assert people.get(session, ana.id).roles == {Role.ADMIN, Role.LEAD}


def test_a_page_that_cannot_be_drawn_says_why_and_shows_no_number_of_a_bug(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(st, "error", shown.append)
    with damaged(engine), pytest.raises(Unavailable) as refused, reading(engine) as session:
        people.everyone(session)
    assert server.on_script_error(refused.value)
    assert "python -m storage restore FILE" in shown[0]
    assert "Something went wrong" not in shown[0]


@pytest.mark.parametrize("trouble", ["damaged", "locked"])
def test_a_command_says_it_in_one_line_with_status_1(
    engine: Engine, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stories.project(engine)
    monkeypatch.setattr("storage.engine.WAIT_MILLISECONDS", 10)
    cause, sentence = TROUBLES[trouble]
    with cause(engine):
        done = CliRunner().invoke(commands, ["join", "eve", "--role", "lead"])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EACCES, "belongs to someone else"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "answered with an error"),
        (errno.EMFILE, "Too many files"),
    ],
)
def test_what_the_system_refuses_has_its_sentence(number: int, sentence: str) -> None:
    error = OSError(number, os.strerror(number))
    assert sentence in str(troubles.sentence(error, Path("data")))


def test_a_bug_stays_a_bug() -> None:
    assert troubles.sentence(ValueError("of a pair"), Path("data")) is None
    assert troubles.sentence(FileNotFoundError(errno.ENOENT, "gone"), Path("data")) is None
    with pytest.raises(ValueError, match="as it is"), troubles.spoken(Path("data")):
        raise ValueError("as it is")


def test_too_little_room_is_seen_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.room(tmp_path, 10, "The import")
    monkeypatch.setattr(folder, "SPARE", 10**18)
    with pytest.raises(Unavailable, match=r"The import needs .* free on the disk of"):
        folder.room(tmp_path, 10, "The import")


def _network(monkeypatch: pytest.MonkeyPatch, place: Path, kind: str) -> None:
    part = next(iter(psutil.disk_partitions(all=True)))._replace(mountpoint=str(place), fstype=kind)
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [part])


@pytest.mark.T12
@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_network_drive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, proof: Proof
) -> None:
    _network(monkeypatch, tmp_path, kind)
    with pytest.raises(Unavailable, match=f"network drive .{kind}."):
        folder.hold(Settings(tmp_path / "data"))
    monkeypatch.setenv(folder.ALLOW_NETWORK, "1")
    folder.hold(Settings(tmp_path / "data")).close()
    proof(refused=1)
