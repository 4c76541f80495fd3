"""The freezing of many pairs as a job."""

import pytest
from sqlalchemy import Engine

from curation.versions import archive
from storage import settings
from storage.engine import reading, writing
from storage.errors import RuleBroken
from storage.types import Job, JobState, Role
from tests.support import curated, stories
from training import asks, reconcile
from training.work import jobs

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
