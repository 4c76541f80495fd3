"""Training runs: the gate in the verb, the rows a worker gets, the adapter it leaves."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from curation.gate import readiness
from curation.versions import archive
from storage import settings
from storage.engine import reading, writing
from storage.errors import NotAllowed, RuleBroken
from storage.types import JobState, Role, Split
from tests.support import stories, tuned
from training import asks, reconcile
from training.launch import runs
from training.launch.presets import presets
from training.models import adapters
from training.settings import Lora
from training.work import jobs


def _wish(story: tuned.Frozen, name: str = "run") -> runs.RunPlan:
    return runs.RunPlan(story.version.id, name, settings=Lora(epochs=1))


def test_a_launch_is_refused_in_the_verb_until_every_line_is_met_or_waived(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    with writing(engine) as session, pytest.raises(RuleBroken, match="Not ready: 8 of 17 lines"):
        asks.launch(session, story.lead, _wish(story))
    tuned.waive(engine, story.lead, story.project)
    with writing(engine) as session:
        job = asks.launch(session, story.lead, _wish(story))
    waived = {line["key"]: line["waiver"] for line in job.spec["gate"] if line["waiver"]}
    assert waived["reviewed"].startswith("lena: A test of the loop.")
    assert (job.state, job.spec["version_sha256"]) == (JobState.QUEUED, story.version.sha256)


def test_a_waiver_that_has_run_out_blocks_again(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    tomorrow = datetime.now(UTC).date() + timedelta(days=8)
    with reading(engine) as session:
        assert readiness.waivers(session, story.project.id)
        assert readiness.waivers(session, story.project.id, tomorrow) == {}


def test_only_a_lead_launches(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    other = stories.person(engine, "eva", Role.EXPERT, Role.REVIEWER, Role.ADMIN)
    with writing(engine) as session, pytest.raises(NotAllowed, match="asks for the role lead"):
        asks.launch(session, other, _wish(story))


def test_the_same_run_is_refused_twice_and_other_runs_wait_their_turn(engine: Engine) -> None:
    first, second = tuned.frozen(engine, 20), tuned.frozen(engine, 20, "Other")
    going = tuned.launched(engine, first)
    with writing(engine) as session, pytest.raises(RuleBroken, match="already waiting or running"):
        asks.launch(session, first.lead, _wish(first, "by another name"))
    tuned.waive(engine, second.lead, second.project)
    with writing(engine) as session:
        other = asks.launch(session, second.lead, _wish(second))
        again = asks.launch(
            session, first.lead, runs.RunPlan(first.version.id, "run", settings=Lora(epochs=2))
        )
    with reading(engine) as session:
        assert [job.id for job in jobs.ahead(session, again)] == [going.id, other.id]
        assert len(jobs.listing(session, first.project.id)) == 2


def test_the_database_lets_one_run_train_at_a_time(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    tuned.running(engine, tuned.launched(engine, story))
    with writing(engine) as session:
        waiting = asks.launch(
            session, story.lead, runs.RunPlan(story.version.id, "run", settings=Lora(epochs=2))
        )
    with pytest.raises(IntegrityError):
        tuned.running(engine, waiting)


def test_a_row_withdrawn_since_the_freeze_blocks_and_cannot_be_waived(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    with engine.begin() as connection:
        connection.execute(text("UPDATE pair SET status = 'waiting' WHERE id = 1"))
    with writing(engine) as session, pytest.raises(RuleBroken, match="without a person's approval"):
        asks.launch(session, story.lead, _wish(story))


def test_the_worker_gets_train_and_validation_rows_only(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    job = tuned.launched(engine, story)
    here = settings.current()
    directory = jobs.folder(here, job.id)
    directory.mkdir(parents=True)
    with reading(engine) as session:
        task = runs.prepare(session, job, directory, here)
        frozen = archive.rows(session, story.version.id)
    lines = [json.loads(line) for line in (directory / "rows.jsonl").read_text().splitlines()]
    wanted = {row.pair_id for row in frozen if row.split is not Split.TEST}
    assert {line["pair_id"] for line in lines} == wanted
    assert {line["split"] for line in lines} == {"train", "validation"}
    assert task.settings == Lora(epochs=1)


def test_rows_changed_behind_the_gate_never_reach_a_worker(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    job = tuned.launched(engine, story)
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER version_row_no_update"))
        connection.execute(text("UPDATE version_row SET prompt = 'other' WHERE pair_id = 1"))
    reconcile.tick(engine, settings.current(), wait=False)
    with reading(engine) as session:
        ended = jobs.get(session, job.id)
    assert ended.state is JobState.FAILED
    assert "no longer has the pairs it was frozen with" in str(ended.message)


def test_a_finished_run_becomes_an_adapter_with_its_lineage(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story, "First run")
    card = adapter.card
    assert adapter.name.startswith("First run · ")
    assert card["version"]["sha256"] == story.version.sha256
    assert card["version"]["approvals"] == {"ana": 20}
    assert card["launched_by"] == "lena"
    assert len(card["gate"]) == len(readiness.KEYS)
    assert card["result"]["adapter_sha256"] == adapter.sha256


def test_two_runs_of_one_name_are_two_adapters(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    names = {tuned.trained(engine, story, "Same").name for _ in range(2)}
    assert len(names) == 2


def test_an_adapter_that_is_not_the_one_recorded_is_not_taken_in(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    job = tuned.launched(engine, story)
    files = {"adapter/adapter_model.safetensors": b"other weights"}
    ended = tuned.finished(engine, job, files, {"adapter_sha256": "0" * 64})
    assert ended.state is JobState.FAILED
    assert "differs from what the run recorded" in str(ended.message)
    with reading(engine) as session:
        assert adapters.listing(session, story.project.id) == []


def test_the_presets_are_sound_and_their_steps_are_counted() -> None:
    quick, standard, careful = presets(Lora())
    assert [one.name for one in (quick, standard, careful)] == ["Quick look", "Standard", "Careful"]
    assert [one.settings.steps(100) for one in (quick, standard, careful)] == [13, 39, 39]
    assert careful.settings.learning_rate < standard.settings.learning_rate
    assert Lora(max_steps=5).steps(100) == 5
