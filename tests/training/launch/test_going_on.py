"""Going on with an interrupted run, and stopping one to keep what it learnt: the verbs' rules."""

import shutil
import subprocess
import sys

import pytest
from sqlalchemy import Engine

from storage import settings
from storage.engine import reading, writing
from storage.errors import AssayError, NotAllowed, RuleBroken, Unavailable
from storage.settings import ROOT
from storage.types import Job, JobState, Role
from tests.support import interrupted, stories, tuned
from training import asks, reconcile
from training.launch import runs
from training.records.parts import ResumedFrom
from training.records.record import read, written
from training.tuning import checkpoints
from training.work import evidence, jobs


def _resume(engine: Engine, story: tuned.Frozen, job: Job) -> Job:
    with writing(engine) as session:
        return asks.resume(session, story.lead, job.id, settings.current())


def _refused(engine: Engine, story: tuned.Frozen, job: Job, kind: type[AssayError]) -> str:
    with pytest.raises(kind) as refused:
        _resume(engine, story, job)
    with reading(engine) as session:
        assert len(jobs.listing(session, story.project.id)) == 1, "a refusal queues nothing"
    return str(refused.value)


def test_a_lost_run_goes_on_as_a_new_one(engine: Engine) -> None:
    story, old = interrupted.lost(engine, 10, 20)
    assert old.state is JobState.LOST
    made = _resume(engine, story, old)
    assert made.id != old.id
    assert made.spec["settings"] == old.spec["settings"]
    used = made.spec["resumed_from"]
    assert (used["job"], used["step"], used["refused"]) == (old.id, 20, [])
    here = settings.current()
    directory = jobs.folder(here, made.id)
    directory.mkdir(parents=True)
    with reading(engine) as session:
        assert jobs.get(session, old.id).state is JobState.LOST
        task = runs.prepare(session, made, directory, here)
    assert task.resumed_from is not None
    assert written(task.resumed_from) == used
    assert checkpoints.find(directory, 20, used["sha256"]).step == 20
    assert [event.step for event in evidence.every_event(directory)] == list(range(1, 21))


def test_a_damaged_checkpoint_is_named_in_the_record_and_the_one_before_used(
    engine: Engine,
) -> None:
    story, old = interrupted.lost(engine, 10, 20)
    path = jobs.folder(settings.current(), old.id) / "checkpoints" / "checkpoint-20"
    (path / "adapter_model.safetensors").write_bytes(b"weights 99")
    used = _resume(engine, story, old).spec["resumed_from"]
    assert used["step"] == 10
    assert used["refused"] == [
        {"step": 20, "why": "File adapter_model.safetensors of checkpoint 20 has changed."}
    ]


def test_nothing_to_go_on_from_is_said(engine: Engine) -> None:
    story, old = interrupted.lost(engine)
    assert runs.resumable(old, jobs.folder(settings.current(), old.id)) is None
    assert _refused(engine, story, old, Unavailable).startswith("No checkpoint of this run verif")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"rows_sha256": "0"}, "the pairs changed"),
        ({"settings": {"r": 1}}, "the settings changed"),
        ({"libraries": {"torch": "1.0"}}, "the versions of the libraries changed"),
    ],
)
def test_a_changed_ground_is_refused(
    engine: Engine, changed: dict[str, object], words: str
) -> None:
    story, old = interrupted.lost(engine, 10, **changed)
    assert words in _refused(engine, story, old, RuleBroken)


def test_the_gate_is_asked_again(engine: Engine) -> None:
    story, old = interrupted.lost(engine, 10)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE pair SET status = 'waiting' WHERE id = 1")
    assert "without a person's approval" in _refused(engine, story, old, RuleBroken)


def test_only_a_lead_goes_on_and_stops(engine: Engine) -> None:
    _story, old = interrupted.lost(engine, 10)
    eva = stories.person(engine, "eva", Role.EXPERT, Role.REVIEWER, Role.ADMIN)
    for verb in (asks.resume, asks.stop):
        with writing(engine) as session, pytest.raises(NotAllowed, match="asks for the role lead"):
            verb(session, eva, old.id, settings.current())


