"""Comparisons: only held-out rows, only an adapter that never saw them, answers frozen."""

import json

import pytest
from sqlalchemy import Engine

from curation.gate import readiness
from curation.statistics import wilson
from curation.versions import archive, freezing
from storage import settings
from storage.engine import reading, writing
from storage.errors import NotAllowed, NotFound, RuleBroken, Unavailable
from storage.types import Arm, JobKind, JobState, Role, Split
from tests.support import curated, stories, tuned
from training import asks
from training.proving import comparisons
from training.records.parts import BaseModel
from training.work import evidence, jobs

PACKAGED = BaseModel("packaged")


def test_answers_are_frozen_and_counted_by_arm(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine, 40, base_right=(0, 1))
    assert evaluation.summary["n"] == 8
    assert evaluation.summary["base"] == {"correct": 2, "valid": 2}
    assert evaluation.summary["tuned"] == {"correct": 7, "valid": 7}
    with reading(engine) as session:
        answers = comparisons.outputs(session, evaluation.id)
        held = archive.rows(session, story.version.id, Split.TEST)
    assert set(answers) == {row.pair_id for row in held}
    assert all(set(arms) == set(Arm) for arms in answers.values())


def test_rows_of_several_eras_are_counted_by_era(engine: Engine) -> None:
    evaluation = tuned.of_two_eras(engine)
    told = evaluation.summary["eras"]
    assert list(told) == ["", "new", "old"]
    assert [told[name]["n"] for name in told] == [3, 3, 2]
    assert sum(one["base"]["correct"] for one in told.values()) == 2
    assert told["old"]["tuned"]["correct"] == 1
    assert told["old"]["tuned"]["interval"] == list(wilson(1, 2))


def test_rows_of_one_era_are_counted_once(engine: Engine) -> None:
    _, evaluation = tuned.compared(engine, 20)
    assert "eras" not in evaluation.summary


def test_the_baseline_meets_its_readiness_line(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)

    def line() -> tuple[bool, str]:
        with reading(engine) as session:
            report = readiness.report(session, story.project.id)
            found = next(signal for signal in report if signal.key == "baseline")
            return found.met, found.measured

    assert line() == (False, "not measured")
    tuned.evaluated(engine, story, None, base_right=(0,))
    assert line() == (True, "1 of 4 right")


def test_the_worker_gets_the_test_rows_and_no_other(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    here = settings.current()
    with writing(engine) as session:
        job = asks.evaluate(session, story.lead, story.version.id, PACKAGED, None)
        directory = jobs.folder(here, job.id)
        directory.mkdir(parents=True)
        task = comparisons.prepare(session, job, directory, here)
        held = archive.rows(session, story.version.id, Split.TEST)
    lines = [json.loads(line) for line in (directory / "rows.jsonl").read_text().splitlines()]
    assert [line["pair_id"] for line in lines] == [row.pair_id for row in held]
    assert {line["split"] for line in lines} == {"test"}
    assert task.system_message == story.project.system_message
    assert task.output_schema == stories.SCHEMA
    assert task.adapter_path is None


def test_a_version_without_test_rows_or_with_changed_rows_is_refused(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    with writing(engine) as session:
        with pytest.raises(NotFound):
            asks.evaluate(session, story.lead, 99, PACKAGED, None)
        with pytest.raises(NotFound, match="no adapter 7 in this project"):
            asks.evaluate(session, story.lead, story.version.id, PACKAGED, 7)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER version_row_no_update")
        connection.exec_driver_sql("UPDATE version_row SET response = '{}' WHERE split = 'test'")
    with writing(engine) as session, pytest.raises(Unavailable, match="no longer has the pairs"):
        asks.evaluate(session, story.lead, story.version.id, PACKAGED, None)


def test_an_adapter_is_never_judged_on_rows_it_was_trained_on(engine: Engine) -> None:
    """A newer version holds out more rows; some of them trained the older adapter."""
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    more = stories.messages(60, start=100)
    curated.approved(engine, story.project, more)
    curated.compared(engine, story.project)
    with writing(engine) as session:
        newer = freezing.freeze(session, story.lead, story.project.id, 3)
        before = {
            row.pair_id
            for row in archive.rows(session, story.version.id)
            if row.split is not Split.TEST
        }
        now = {row.pair_id for row in archive.rows(session, newer.id, Split.TEST)}
        assert before & now, "the seed leaves nothing to refuse"
        with pytest.raises(RuleBroken, match=rf"was trained on {len(before & now)} of these"):
            asks.evaluate(session, story.lead, newer.id, PACKAGED, adapter.id)
        job = asks.evaluate(session, story.lead, story.version.id, PACKAGED, adapter.id)
    assert job.spec["base"] == adapter.card["base"]


def test_one_comparison_at_a_time_and_only_by_a_lead(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    ben = stories.person(engine, "ben", Role.REVIEWER, Role.EXPERT)
    with writing(engine) as session:
        with pytest.raises(NotAllowed, match="asks for the role lead"):
            asks.evaluate(session, ben, story.version.id, PACKAGED, None)
        asks.evaluate(session, story.lead, story.version.id, PACKAGED, None)
        with pytest.raises(RuleBroken, match="already going on"):
            asks.evaluate(session, story.lead, story.version.id, PACKAGED, None)


@pytest.mark.parametrize(
    "outputs",
    [
        b'{"pair_id": 1, "arm": "base"}\n',
        b'{"pair_id": 999, "arm": "base", "text": "", "valid": true, "correct": true,'
        b' "sha256": ""}\n',
        b"[1]\n",
        b"{not json\n",
        b"\xff\n",
    ],
)
def test_answers_that_cannot_be_taken_in_end_the_job_in_words(
    engine: Engine, outputs: bytes
) -> None:
    story = tuned.frozen(engine, 20)
    with writing(engine) as session:
        job = asks.evaluate(session, story.lead, story.version.id, PACKAGED, None)
    ended = tuned.finished(engine, job, {"outputs.jsonl": outputs}, {"n": 4})
    assert ended.state is JobState.FAILED
    assert ended.message is not None
    assert "could not be taken in" in ended.message
    with reading(engine) as session:
        assert comparisons.listing(session, story.project.id) == []
        assert jobs.listing(session, story.project.id, JobKind.EVALUATE)[0].state.final


def test_a_missing_result_file_ends_the_job_in_words(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    with writing(engine) as session:
        job = asks.evaluate(session, story.lead, story.version.id, PACKAGED, None)
    assert tuned.finished(engine, job, {}, {"n": 4}).state is JobState.FAILED
    assert evidence.read_result(jobs.folder(settings.current(), job.id))
