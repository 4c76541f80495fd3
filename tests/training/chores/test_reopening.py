"""The sending back of a large stratum of the audit as a job."""

import pytest
from sqlalchemy import Engine

from curation.gate import audit
from storage import pairs, settings
from storage.engine import reading, writing
from storage.errors import NotAllowed, RuleBroken
from storage.types import Job, JobState, Origin, PairStatus, Project, Role, User
from tests.support import curated, stories
from training import asks, reconcile
from training.chores import chore
from training.work import jobs
from training.work.evidence import Cancelled

pytestmark = pytest.mark.usefixtures("in_process")


def _failed(engine: Engine) -> tuple[Project, User, audit.Part]:
    """An audit in which all gold pairs by eva that were drawn are bad."""
    desk, eva = stories.project(engine), stories.person(engine, "eva", Role.EXPERT)
    curated.approved(engine, desk, 50, origin=Origin.GOLD, author=eva, by=curated.ana(engine))
    lena = stories.person(engine, "lena")
    with writing(engine) as session:
        audit.draw(session, lena, desk.id, seed=3)
        while (row := audit.next_row(session, lena, desk.id)) is not None:
            audit.judge(session, lena, row.id, row.version, good=False)
        result = audit.latest(session, desk.id)
    assert result is not None
    return desk, lena, result.failed[0]


def _approved(engine: Engine, desk: Project) -> int:
    with reading(engine) as session:
        return pairs.counts(session, desk.id)[PairStatus.APPROVED]


def _ended(engine: Engine, job: Job) -> Job:
    for _ in range(2):
        reconcile.tick(engine, settings.current())
    with reading(engine) as session:
        return jobs.get(session, job.id)


def _asked(engine: Engine, who: User, desk: Project, part: audit.Part, back: int) -> Job:
    with writing(engine) as session:
        figures = (part.bad, part.judged, back)
        return asks.reopen_stratum(session, who, desk.id, part.stratum, figures)


def test_what_a_cancel_left_goes_back_with_the_next_job(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, lena, part = _failed(engine)
    assert _approved(engine, desk) == 45

    def cancelled(_going: chore.Chore, done: int, _total: int) -> None:
        if done >= 20:
            raise Cancelled

    with monkeypatch.context() as patch:
        patch.setattr(chore.Chore, "step", cancelled)
        job = _ended(engine, _asked(engine, lena, desk, part, 45))
    assert job.state is JobState.CANCELLED
    assert job.message is not None
    assert job.message.startswith("Cancelled. Back in review: 20 pairs. The others are still")
    assert _approved(engine, desk) == 25
    job = _ended(engine, _asked(engine, lena, desk, part, 25))
    assert (job.state, job.message) == (JobState.FINISHED, "Back in review: 25 pairs.")
    assert _approved(engine, desk) == 0


def test_figures_that_are_outdated_are_refused_when_asked_and_when_it_begins(
    engine: Engine,
) -> None:
    desk, lena, part = _failed(engine)
    with pytest.raises(RuleBroken, match="went on since these figures"):
        _asked(engine, lena, desk, part, 44)
    with pytest.raises(NotAllowed, match="asks for the role lead"):
        _asked(engine, stories.person(engine, "rex", Role.REVIEWER), desk, part, 45)
    job = _asked(engine, lena, desk, part, 45)
    curated.approved(
        engine,
        desk,
        stories.messages(1, start=200),
        origin=Origin.GOLD,
        author=stories.person(engine, "eva"),
        by=curated.ana(engine),
    )
    job = _ended(engine, job)
    assert job.state is JobState.FAILED
    assert job.message is not None
    assert "went on since these figures" in job.message
    assert _approved(engine, desk) == 46
