"""Personal data in models' answers is counted by arm; answers are never changed for it."""

import json
from pathlib import Path

import pytest
from msgspec import structs
from sqlalchemy import Engine

from curation.personal import analyzer, pii
from storage import settings
from storage.engine import reading, writing
from storage.errors import Unavailable
from storage.types import Arm
from tests.support import stories, tuned
from training import asks
from training.proving import comparisons, output_scan
from training.records.parts import BaseModel
from training.records.record import written
from training.work import evidence, jobs
from training.work.rows import OutputLine


def _line(pair_id: int, arm: str, text: str) -> OutputLine:
    return OutputLine(pair_id=pair_id, arm=arm, text=text, valid=True, correct=False)


LINES = [
    _line(1, "base", "Please write to ana@example.com, order ORD-123456."),
    _line(1, "tuned", stories.CARDS),
    _line(2, "base", "x" * 200_001),
]
CONFIG = pii.Config(patterns=(("ORDER_NUMBER", '"ORD"-9{6}'),))


@pytest.fixture
def held(tmp_path: Path) -> evidence.Evidence:
    """The evidence of a job that runs here."""
    return evidence.Evidence(tmp_path)


def test_each_answer_is_scanned_as_the_project_has_it(held: evidence.Evidence) -> None:
    told, figures = output_scan.check(LINES, CONFIG, held)
    assert [line.personal for line in told] == [["EMAIL_ADDRESS", "ORDER_NUMBER"], [], None]
    assert [line.text for line in told] == [line.text for line in LINES]
    assert figures == {"scan_sha256": CONFIG.sha256}


def test_without_settings_or_a_model_the_answers_stay_and_it_is_said(
    held: evidence.Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert output_scan.check(LINES, None, held) == (LINES, {})

    def missing(*_args: object, **_kwargs: object) -> None:
        raise Unavailable("The language model is not installed.")

    monkeypatch.setattr(analyzer.Scanner, "scan", missing)
    told, figures = output_scan.check(LINES, CONFIG, held)
    assert told == LINES
    assert figures == {"personal_unread": "The language model is not installed."}


def test_a_second_model_that_is_gone_costs_no_answer(
    held: evidence.Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_DATA", str(tmp_path))
    gone = pii.Config(second_model="gone")
    told, figures = output_scan.check(LINES, gone, held)
    assert told == LINES
    assert "no second model 'gone'" in str(figures["personal_unread"])


def test_counts_are_frozen_with_the_comparison(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    evaluation = tuned.evaluated(engine, story, None, personal=(0, 1))
    found = comparisons.personal(evaluation, Arm.BASE)
    assert found is not None
    assert list(found.values()) == [("PERSON",), ("PERSON",)]
    assert comparisons.personal(evaluation, Arm.TUNED) is None


def test_an_answer_that_could_not_be_read_counts(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    lines = [
        structs.replace(_line(7, "base", ""), personal=None),
        structs.replace(_line(8, "base", ""), personal=[]),
    ]
    evaluation = tuned.evaluated(engine, story, None)
    evaluation.summary.update(comparisons.summary(lines, {}, {}))
    assert comparisons.personal(evaluation, Arm.BASE) == {7: ()}


def test_the_worker_gets_the_settings_of_the_project(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    here = settings.current()
    with writing(engine) as session:
        job = asks.evaluate(session, story.lead, story.version.id, BaseModel("packaged"), None)
    directory = jobs.folder(here, job.id)
    directory.mkdir(parents=True)
    with reading(engine) as session:
        task = comparisons.prepare(session, job, directory, here)
    spec = json.loads(json.dumps(written(task)))
    assert "cards" in pii.from_json(spec["scan"]).allow
