"""Pre-flight: each cause is found with what to do, and an error refuses the launch."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from storage.engine import reading, writing
from storage.errors import RuleBroken
from storage.types import JobKind
from tests.support import tuned
from tests.training.launch.test_estimates import BASE
from training import asks
from training.__main__ import app
from training.launch import preflight, probes, runs
from training.launch.preflight_checks import Check, Facts, Mark, checks, errors
from training.records.parts import BaseModel
from training.records.record import written
from training.records.rendered import RenderedPairs
from training.settings import Full, Lora, Provider, Qlora
from training.work import evidence, jobs

GOOD = Facts(
    base=BaseModel("packaged"),
    settings=Lora(max_length=512),
    train=100,
    validation=20,
    model=BASE,
    lengths=(80, 120),
    free_mb=50_000,
    accelerators=("Some GPU",),
)


def _one(facts: Facts, key: str) -> Check:
    return next(one for one in checks(facts) if one.key == key)


def test_a_sound_run_has_only_good_lines() -> None:
    assert {one.mark for one in checks(GOOD)} == {Mark.GOOD}
    assert len(checks(GOOD)) == 10
    assert _one(replace(GOOD, trackers=(("mlflow",), "")), "trackers").mark is Mark.GOOD


@pytest.mark.parametrize(
    ("facts", "key", "words"),
    [
        (replace(GOOD, train=0), "rows", "no training pairs"),
        (replace(GOOD, validation=0), "validation", "0 validation pairs"),
        (replace(GOOD, leak="Pair 3 repeats a test pair."), "leak", "Pair 3"),
        (replace(GOOD, base_problem="It has no chat template."), "base", "chat template"),
        (
            replace(GOOD, settings=Lora(max_length=256), lengths=(80, 300), too_long=(7,)),
            "long",
            "1 pair is longer than 256 tokens (pair 7)",
        ),
        (
            replace(GOOD, settings=Lora(max_length=2048), lengths=(80, 900)),
            "context",
            "900 tokens, and the base model reads 512",
        ),
        (replace(GOOD, trackers=((), "No such tracker.")), "trackers", "No such tracker"),
        (replace(GOOD, free_mb=100), "disk", "0.1 GB are free"),
        (
            replace(GOOD, settings=Provider(), endpoint_problem="Choose the endpoint."),
            "endpoint",
            "Choose the endpoint",
        ),
    ],
)
def test_what_would_fail_is_an_error(facts: Facts, key: str, words: str) -> None:
    found = _one(facts, key)
    assert (found.mark, words in found.finding) == (Mark.ERROR, True)
    assert checks(facts)[0] == found  # errors stand first
    assert errors(checks(facts)) == [found]


@pytest.mark.parametrize(
    ("facts", "key", "words"),
    [
        (replace(GOOD, accelerators=()), "accelerator", "No GPU was found"),
        (replace(GOOD, accelerators=(), settings=Qlora()), "accelerator", "choose LoRA"),
        (replace(GOOD, lengths=None), "long", "not counted yet"),
        (replace(GOOD, base_present=False, model=None), "base", "converted first"),
        (
            replace(GOOD, base=BaseModel("hub", "a/b"), base_present=False),
            "base",
            "fetched from the hub",
        ),
        (replace(GOOD, settings=Lora(max_length=4096)), "context", "4096 tokens are allowed"),
        (replace(GOOD, waiting=2), "queue", "wait for 2 jobs"),
        (replace(GOOD, libraries={"trl": ("9", "1.16")}), "libraries", "trl 9 (tested: 1.16)"),
    ],
)
def test_what_is_worth_knowing_is_a_note(facts: Facts, key: str, words: str) -> None:
    found = _one(facts, key)
    assert found.mark is Mark.NOTE
    assert words in f"{found.finding} {found.fix}"
    assert errors(checks(facts)) == []


def test_full_tuning_asks_for_more_of_the_disk() -> None:
    lora, full = _one(GOOD, "disk"), _one(replace(GOOD, settings=Full()), "disk")
    assert lora.mark is full.mark is Mark.GOOD
    assert errors(checks(replace(GOOD, settings=Full(), free_mb=520)))
    assert not errors(checks(replace(GOOD, free_mb=520)))


def test_facts_of_a_real_version_come_together(engine: Engine, tmp_path: Path) -> None:
    story = tuned.frozen(engine, 20)
    wish = runs.RunPlan(story.version.id, "x", BaseModel("folder", str(tmp_path)), Lora())
    with reading(engine) as session:
        facts = preflight.gather(session, wish)
    assert (facts.train, facts.validation, facts.leak) == (13, 3, "")
    assert "no readable config.json" in facts.base_problem
    assert facts.lengths is None
    assert facts.free_mb > 0
    assert facts.libraries == {}  # the tests run on the pinned versions


def test_a_launch_that_could_only_fail_is_refused(engine: Engine, tmp_path: Path) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    wish = runs.RunPlan(story.version.id, "x", BaseModel("folder", str(tmp_path)), Lora())
    with writing(engine) as session, pytest.raises(RuleBroken, match=r"no readable config\.json"):
        asks.launch(session, story.lead, wish)
    command = ["preflight", "--base", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert (done.exit_code, '"mark": "error"' in done.output) == (1, True)
    assert CliRunner().invoke(app, ["preflight"], catch_exceptions=False).exit_code == 0


def test_rows_that_a_probe_found_too_long_refuse_the_launch(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    wish = runs.RunPlan(story.version.id, "x", settings=Lora(max_length=64))
    with writing(engine) as session:
        probe = asks.probe(session, story.lead, wish)
    rendered = RenderedPairs(
        lengths=(50, 70),
        limit=64,
        too_long=1,
        too_long_rows=((5, 70),),
        shared=10,
        mean=60.0,
        learnt=20,
        examples=(),
    )
    evidence.write_json(tuned.running(engine, probe) / probes.ROWS_FILE, written(rendered))
    with writing(engine) as session, pytest.raises(RuleBroken, match=r"1 pair is .* \(pair 5\)"):
        asks.launch(session, story.lead, wish)
    with reading(engine) as session:
        assert jobs.listing(session, story.project.id, JobKind.TRAIN) == []
