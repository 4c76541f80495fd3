"""The log: every verb leaves a link, the chain shows what was changed behind its back."""

import json

import pytest
from sqlalchemy import Engine, text

from storage import events
from storage.engine import reading, writing
from storage.errors import RuleBroken
from storage.types import Event
from tests.support import stories, tuned
from training import asks
from training.launch import runs


def _log(engine: Engine, limit: int = 500) -> list[Event]:
    with reading(engine) as session:
        return events.latest(session, limit=limit)


def test_a_whole_story_is_one_unbroken_chain(engine: Engine) -> None:
    story, _evaluation = tuned.compared(engine, 12)
    with reading(engine) as session:
        count, broken = events.verify(session)
        head = events.head(session)
    found = _log(engine)
    assert (count, broken) == (len(found), None)
    assert head == found[0].hash
    verbs = {(event.verb, event.noun) for event in found}
    assert {("freeze", "version"), ("queue", "job"), ("evaluate", "evaluation")} <= verbs
    mine = {event.project_id for event in found if event.noun == "version"}
    assert mine == {story.project.id}


def test_the_log_holds_no_text_of_a_row(engine: Engine) -> None:
    tuned.compared(engine, 12)
    words = json.dumps([event.detail for event in _log(engine)])
    assert "Ticket" not in words
    assert "team" not in words


def test_a_refused_verb_leaves_no_link(engine: Engine) -> None:
    story = tuned.frozen(engine, 12)
    before = len(_log(engine))
    with pytest.raises(RuleBroken), writing(engine) as session:
        asks.launch(session, story.lead, runs.RunPlan(story.version.id, "run"))
    assert len(_log(engine)) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET detail = '{}' WHERE id = 3",
        "UPDATE event SET actor_id = 2 WHERE id = 3",
        "UPDATE event SET at = '2020-01-01T00:00:00+00:00' WHERE id = 3",
        "DELETE FROM event WHERE id = 3",
    ],
)
def test_a_change_behind_its_back_is_found(engine: Engine, change: str) -> None:
    """Whoever takes the guards away first, as an owner of the file can, is still found out."""
    tuned.frozen(engine, 12)
    with engine.begin() as connection:
        for name in ("event_no_update", "event_no_delete"):
            connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text(change))
    with reading(engine) as session:
        count, broken = events.verify(session)
    assert count == 2
    assert broken in (3, 4)


def test_the_log_of_a_project_leaves_out_the_others(engine: Engine) -> None:
    first = stories.project(engine, "One")
    second = stories.project(engine, "Two")
    with reading(engine) as session:
        assert {e.project_id for e in events.latest(session, first.id)} == {first.id}
        assert len(events.latest(session, second.id, limit=1)) == 1
