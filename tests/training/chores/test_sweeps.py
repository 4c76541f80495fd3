"""The comparison of all pairs as a job."""

import pytest
from sqlalchemy import Engine

from curation.overlap import overlaps
from storage import pairs, settings
from storage.engine import reading, writing
from storage.errors import RuleBroken
from storage.types import JobState, LinkKind, Origin, Role
from tests.support import stories
from training import asks, reconcile
from training.work import jobs

pytestmark = pytest.mark.usefixtures("in_process")


def test_a_job_compares_all_pairs_and_says_what_it_found(engine: Engine) -> None:
    rita, desk = stories.person(engine, "rita", Role.REVIEWER), stories.project(engine)
    with writing(engine) as session:
        for response in ("Fees", "Fees", "Loans"):
            pairs.add(session, desk.id, "Where is my money?", response, Origin.IMPORT)
        job = asks.compare_pairs(session, rita, desk.id)
        with pytest.raises(RuleBroken, match="already going on"):
            asks.compare_pairs(session, rita, desk.id)
    for _ in range(2):
        reconcile.tick(engine, settings.current())
    with reading(engine) as session:
        done = jobs.get(session, job.id)
        kinds = sorted(link.kind for link in overlaps.current(session, desk.id))
        assert overlaps.due(session, desk.id) == 0
    assert (done.state, done.message) == (
        JobState.FINISHED,
        "3 pairs were compared: 3 new matches.",
    )
    assert done.result is not None
    assert (done.result["rows"], done.result["new"]) == (3, 3)
    assert kinds == [LinkKind.CONTRADICTION, LinkKind.CONTRADICTION, LinkKind.EXACT]
