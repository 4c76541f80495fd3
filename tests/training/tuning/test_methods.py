"""Each method once through: launched by the verb, trained, taken in, asked for its answers."""

import gc
import io
import json
import weakref
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from curation.overlap import duplicates
from curation.review import claims, decisions
from curation.versions import archive, freezing
from pages.train.adapters import card as adapter_card
from storage import settings
from storage.engine import reading, writing
from storage.errors import NotFound, RuleBroken
from storage.tables import AdapterRow
from storage.types import (
    Adapter,
    Arm,
    Comparison,
    Job,
    JobState,
    Origin,
    Role,
    Split,
    Version,
)
from tests.support import curated, stories, tuned
from tests.support.tiny_model import job, rows
from training import asks, reconcile, worker
from training.families import LAYERS
from training.launch import lineage, runs
from training.lifecycle import adapter_cards, adapter_files
from training.models import adapters, base_models, vetting
from training.proving import comparisons
from training.records import cards
from training.records.parts import BaseModel
from training.settings import Full, Lora, Preference, Qlora, Tuning
from training.work import evidence, jobs, machine, processes

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_code")]

WORSE = "I am not sure. Please call the bank."


@pytest.fixture(scope="module")
def base(small: Path) -> BaseModel:
    """A tiny base model."""
    return BaseModel("folder", str(small))


def _corrected(engine: Engine) -> tuned.Frozen:
    """A frozen version in which a person corrected every answer, scanned as it arrived."""
    desk = stories.project(engine)
    right = stories.messages(20)
    drafts = [(prompt, WORSE) for prompt, _ in right]
    stories.waiting(engine, desk, drafts, Origin.DRAFT)
    curated.scanned(engine, desk)
    ana, answer = curated.ana(engine), dict(right)
    with writing(engine) as session:
        for card in claims.lease(session, ana, desk.id, limit=100, now=curated.LONG_AGO):
            decisions.decide(session, ana, stories.op(card, response=answer[card.pair.prompt]))
    version = curated.frozen(engine, desk)
    story = tuned.Frozen(stories.person(engine, "lena", Role.LEAD), desk, version)
    tuned.waive(engine, story.lead, desk)
    return story


def _seen_out(engine: Engine, job: Job) -> Job:
    """The job when it has ended."""
    for ended in reconcile.finish_all(engine, settings.current(), job.id):
        job = ended
    assert job.state is JobState.FINISHED, job.message
    return job


def _trained(
    engine: Engine, story: tuned.Frozen, base: BaseModel, chosen: Tuning
) -> tuple[Adapter, Path]:
    """The adapter that a run by these settings becomes, and its folder."""
    with writing(engine) as session:
        wish = runs.RunPlan(story.version.id, chosen.METHOD.value, base, chosen)
        job = asks.launch(session, story.lead, wish)
    _seen_out(engine, job)
    with reading(engine) as session:
        found = adapters.listing(session, story.project.id)[0]
    assert found.job_id == job.id
    return found, settings.current().data / found.path


def _answered(engine: Engine, story: tuned.Frozen, adapter: Adapter) -> Comparison:
    """The comparison of an adapter with its base, with an answer of both to every test row."""
    with writing(engine) as session:
        job = asks.evaluate(
            session, story.lead, story.version.id, cards.of(adapter).base, adapter.id
        )
    _seen_out(engine, job)
    with reading(engine) as session:
        found = comparisons.listing(session, story.project.id)[0]
        outputs = comparisons.outputs(session, found.id)
        held = archive.rows(session, story.version.id, Split.TEST)
    assert found.adapter_id == adapter.id
    assert set(outputs) == {row.pair_id for row in held}
    assert all(set(arms) == {Arm.BASE, Arm.TUNED} for arms in outputs.values())
    assert any(arms[Arm.BASE].text != arms[Arm.TUNED].text for arms in outputs.values())
    return found


def _plain(engine: Engine) -> tuned.Frozen:
    """A version of 20 rows that may be trained on."""
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    return story


@pytest.mark.usefixtures("in_process")
def test_lora_with_rslora_and_dora_on_all_layers(engine: Engine, base: BaseModel) -> None:
    story = _plain(engine)
    chosen = Lora(epochs=1, learning_rate=0.05, targets=LAYERS, rslora=True, dora=True)
    adapter, folder = _trained(engine, story, base, chosen)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["use_rslora"], config["use_dora"]) == (True, True)
    assert set(config["target_modules"]) == set(LAYERS)
    assert adapter.card["result"]["precision"] == "usual"
    made = _answered(engine, story, adapter).summary["made"]
    assert made["precision"] == "usual"


