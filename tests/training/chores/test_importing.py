"""The import of a large file as a job: real processes, killed and cancelled."""

import os
import signal

import pytest
from sqlalchemy import Engine, text

from curation.exchange.incoming import Incoming
from storage import imports, pairs, settings
from storage.engine import reading, writing
from storage.errors import NotAllowed
from storage.types import Job, JobState, Project, Role, User
from tests.support import stories
from tests.support.patience import until
from training import asks, reconcile
from training.chores import importing
from training.records import results
from training.records.running import Launch
from training.records.specs import IntakeSpec
from training.work import evidence, jobs

pytestmark = pytest.mark.usefixtures("workers")
SHA = "a" * 64


def _rows(count: int) -> tuple[Incoming, ...]:
    return tuple(
        Incoming(line, f"Case {line}: transfer {line * 7919}?", "Yes.", None, None, None)
        for line in range(1, count + 1)
    )


def _asked(engine: Engine, who: User, desk: Project, count: int) -> Job:
    """An import of so many rows, waiting to start."""
    rows = _rows(count)
    job_id = importing.stage(settings.current(), rows)
    spec = IntakeSpec(file="a.csv", sha256=SHA, rows=len(rows))
    with writing(engine) as session:
        return asks.bring_in(session, who, desk.id, spec, job_id)


def _after_a_look(engine: Engine, job: Job) -> Job:
    reconcile.tick(engine, settings.current())
    with reading(engine) as session:
        return jobs.get(session, job.id)


def _ended(engine: Engine, job: Job) -> Job:
    until(lambda: _after_a_look(engine, job).state.final)
    return _after_a_look(engine, job)


def _stored(engine: Engine) -> list[int]:
    """Rows of pair, revision and import, counted past what hides some of them."""
    with engine.connect() as connection:
        return [
            connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608
            for table in ("pair", "revision", "import")
        ]


def _half_way(engine: Engine, job: Job) -> None:
    """Wait until its process has written some of the pairs."""
    _after_a_look(engine, job)
    until(lambda: _stored(engine)[0] > 1)


def test_a_large_file_is_imported_by_a_process_of_its_own(engine: Engine) -> None:
    lea, desk = stories.person(engine, "lea", Role.EXPERT), stories.project(engine)
    done = _ended(engine, _asked(engine, lea, desk, 600))
    assert (done.state, done.message) == (JobState.FINISHED, "600 pairs were imported.")
    brought = results.intake(done)
    assert brought is not None
    assert (brought.added, brought.existing, brought.invalid) == (600, 0, 600)
    with reading(engine) as session:
        stored = pairs.listing(session, desk.id)
    rows = _rows(600)
    assert [(pair.prompt, pair.source["line"]) for pair in stored] == [
        (row.prompt, row.line) for row in rows
    ]
    assert not list(settings.current().jobs.glob("*/incoming.jsonl")), "the words are gone"


def test_a_killed_import_leaves_nothing_and_the_file_can_be_imported_again(engine: Engine) -> None:
    lea, desk = stories.person(engine, "lea", Role.EXPERT), stories.project(engine)
    job = _asked(engine, lea, desk, 8_000)
    _half_way(engine, job)
    launch = evidence.read(Launch, jobs.folder(settings.current(), job.id) / "launch.json")
    assert launch is not None
    os.kill(launch.pid, signal.SIGKILL)
    with reading(engine) as session:
        assert pairs.listing(session, desk.id) == []
    assert _ended(engine, job).state is JobState.LOST
    assert _stored(engine) == [0, 0, 0]
    assert _ended(engine, _asked(engine, lea, desk, 600)).state is JobState.FINISHED


def test_a_cancelled_import_leaves_nothing(engine: Engine) -> None:
    lea, desk = stories.person(engine, "lea", Role.EXPERT), stories.project(engine)
    job = _asked(engine, lea, desk, 8_000)
    _half_way(engine, job)
    with writing(engine) as session:
        asks.cancel(session, lea, job.id, settings.current())
    done = _ended(engine, job)
    assert (done.state, done.message) == (JobState.CANCELLED, "Cancelled. Nothing was kept.")
    assert _stored(engine) == [0, 0, 0]
    assert not list(settings.current().jobs.glob("*/incoming.jsonl"))


@pytest.mark.usefixtures("in_process")
def test_a_process_that_fails_after_its_last_write_has_finished(engine: Engine) -> None:
    """The job's row holds how it ended, written in the transaction that made the import whole."""
    lea, desk = stories.person(engine, "lea", Role.EXPERT), stories.project(engine)
    job = _asked(engine, lea, desk, 300)
    reconcile.tick(engine, settings.current())
    folder = jobs.folder(settings.current(), job.id)
    evidence.write_json(folder / "result.json", {"state": "failed", "message": "The disk is full."})
    assert _ended(engine, job).state is JobState.FINISHED


def test_who_may_not_import_cannot_ask_for_it(engine: Engine) -> None:
    rita, desk = stories.person(engine, "rita", Role.REVIEWER), stories.project(engine)
    with pytest.raises(NotAllowed, match="rita may not"):
        _asked(engine, rita, desk, 3)
    with reading(engine) as session:
        assert imports.unfinished(session) == []


def test_rows_that_nobody_asked_to_import_are_forgotten(engine: Engine) -> None:
    """The server was stopped between writing them and asking for the job."""
    lea, desk = stories.person(engine, "lea", Role.EXPERT), stories.project(engine)
    job = _asked(engine, lea, desk, 3)
    orphan = importing.stage(settings.current(), _rows(3))
    importing.forget_orphans(engine, settings.current())
    assert jobs.folder(settings.current(), orphan).exists(), "it may be asked for in a moment"
    for rows in settings.current().jobs.glob("*/incoming.jsonl"):
        os.utime(rows, (1, 1))
    importing.forget_orphans(engine, settings.current())
    assert not jobs.folder(settings.current(), orphan).exists()
    assert jobs.folder(settings.current(), job.id).exists()
