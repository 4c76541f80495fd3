"""Chores go on beside other work, one at a time; what none of them owns any more is swept."""

import pytest
from sqlalchemy import Engine, update

from curation.exchange.incoming import Incoming
from storage import imports, pairs, priority, settings
from storage.engine import reading, writing
from storage.tables import JobRow
from storage.types import Job, JobState, Origin, Project, Role, User
from tests.support import stories
from training import asks, kinds, reconcile
from training.chores import importing
from training.records.specs import IntakeSpec
from training.work import jobs, processes

ROWS = (Incoming(1, "Where is my card?", "Yes.", None, None, None),)


def _import(engine: Engine, who: User, desk: Project, sha256: str = "a" * 64) -> Job:
    job_id = importing.stage(settings.current(), ROWS)
    spec = IntakeSpec(file="a.csv", sha256=sha256, rows=1)
    with writing(engine) as session:
        return asks.bring_in(session, who, desk.id, spec, job_id)


def _states(engine: Engine, *asked: Job) -> list[JobState]:
    reconcile.tick(engine, settings.current())
    with reading(engine) as session:
        return [jobs.get(session, job.id).state for job in asked]


def test_an_import_goes_on_beside_a_scan_and_a_second_one_waits(engine: Engine) -> None:
    lea, desk, more = (
        stories.person(engine, "lea"),
        stories.project(engine),
        stories.project(engine, "More"),
    )
    stories.waiting(engine, desk, stories.messages(2))
    with writing(engine) as session:
        scan = asks.scan(session, lea, desk.id)
    first, second = _import(engine, lea, desk), _import(engine, lea, more)
    assert _states(engine, scan, first, second) == [
        JobState.RUNNING,
        JobState.RUNNING,
        JobState.QUEUED,
    ]
    with reading(engine) as session:
        assert [job.id for job in kinds.ahead(session, second)] == [first.id]


def test_who_holds_the_write_lock_is_not_far_behind_those_who_wait_for_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(processes, "start", lambda *given: started.append(given[-1]))
    lea, desk = stories.person(engine, "lea"), stories.project(engine)
    stories.waiting(engine, desk, stories.messages(2))
    with writing(engine) as session:
        asks.scan(session, lea, desk.id)
    _import(engine, lea, desk)
    reconcile.tick(engine, settings.current())
    assert started == [priority.HOLDING, priority.POLITE]


@pytest.mark.parametrize("ended", [True, False])
def test_pairs_of_a_job_that_has_ended_are_swept_and_no_others(engine: Engine, ended: bool) -> None:
    lea, desk = stories.person(engine, "lea", Role.EXPERT), stories.project(engine)
    job = _import(engine, lea, desk)
    assert _states(engine, job) == [JobState.RUNNING]
    with writing(engine) as session:
        imports.begin(
            session,
            lea,
            desk.id,
            lambda pair_id: pairs.NewPair(
                id=pair_id,
                prompt="Where?",
                response="Yes.",
                content_sha256="0" * 64,
                origin=Origin.IMPORT,
                author_id=None,
                era_id=None,
                topic=None,
                held_out=False,
                source={},
                source_key="b:1",
            ),
            count=3,
            sha256="b" * 64,
            job_id=job.id,
        )
        if ended:
            session.execute(update(JobRow).where(JobRow.id == job.id).values(state=JobState.FAILED))
    reconcile.tick(engine, settings.current())
    with reading(engine) as session:
        assert len(imports.unfinished(session)) == (0 if ended else 1)