@pytest.mark.usefixtures("in_process")
def test_a_base_that_answered_the_rows_is_not_asked_again(
    engine: Engine, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = _plain(engine)
    adapter, _ = _trained(engine, story, base, Lora(epochs=1, learning_rate=0.05))
    asked = _answered(engine, story, adapter)
    again = _answered(engine, story, adapter)
    assert "base_answers_of" not in asked.summary["made"]
    assert again.summary["made"]["base_answers_of"] == asked.id
    assert again.summary["base"] == asked.summary["base"]
    with reading(engine) as session:
        assert comparisons.outputs(session, again.id) == comparisons.outputs(session, asked.id)
        job = jobs.get(session, again.job_id)
        prepared = partial(comparisons.prepare, session, job, settings.current().jobs / job.id)
        earlier = prepared(settings.current()).base_answers
        assert earlier is not None
        assert earlier.evaluation == again.id
        monkeypatch.setattr(machine, "setup", lambda: {"device": "another card"})
        assert prepared(settings.current()).base_answers is None


@pytest.mark.usefixtures("in_process")
def test_the_base_gets_the_examples_that_help_it_most(engine: Engine, base: BaseModel) -> None:
    story = _plain(engine)
    _asked_alone(engine, story, base, best_prompt=False)
    found = _asked_alone(engine, story, base, best_prompt=True)
    again = _asked_alone(engine, story, base, best_prompt=True)
    prompting = found.summary["made"]["prompting"]
    assert [one["examples"] for one in prompting["tried"]] == [0, 2, 4, 8]
    assert {one["n"] for one in prompting["tried"]} == {story.version.counts[Split.VALIDATION]}
    assert len(prompting["pair_ids"]) == prompting["chosen"]
    assert "base_answers_of" not in found.summary["made"]  # the first was asked otherwise
    assert again.summary["made"]["base_answers_of"] == found.id
    assert again.summary["made"]["prompting"] == prompting


def _asked_alone(
    engine: Engine, story: tuned.Frozen, base: BaseModel, *, best_prompt: bool
) -> Comparison:
    with writing(engine) as session:
        job = asks.evaluate(
            session, story.lead, story.version.id, base, None, best_prompt=best_prompt
        )
    _seen_out(engine, job)
    with reading(engine) as session:
        return comparisons.listing(session, story.project.id)[0]


@pytest.mark.usefixtures("in_process")
def test_qlora_is_trained_and_asked_on_a_4_bit_base(engine: Engine, base: BaseModel) -> None:
    story = _plain(engine)
    chosen = Qlora(epochs=1, learning_rate=0.05, targets=LAYERS)
    adapter, _folder = _trained(engine, story, base, chosen)
    result = adapter.card["result"]
    assert (result["precision"], result["batches"]) == ("nf4_double", "joined")
    assert _answered(engine, story, adapter).summary["made"]["precision"] == "nf4_double"


@pytest.mark.usefixtures("in_process")
def test_full_tuning_leaves_a_whole_model(
    engine: Engine, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = _plain(engine)
    adapter, folder = _trained(engine, story, base, Full(epochs=1, learning_rate=0.01))
    vetting.vet(folder)
    assert not (folder / "adapter_config.json").exists()
    assert "model.safetensors" in adapter.card["result"]["adapter_files"]
    assert "all weights trained" in _card(engine, adapter)
    assert "model.safetensors" in _packed(engine, adapter)
    with monkeypatch.context() as small:
        small.setattr(adapter_files, "LARGEST", 1000)
        assert _packed(engine, adapter) == {"WHERE.txt", "card.json", "card.md"}
    with writing(engine) as session:
        told = _refused(session, story, story.version, adapter.id)
    assert "is a whole model; preference tuning goes on from an adapter" in told
    loads: list[weakref.ref[Any]] = []
    load = base_models.load

    def noted(*args: Any) -> Any:  # noqa: ANN401 - as base_models.load
        gc.collect()
        assert all(one() is None for one in loads), "two models are in memory at once"
        made = load(*args)
        loads.append(weakref.ref(made[0]))
        return made

    monkeypatch.setattr(base_models, "load", noted)
    _answered(engine, story, adapter)
    assert len(loads) == 2


def _packed(engine: Engine, adapter: Adapter) -> set[str]:
    """The files of an adapter's zip."""
    with reading(engine) as session:
        content = adapter_files.package(session, adapter.id, settings.current())
    return set(zipfile.ZipFile(io.BytesIO(content)).namelist())


def _card(engine: Engine, adapter: Adapter) -> str:
    """How the card on the screen says it was trained."""
    with reading(engine) as session:
        card = adapter_cards.build(session, adapter)
    return "\n".join(adapter_card._training(cards.complete(card)))


@pytest.mark.usefixtures("workers")
def test_preference_goes_on_from_an_adapter(
    engine: Engine, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first adapter is trained in this process, the second in one of its own."""
    story = _corrected(engine)
    with monkeypatch.context() as inside:
        inside.setattr(processes, "start", lambda directory, *_: worker.work(directory))
        first, _ = _trained(engine, story, base, Qlora(epochs=1, learning_rate=0.05))
    chosen = Preference(
        epochs=1, learning_rate=0.02, batch_size=4, max_steps=2, adapter_id=first.id
    )
    second, folder = _trained(engine, story, BaseModel("packaged"), chosen)
    assert second.card["started_from"]["sha256"] == first.sha256
    assert second.card["base"] == base.to_dict(), "the base is that of the adapter"
    assert second.card["result"]["precision"] == "nf4_double"
    assert second.sha256 != first.sha256
    assert sorted(one.name for one in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
    ]
    told = _card(engine, second)
    assert f"Goes on from {first.name}, beta 0.1" in told
    log = (folder.parent / "train.log").read_text()
    assert "Ticket" not in log
    lines = [json.loads(x) for x in (folder.parent / "rows.jsonl").read_text().splitlines()]
    assert {line["rejected"] for line in lines} == {WORSE}
    with reading(engine) as session:
        tested = {row.pair_id for row in archive.rows(session, story.version.id, Split.TEST)}
    assert not tested & {line["pair_id"] for line in lines}
    monkeypatch.setattr(processes, "start", lambda directory, *_: worker.work(directory))
    _answered(engine, story, second)


def _refused(session: Session, story: tuned.Frozen, version: Version, adapter_id: int) -> str:
    """Why preference tuning from this adapter is refused at launch."""
    wish = runs.RunPlan(version.id, "more", settings=Preference(adapter_id=adapter_id))
    with pytest.raises((RuleBroken, NotFound)) as error:
        asks.launch(session, story.lead, wish)
    return str(error.value)


def test_preference_needs_corrections_and_an_adapter_of_the_project(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    with writing(engine) as session:
        told = _refused(session, story, story.version, adapter.id)
        assert told.startswith("Version 1 has no preference pairs: nobody corrected the answer")
        assert "Correct drafts in review" in told
        assert "no adapter 0 in this project" in _refused(session, story, story.version, 0)


def test_an_adapter_answers_for_the_rows_of_those_before_it(engine: Engine) -> None:
    """A newer version holds out rows on which the adapter before was trained."""
    story = tuned.frozen(engine, 20)
    first = tuned.trained(engine, story)
    curated.approved(engine, story.project, stories.messages(60, start=100))
    curated.compared(engine, story.project)
    with writing(engine) as session:
        newer = freezing.freeze(session, story.lead, story.project.id, 3)
        row = AdapterRow(
            project_id=story.project.id,
            name="second",
            job_id=first.job_id,
            version_id=newer.id,
            sha256="1" * 64,
            card=first.card | {"started_from": {"id": first.id}},
        )
        assert [one.name for one in lineage.chain(session, row)] == ["second", first.name]
        with pytest.raises(RuleBroken, match=f"{first.name} was trained on"):
            lineage.refuse_trained_on(session, newer, row)
        assert "of these test pairs" in _refused(session, story, newer, first.id)


def test_a_pair_that_was_ever_tested_is_refused_by_the_worker(tmp_path: Path) -> None:
    lines = [{**row, "rejected": WORSE} for row in rows(2)]
    spec = {
        "kind": "train",
        "rows_path": "rows.jsonl",
        "base": {"kind": "packaged"},
        "settings": Preference(adapter_id=1).to_dict(),
        "tested_sha256": [duplicates.digest(lines[1]["prompt"])],
    }
    directory = job(tmp_path / "run", spec, lines)
    assert worker.work(directory) == 1
    result = evidence.read_result(directory)
    assert result is not None
    assert "asks what a test pair asks" in result["message"]
