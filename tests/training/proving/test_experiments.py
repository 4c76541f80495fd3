"""Experiments: runs queued together, on nested parts of the rows, measured by themselves."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from curation.versions import archive
from storage.engine import reading, writing
from storage.errors import BadInput, NotAllowed, RuleBroken
from storage.settings import current
from storage.types import Job, JobKind, JobState, Role, Split
from tests.support import stories, tuned
from training import asks
from training.launch import runs
from training.proving import experiments, side_by_side
from training.settings import Lora
from training.work import jobs


def _wish(story: tuned.Frozen) -> runs.RunPlan:
    return runs.RunPlan(story.version.id, "Desk", settings=Lora(epochs=1))


def _ready(engine: Engine, rows: int = 40) -> tuned.Frozen:
    story = tuned.frozen(engine, rows)
    tuned.waive(engine, story.lead, story.project)
    return story


def _evaluations(engine: Engine, story: tuned.Frozen) -> list[Job]:
    with reading(engine) as session:
        return jobs.listing(session, story.project.id, JobKind.EVALUATE)


def _sweep(engine: Engine, story: tuned.Frozen, **grid: list[Any]) -> list[Job]:
    with writing(engine) as session:
        return asks.sweep(session, story.lead, _wish(story), grid)


def _finished_curve(engine: Engine, story: tuned.Frozen) -> experiments.Experiment:
    """A learning curve whose runs are wrong on 6, 4, 2 and 1 of the 8 test rows."""
    with writing(engine) as session:
        queued = asks.curve(session, story.lead, _wish(story))
    for rows, job in zip((6, 13, 20, 26), queued, strict=True):
        tuned.saved(engine, job, rows=rows)
    for wrong, job in zip((6, 4, 2, 1), reversed(_evaluations(engine, story)), strict=True):
        tuned.answered(engine, job, tuned_wrong=range(wrong))
    with reading(engine) as session:
        return experiments.listing(session, story.project.id)[0]


def test_a_sweep_queues_every_combination_and_says_what_each_varies(engine: Engine) -> None:
    story = _ready(engine)
    queued = _sweep(engine, story, r=[8, 16], learning_rate=[0.001, 0.002])
    told = [(job.spec["settings"]["r"], job.spec["settings"]["learning_rate"]) for job in queued]
    assert told == [(8, 0.001), (8, 0.002), (16, 0.001), (16, 0.002)]
    assert queued[1].spec["name"] == "Desk · r 8, learning rate 0.002"
    with reading(engine) as session:
        (found,) = experiments.listing(session, story.project.id)
    assert (found.kind, found.going, len(found.entries)) == (experiments.ExperimentKind.SWEEP, 4, 4)


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"r": [1, 2, 4, 8, 16], "alpha": [1, 2]}, "makes 10 runs; a sweep has 2 to 9"),
        ({"r": [8]}, "makes 1 runs"),
        ({"r": [8, 8]}, "each value of r once"),
        ({"r": [8, 999]}, "The rank r is 999"),
    ],
)
def test_a_grid_that_cannot_be_run_queues_nothing(
    engine: Engine, grid: dict[str, list[Any]], words: str
) -> None:
    story = _ready(engine)
    with pytest.raises(BadInput, match=words):
        _sweep(engine, story, **grid)
    with reading(engine) as session:
        assert jobs.listing(session, story.project.id) == []


def test_the_gate_and_the_role_hold_for_experiments(engine: Engine) -> None:
    story = tuned.frozen(engine, 40)
    with pytest.raises(RuleBroken, match="Not ready"):
        _sweep(engine, story, r=[8, 16])
    eva = stories.person(engine, "eva", Role.EXPERT)
    with writing(engine) as session, pytest.raises(NotAllowed):
        asks.curve(session, eva, _wish(story))


def test_parts_of_the_rows_are_nested_whole_in_groups_and_as_large_as_asked(
    engine: Engine,
) -> None:
    story = tuned.frozen(engine, 40)
    with reading(engine) as session:
        train = archive.rows(session, story.version.id, Split.TRAIN)
    before: set[int] = set()
    for share in experiments.SHARES:
        kept = runs.nested(train, share, seed=7)
        ids = {row.pair_id for row in kept}
        assert before <= ids
        assert abs(len(kept) - share * len(train)) <= 1
        groups = {row.group for row in kept}
        assert ids == {row.pair_id for row in train if row.group in groups}
        before = ids
    assert before == {row.pair_id for row in train}


def test_a_part_trains_on_its_rows_and_the_card_says_so(engine: Engine) -> None:
    story = _ready(engine)
    with writing(engine) as session:
        first = asks.curve(session, story.lead, _wish(story))[0]
    with reading(engine) as session:
        folder = tuned.running(engine, first)
        task = runs.prepare(session, first, folder, current())
    lines = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    splits = [line["split"] for line in lines]
    assert (splits.count("train"), splits.count("validation")) == (6, 6)
    assert task.rows_path == "rows.jsonl"


def test_each_run_is_measured_when_it_ends_and_the_curve_says_what_rows_are_worth(
    engine: Engine,
) -> None:
    story = _ready(engine)
    found = _finished_curve(engine, story)
    assert [entry.varies["share"] for entry in found.entries] == list(experiments.SHARES)
    assert all(entry.adapter and entry.comparison for entry in found.entries)
    assert found.entries[0].adapter is not None
    assert found.entries[0].adapter.card["share"] == 0.25
    with reading(engine) as session:
        curve = experiments.fitted(session, found)
    worth = curve.worth(20)
    assert curve.share(26) == pytest.approx(7 / 8, abs=0.1)
    assert worth.low <= worth.gain <= worth.high
    assert worth.gain > 0


def test_a_curve_waits_for_three_runs_and_is_kept_back_while_sealed(engine: Engine) -> None:
    story = _ready(engine)
    with writing(engine) as session:
        queued = asks.curve(session, story.lead, _wish(story))
    with reading(engine) as session:
        (found,) = experiments.listing(session, story.project.id)
        with pytest.raises(RuleBroken, match="at least 3 sizes"):
            experiments.fitted(session, found)
    tuned.saved(engine, queued[0])
    measured = tuned.answered(engine, _evaluations(engine, story)[0])
    tuned.planned(engine, story, measured)
    with reading(engine) as session:
        (found,) = experiments.listing(session, story.project.id)
        assert found.entries[0].sealed
        with pytest.raises(RuleBroken, match="sealed"):
            experiments.fitted(session, found)


def test_runs_beside_each_other_tell_settings_scores_and_rows(engine: Engine) -> None:
    story = _ready(engine)
    first, second = _sweep(engine, story, r=[8, 16])
    for job, loss in ((first, 0.4), (second, 0.2)):
        tuned.saved(engine, job, loss=loss)
    asked = list(reversed(_evaluations(engine, story)))
    tuned.answered(engine, asked[0], tuned_wrong=(0, 1, 2))
    tuned.answered(engine, asked[1], tuned_wrong=(2, 5))
    with reading(engine) as session:
        found = [jobs.get(session, job.id) for job in (first, second)]
        measured = side_by_side.scored(session, story.project.id, found)
        rows = side_by_side.differing(session, story.version.id, measured)
    assert side_by_side.settings(found) == {"r": [8, 16]}
    assert [one.hits for one in measured] == [5, 6]
    assert side_by_side.paired(*measured) == side_by_side.Paired(2, 1, 1.0)
    assert [[one.correct for one in answers] for _row, answers in rows] == [
        [False, True],
        [False, True],
        [True, False],
    ]


def test_a_run_that_goes_on_stands_for_the_one_that_was_lost(engine: Engine) -> None:
    story = _ready(engine)
    first, _second = _sweep(engine, story, r=[8, 16])
    with writing(engine) as session:
        again = jobs.queue(
            session,
            story.lead,
            story.project.id,
            JobKind.TRAIN,
            first.spec | {"resumed_from": {"job": first.id, "step": 3, "sha256": "0" * 64}},
        )
    with reading(engine) as session:
        (found,) = experiments.listing(session, story.project.id)
    assert found.entries[0].job.id == again.id
    assert found.entries[0].job.state is JobState.QUEUED
