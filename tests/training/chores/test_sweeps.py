"""The comparison of all pairs as a job."""

import pytest
from sqlalchemy import Engine, event

from curation.overlap import compared, overlaps
from storage import pairs, settings
from storage.engine import reading, writing
from storage.errors import RuleBroken
from storage.types import JobState, LinkKind, Origin, Role
from tests.support import stories
from training import asks, reconcile
from training.work import evidence, jobs

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


@pytest.mark.parametrize("cancelled", [False, True])
def test_while_it_compares_it_tells_how_far_it_is_and_can_be_cancelled(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    """It is asked to stop when it first reads texts, which it does ten at a time."""
    monkeypatch.setattr(compared, "_AT_ONCE", 10)
    rita, desk = stories.person(engine, "rita", Role.REVIEWER), stories.project(engine)
    stories.waiting(engine, desk, stories.messages(60) * 2)
    with writing(engine) as session:
        job = asks.compare_pairs(session, rita, desk.id)
    folder = jobs.folder(settings.current(), job.id)
    reads: list[str] = []

    def note(*context: object) -> None:
        if str(context[2]).startswith("SELECT pair.id, pair.prompt"):
            reads.append(str(context[3]))
            if cancelled:
                evidence.request_cancel(folder)

    event.listen(Engine, "before_cursor_execute", note)
    for _ in range(2):
        reconcile.tick(engine, settings.current())
    event.remove(Engine, "before_cursor_execute", note)
    with reading(engine) as session:
        ended, due = jobs.get(session, job.id), overlaps.due(session, desk.id)
        links = overlaps.current(session, desk.id)
    moved = {line.step for line in evidence.every_event(folder) if line.step}
    if cancelled:
        assert (ended.state, len(reads)) == (JobState.CANCELLED, 1)
        assert (links, due) == ([], 120)
    else:
        assert (ended.state, due) == (JobState.FINISHED, 0)
        assert len(links) >= 60
        assert len([step for step in moved if step < 0.75 * 120]) >= 2
