"""The freezing of many pairs as a job."""

import pytest
from sqlalchemy import Engine, event

from curation.versions import archive, freezing
from storage import freezings, settings
from storage.engine import reading, writing
from storage.errors import RuleBroken
from storage.types import Job, JobState, Role
from tests.support import curated, stories
from training import asks, reconcile
from training.work import evidence, jobs

pytestmark = pytest.mark.usefixtures("in_process")


def _ended(engine: Engine, job: Job) -> Job:
    for _ in range(2):
        reconcile.tick(engine, settings.current())
    with reading(engine) as session:
        return jobs.get(session, job.id)


def test_a_job_freezes_the_approved_pairs_and_says_why_not(engine: Engine) -> None:
    lena, desk = stories.person(engine, "lena", Role.LEAD), stories.project(engine)
    curated.approved(engine, desk, 20)
    with writing(engine) as session, pytest.raises(RuleBroken, match="last search for duplicates"):
        asks.freeze(session, lena, desk.id, 7, "")
    curated.compared(engine, desk)
    ended = []
    for _ in range(2):
        with writing(engine) as session:
            job = asks.freeze(session, lena, desk.id, 7, "first")
        ended.append(_ended(engine, job))
    assert [(job.state, job.message) for job in ended] == [
        (JobState.FINISHED, "Version 1 is frozen: 20 pairs."),
        (JobState.FAILED, "Nothing changed since version 1. There is no new one."),
    ]
    with reading(engine) as session:
        (version,) = archive.listing(session, desk.id)
    assert ended[0].result is not None
    assert ended[0].result["version_id"] == version.id
    assert version.manifest.note == "first"


@pytest.mark.parametrize("cancelled", [False, True])
def test_while_it_prepares_it_tells_how_far_it_is_and_can_be_cancelled(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    """It is asked to stop when it first reads pairs, which it does five at a time."""
    monkeypatch.setattr(freezing, "_AT_ONCE", 5)
    lena, desk = stories.person(engine, "lena", Role.LEAD), stories.project(engine)
    curated.approved(engine, desk, 20)
    curated.compared(engine, desk)
    with writing(engine) as session:
        job = asks.freeze(session, lena, desk.id, 7, "")
    folder = jobs.folder(settings.current(), job.id)
    reads: list[str] = []

    def note(*context: object) -> None:
        if "LIMIT" in str(context[2]) and "pair.response" in str(context[2]):
            reads.append(str(context[3]))
            if cancelled:
                evidence.request_cancel(folder)

    event.listen(Engine, "before_cursor_execute", note)
    ended = _ended(engine, job)
    event.remove(Engine, "before_cursor_execute", note)
    with reading(engine) as session:
        versions, half = archive.listing(session, desk.id), freezings.unfinished(session)
    moved = {line.step for line in evidence.every_event(folder) if line.step}
    assert half == []
    if cancelled:
        assert (ended.state, len(reads), versions) == (JobState.CANCELLED, 1, [])
    else:
        assert (ended.state, len(versions)) == (JobState.FINISHED, 1)
        assert len([step for step in moved if step < 10]) >= 2
