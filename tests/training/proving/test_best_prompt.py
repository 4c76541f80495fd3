"""The base model's best prompt: which examples, how many, and what is said of it."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from curation.versions import archive
from storage import settings
from storage.engine import writing
from storage.types import Origin, Project, Split, VersionRow
from tests.support import stories, tuned
from training import asks
from training.proving import best_prompt, comparisons
from training.records.parts import BaseModel, Prompting, PromptTrial
from training.work import jobs
from training.work.rows import read_held_out


def _row(number: int, team: str, origin: Origin = Origin.DRAFT) -> VersionRow:
    answer = f'{{"team": "{team}"}}'
    return VersionRow(
        number, Split.TRAIN, f"Message {number}", answer, f"{number:064}", origin, number
    )


@pytest.fixture
def desk(engine: Engine) -> Project:
    return replace(stories.project(engine), label_field="team")


def test_examples_are_gold_first_and_take_labels_in_turn(desk: Project) -> None:
    rows = [_row(i, "cards") for i in range(6)] + [_row(6, "loans", Origin.GOLD), _row(7, "loans")]
    chosen = best_prompt.examples(rows, desk)
    assert [row.pair_id for row in chosen] == [6, 0, 7, 1, 2, 3, 4, 5]
    assert best_prompt.examples(rows[::-1], desk) == chosen
    assert len(best_prompt.examples([_row(i, "cards") for i in range(20)], desk)) == 8


def test_the_best_is_right_most_often_and_short_where_equal() -> None:
    tried = [
        PromptTrial(examples=0, correct=3, valid=5, n=10),
        PromptTrial(examples=2, correct=4, valid=4, n=10),
        PromptTrial(examples=4, correct=4, valid=6, n=10),
        PromptTrial(examples=8, correct=4, valid=6, n=10),
    ]
    assert best_prompt.best(tried).examples == 4
    assert best_prompt.best(tried[:1]).examples == 0
    assert list(best_prompt.numbers(5)) == [0, 2, 4]


def test_what_the_base_was_given_is_said_with_counts() -> None:
    tried = (
        PromptTrial(examples=0, correct=1, valid=9, n=9),
        PromptTrial(examples=2, correct=4, valid=9, n=9),
    )
    told = best_prompt.prompt_scores(Prompting(chosen=2, tried=tried))
    assert "2 examples from the training pairs" in told
    assert told.endswith("Right on validation pairs: 1 of 9 with 0, 4 of 9 with 2 examples")
    assert "system message alone" in best_prompt.prompt_scores(None)


def test_examples_are_train_rows_and_are_tried_on_validation_rows(engine: Engine) -> None:
    story = tuned.frozen(engine, 40)
    here = settings.current()
    with writing(engine) as session:
        job = asks.evaluate(
            session, story.lead, story.version.id, BaseModel("packaged"), None, best_prompt=True
        )
        directory = jobs.folder(here, job.id)
        directory.mkdir(parents=True)
        files = comparisons.prepare(session, job, directory, here).prompting
        known = {row.pair_id: row.split for row in archive.opened(session, story.version.id).rows}
    assert files is not None
    assert _splits(directory / files.examples, known) == [Split.TRAIN] * 8
    assert set(_splits(directory / files.rows, known)) == {Split.VALIDATION}


def _splits(path: Path, known: dict[int, Split]) -> list[Split]:
    return [known[row.pair_id] for row in read_held_out(path)]


def test_without_validation_rows_there_is_nothing_to_choose_on(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    none = replace(story.version, counts={**story.version.counts, Split.VALIDATION: 0})
    assert comparisons.can_prompt(story.version)
    assert not comparisons.can_prompt(none)
    assert not comparisons.can_prompt(story.version, {"kind": "provider"})