def test_a_run_that_diverged_would_diverge_again(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    job = tuned.launched(engine, story)
    directory = tuned.running(engine, job)
    interrupted.save(engine, job, 10)
    evidence.finish(directory, "failed", "The loss was no number.", {"diverged": True})
    reconcile.tick(engine, settings.current(), wait=False)
    assert "would diverge again" in _refused(engine, story, job, RuleBroken)
    assert [one.step for one in checkpoints.recorded(directory)] == [10], "it is kept to look at"


def test_a_run_that_goes_on_or_ran_to_its_end_is_not_gone_on_with(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    job = tuned.launched(engine, story)
    assert "is queued; only one that was lost" in _refused(engine, story, job, RuleBroken)
    with writing(engine) as session:
        asks.cancel(session, story.lead, job.id, settings.current())
    reconcile.tick(engine, settings.current(), wait=False)
    assert "is cancelled; only one that was" in _refused(engine, story, job, RuleBroken)
    adapter = tuned.trained(engine, story)
    with reading(engine) as session:
        done = jobs.get(session, adapter.job_id)
    with pytest.raises(RuleBroken, match="is finished; only one that was lost"):
        _resume(engine, story, done)


def test_stop_asks_a_running_run_only(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    job = tuned.launched(engine, story)
    here = settings.current()
    with writing(engine) as session, pytest.raises(RuleBroken, match="has begun"):
        asks.stop(session, story.lead, job.id, here)
    directory = tuned.running(engine, job)
    with writing(engine) as session:
        asks.stop(session, story.lead, job.id, here)
    assert evidence.stop_requested(directory)
    assert not evidence.cancel_requested(directory)
    evidence.write_json(directory / "launch.json", {"at": evidence.now(), "pid": 1})
    reconcile.tick(engine, here, wait=False)
    with writing(engine) as session, pytest.raises(RuleBroken, match="already lost"):
        asks.stop(session, story.lead, job.id, here)


def test_a_cancelled_run_leaves_nothing_that_it_learnt(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    here = settings.current()
    job = tuned.launched(engine, story)
    tuned.running(engine, job)
    directory = interrupted.save(engine, job, 10)
    (directory / "adapter").mkdir()
    evidence.request_cancel(directory)
    evidence.write_json(directory / "launch.json", {"at": evidence.now(), "pid": 1})
    reconcile.tick(engine, here)
    with reading(engine) as session:
        assert jobs.get(session, job.id).state is JobState.CANCELLED
    for name in ("checkpoints", "checkpoints.json", "adapter"):
        assert not (directory / name).exists(), name


def test_a_card_names_the_run_it_went_on_from(engine: Engine) -> None:
    from training.lifecycle import adapter_cards

    story, old = interrupted.lost(engine, 10)
    made = _resume(engine, story, old)
    used = made.spec["resumed_from"]
    shutil.rmtree(jobs.folder(settings.current(), made.id), ignore_errors=True)
    start = read(ResumedFrom, used | {"before": used | {"job": "first", "step": 5}})
    words = list(adapter_cards._resumed(start))
    assert words[0].startswith(f"- resumed from step 10 of run `{old.id}`, checkpoint sha256")
    assert words[1].startswith("- resumed from step 5 of run `first`")


def test_the_commands_say_why_not_in_one_sentence(engine: Engine) -> None:
    story, old = interrupted.lost(engine)
    for verb, words in (
        ("resume", "No checkpoint of this run verifies."),
        ("stop", "already lost"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "training", verb, old.id, "--as", story.lead.name],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_checkpoints_stay_with_a_run_that_was_stopped_and_go_with_one_that_ended(
    engine: Engine,
) -> None:
    story = tuned.frozen(engine, 20)
    job = tuned.launched(engine, story)
    tuned.running(engine, job)
    directory = interrupted.save(engine, job, 10)
    for asked, left in ((True, 1), (False, 0)):
        runs.tidy(job, directory, JobState.FINISHED, stopped=asked)
        assert len(checkpoints.recorded(directory)) == left
