"""Importing rows: all or none, once, and whole through a kill -9."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from curation.exchange import intake
from curation.exchange.incoming import Incoming
from storage import migrate, pairs
from storage.engine import open_engine, reading, writing
from storage.errors import BadInput
from tests.support import stories
from tests.support.patience import until

SHA = "a" * 64


def _rows(n: int, era: str | None = None) -> tuple[Incoming, ...]:
    return tuple(
        Incoming(i + 1, prompt, response, era, None, None)
        for i, (prompt, response) in enumerate(stories.messages(n))
    )


def test_the_same_file_twice_is_imported_once(engine: Engine) -> None:
    desk, lea = stories.project(engine), stories.person(engine, "lea")
    for added, known in ((5, 0), (0, 5)):
        with writing(engine) as session:
            taken = intake.take(session, lea, desk.id, _rows(5), name="a.csv", sha256=SHA)
        assert (len(taken.added), taken.existing) == (added, known)


def test_a_row_of_an_unknown_era_refuses_the_whole_file(engine: Engine) -> None:
    desk, lea = stories.project(engine), stories.person(engine, "lea")
    with pytest.raises(BadInput, match="Line 1 names a policy era"), writing(engine) as session:
        intake.take(session, lea, desk.id, _rows(3, "1999"), name="a.csv", sha256=SHA)
    with reading(engine) as session:
        assert pairs.listing(session, desk.id) == []


def _import(path: str, desk_id: int, begun: str) -> None:
    """An import that says when it has stored its rows, and then takes its time to commit."""
    engine = open_engine(Path(path))
    lea = stories.person(engine, "lea")
    with writing(engine) as session:
        intake.take(session, lea, desk_id, _rows(500), name="a.csv", sha256=SHA)
        Path(begun).touch()
        time.sleep(60)


def test_an_import_that_is_killed_leaves_nothing_half_there(tmp_path: Path) -> None:
    path, begun = tmp_path / "assay.db", tmp_path / "begun"
    engine = open_engine(path)
    migrate.upgrade(engine)
    desk, lea = stories.project(engine), stories.person(engine, "lea")
    process = multiprocessing.get_context("spawn").Process(
        target=_import, args=(str(path), desk.id, str(begun))
    )
    process.start()
    until(begun.exists, process.is_alive)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with reading(engine) as session:
        assert pairs.listing(session, desk.id) == []
    with writing(engine) as session:
        taken = intake.take(session, lea, desk.id, _rows(500), name="a.csv", sha256=SHA)
    assert len(taken.added) == 500
    engine.dispose()
