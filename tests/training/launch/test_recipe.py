"""A recipe: file, command line and launch say the same; hostile files are refused in words."""

import shlex
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine
from typer.testing import CliRunner

from storage.engine import reading
from storage.errors import AssayError, BadInput, RuleBroken
from storage.types import JobKind
from tests.support import tuned
from training.__main__ import app
from training.launch import recipe, runs
from training.launch.presets import presets, usual
from training.records.parts import BaseModel
from training.records.record import written
from training.settings import METHODS, Full, Lora, Method, Tuning
from training.work import jobs

PACKAGED = BaseModel("packaged")
WISHES = [
    (PACKAGED, Lora()),
    (PACKAGED, Lora(epochs=1, learning_rate=1e-7, targets=("q_proj",), max_steps=4, dora=True)),
    (BaseModel("hub", "some-org/some-model", "main"), Full(gradient_checkpointing=True)),
    *((PACKAGED, p.settings) for m in METHODS for p in presets(usual(m, PACKAGED))),
]


@pytest.fixture
def story(engine: Engine) -> tuned.Frozen:
    """A version that may be launched."""
    made = tuned.frozen(engine, 20)
    tuned.waive(engine, made.lead, made.project)
    return made


@pytest.mark.parametrize(("base", "settings"), WISHES)
def test_a_saved_recipe_reads_back_the_same(base: BaseModel, settings: Tuning) -> None:
    made = recipe.Recipe(3, "0" * 64, 'Ünïcode: "quoted" # 1', base, settings)
    assert recipe.from_yaml(recipe.to_yaml(made)) == made


def test_the_shown_command_launches_the_shown_run(engine: Engine, story: tuned.Frozen) -> None:
    settings = Lora(learning_rate=3e-4, epochs=2, targets=("q_proj", "down_proj"), rslora=True)
    wish = runs.RunPlan(story.version.id, "It's a run; $HOME", PACKAGED, settings)
    shown = recipe.command(recipe.of(wish, story.version), story.project.name, "lena")
    words = shlex.split(shown)
    assert words[:4] == ["python", "-m", "training", "launch"]
    done = CliRunner().invoke(app, [*words[3:], "--no-wait"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with reading(engine) as session:
        (job,) = jobs.listing(session, story.project.id, JobKind.TRAIN)
        _, spec = runs.request(session, wish)
    assert {key: job.spec[key] for key in written(spec)} == written(spec)


def test_a_file_launches_its_run_and_no_other_rows(
    engine: Engine, story: tuned.Frozen, tmp_path: Path
) -> None:
    wish = runs.RunPlan(story.version.id, "From a file", PACKAGED, Lora(epochs=1))
    path = tmp_path / "run.yaml"
    text = recipe.to_yaml(recipe.of(wish, story.version))
    path.write_text(text, encoding="utf-8")
    command = ["launch", "--as", "lena", "--recipe", str(path), "--no-wait"]
    refused = CliRunner().invoke(app, [*command, "--set", "epochs=3"])
    assert (refused.exit_code, "not both" in refused.output) == (1, True)
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with reading(engine) as session:
        (job,) = jobs.listing(session, story.project.id, JobKind.TRAIN)
        _, spec = runs.request(session, wish)
    assert {key: job.spec[key] for key in written(spec)} == written(spec)
    for change, words in (
        ({"version": 9}, "which this project does not have"),
        ({"version_sha256": "0" * 64}, "its pairs differ"),
    ):
        changed = recipe.from_yaml(yaml.safe_dump(yaml.safe_load(text) | change))
        with reading(engine) as session, pytest.raises(RuleBroken, match=words):
            recipe.wish(session, story.project.id, changed)


def test_what_a_file_leaves_out_is_usual() -> None:
    read = recipe.from_yaml("version: 2\nsettings: {learning_rate: 1e-3, epochs: '2'}")
    assert read.settings == recipe.chosen("lora", PACKAGED, {"learning_rate": 1e-3, "epochs": 2})
    assert read.settings != Lora(epochs=2)  # the packaged model has usual settings of its own
    assert (read.version, read.version_sha256, read.name) == (2, None, "")


HOSTILE = {
    "a tag that makes objects": "!!python/object/apply:os.system ['true']",
    "not a mapping": "- 1\n- 2",
    "no version": "name: x",
    "a version that is no number": "version: true",
    "an unknown key": "version: 1\nhooks: [x]",
    "an unknown setting": "version: 1\nsettings: {method: lora, trust_remote_code: true}",
    "an unknown method": "version: 1\nsettings: {method: magic}",
    "an unknown key of the base": "version: 1\nbase: {kind: folder, where: /x, token: y}",
    "a base of no kind": "version: 1\nbase: {kind: url, where: 'http://x'}",
    "a value of another kind": "version: 1\nsettings: {epochs: [1]}",
    "a value beyond its range": "version: 1\nsettings: {r: 100000}",
    "a number of 5,000 digits": "version: " + "9" * 5000,
    "anchors that grow": "a: &a [x, x]\nb: [*a, *a]",
    "a key twice": "version: 1\nversion: 2",
    "too deep": "version: " + "[" * 20000,
    "too large": "# " + "x" * recipe.LARGEST,
    "no text at all": b"\xff\xfe\x00",
    "a broken line": "version: 1\n  name: : x\n\t- y",
    "a key that is a list": "? [version]\n: 1",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused_in_one_sentence_or_two(content: str | bytes) -> None:
    with pytest.raises(BadInput) as refused:
        recipe.from_yaml(content)
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["epochs", "epochs=many", "learning_rate=1e", "dora=perhaps"])
def test_a_setting_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(AssayError):
        recipe.chosen("lora", PACKAGED, recipe.read_sets("lora", [text]))


def test_the_usual_settings_of_each_method_are_its_own() -> None:
    for method in METHODS:
        assert usual(method, PACKAGED).METHOD is method
        assert usual(method) == METHODS[method]()
    assert usual(Method.LORA, PACKAGED) != Lora()
