"""Launch: what is shown is what launches, and nothing launches past the gate."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from streamlit.testing.v1 import AppTest

from curation.gate import measures
from curation.versions import standing
from pages.parts import methods
from storage import people, reports, settings
from storage.engine import reading, writing
from storage.errors import NotAllowed, RuleBroken
from storage.types import Job, JobKind, JobState, Role
from tests.support import model_folders, stories, tuned
from tests.support.ui import OpenPage
from training import asks, reports as keeper
from training.described import settings_of
from training.families import LAYERS
from training.launch import preflight, probes, recipe, runs
from training.records.parts import BaseModel
from training.records.record import written
from training.settings import METHODS, SMALL_BASE, Full, Lora, Method, Qlora
from training.work import jobs

PAGE = "pages/train/launch/page.py"
PROBE: dict[str, Any] = {
    "ready_seconds": 10.0,
    "step_seconds": [2.0] * 4,
    "step_tokens": [100] * 4,
    "median_seconds": 2.0,
    "tokens_a_batch": 100.0,
    "evaluation_seconds": 1.0,
    "saving_seconds": 0.0,
    "memory_mb": {"program": 600.0, "weights": 500.0, "activations": 100.0},
    "peak_memory_mb": 1200.0,
    "rows": {"train": 13, "validation": 3},
}
RENDERED: dict[str, Any] = {
    "lengths": [50, 70],
    "limit": 1024,
    "too_long": 0,
    "too_long_rows": [],
    "shared": 20,
    "mean": 60.0,
    "learnt": 30,
    "examples": [
        {
            "pair_id": 5,
            "tokens": 70,
            "stretches": [
                {"text": "<|im_start|>", "learnt": False, "mark": True, "tokens": 1},
                {"text": "an answer", "learnt": True, "mark": False, "tokens": 2},
            ],
        }
    ],
}


def _texts(page: AppTest) -> str:
    return "\n".join(text.value for text in page.text)


def _runs(engine: Engine, story: tuned.Frozen) -> list[Job]:
    with reading(engine) as session:
        return jobs.listing(session, story.project.id, JobKind.TRAIN)


def test_an_empty_project_is_sent_to_versions(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(PAGE, user="lena")
    assert not page.exception
    assert "There is no version yet" in _texts(page)
    assert not page.button


def test_what_blocks_is_said_and_the_button_is_off(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    page = open_page(PAGE, user="lena")
    assert not page.exception
    assert page.error[0].value == "Not ready: 8 of 17 lines block."
    assert "✗ Reviewed pairs: 20 (asked: at least 200)." in _texts(page)
    assert "8 readiness lines block; they are listed on the card." in _texts(page)
    assert page.button(key=f"launch-{story.version.id}").disabled


def test_a_ready_version_launches_as_shown(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    assert "13 pairs train, 3 watch for over-learning, 4 are held out" in _texts(page)
    page.radio(key="preset").set_value("Quick look").run()
    page.text_input(key=f"name-{story.version.id}").set_value("A first look").run()
    drawn = _texts(page)
    page.button(key=f"launch-{story.version.id}").click().run()
    assert not page.exception
    assert page.toast[0].value == "Launched. It goes on when you close this page."
    (job,) = _runs(engine, story)
    chosen = job.spec["settings"]
    assert (job.spec["name"], chosen["epochs"], job.state) == ("A first look", 1, JobState.QUEUED)
    assert f"of {chosen['batch_size']} pairs, 1 pass" in drawn
    assert "Training run: waiting to start" in _texts(page)


def test_a_launch_reads_the_pairs_before_it_stops_everyone_else_from_writing(
    engine: Engine, open_page: OpenPage
) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    looks: list[bool] = []

    def asked(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "version_row.prompt" in statement:
            looks.append(connection.get_execution_options().get("begin") == "BEGIN IMMEDIATE")

    event.listen(engine, "before_cursor_execute", asked)
    page.button(key=f"launch-{story.version.id}").click().run()
    assert len(_runs(engine, story)) == 1
    assert looks
    assert not any(looks)


def test_a_large_version_waits_for_the_look_for_test_pairs(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    assert keeper.work(engine, measures.TEXTS.name, story.project.id)
    assert keeper.work(engine, standing.STANDING.name, story.version.id)
    monkeypatch.setattr(reports, "AT_ONCE", 10)
    monkeypatch.setattr(keeper, "_start", lambda *_: None)  # no process in this test
    page = open_page(PAGE, user="lena")
    assert page.button(key=f"launch-{story.version.id}").disabled
    assert "being compared with the test pairs" in _texts(page)
    assert keeper.work(engine, preflight.LEAKS.name, story.version.id)
    page = open_page(PAGE, user="lena")
    assert not page.button(key=f"launch-{story.version.id}").disabled


@pytest.mark.parametrize("field", ["name", "preset", "learning rate"])
def test_a_press_that_overtakes_the_page_launches_nothing(
    field: str, engine: Engine, open_page: OpenPage
) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    if field == "name":
        page.text_input(key=f"name-{story.version.id}").set_value("Another name")
    elif field == "preset":
        page.radio(key="preset").set_value("Quick look")
    else:
        next(n for n in page.number_input if n.label == "Learning rate").set_value(0.0031)
    launch = page.button(key=f"launch-{story.version.id}")
    launch.click().run()
    assert page.warning[0].value.startswith("You changed something while the page was being drawn")
    assert not _runs(engine, story)
    page.button(key=f"launch-{story.version.id}").click().run()
    assert len(_runs(engine, story)) == 1


def test_a_second_click_of_an_old_page_is_refused(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page, old = open_page(PAGE, user="lena"), open_page(PAGE, user="lena")
    page.button(key=f"launch-{story.version.id}").click().run()
    old.button(key=f"launch-{story.version.id}").click().run()
    assert "already waiting or running" in old.error[0].value
    assert len(_runs(engine, story)) == 1


def test_a_role_taken_away_while_the_page_is_open_counts(
    engine: Engine, open_page: OpenPage
) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    with writing(engine) as session:
        admin = people.join(session, "ida", frozenset({Role.ADMIN}))
        people.set_roles(session, admin, story.lead.id, frozenset({Role.REVIEWER}))
    page.button(key=f"launch-{story.version.id}").click().run()
    assert "lena may not launch" in page.error[0].value
    assert _runs(engine, story) == []


def test_the_page_is_not_there_for_others(engine: Engine, open_page: OpenPage) -> None:
    tuned.frozen(engine, 20)
    with pytest.raises(ValueError, match="navigation page"):
        open_page(PAGE, user=stories.person(engine, "ben", Role.REVIEWER, Role.EXPERT))


def test_a_setting_out_of_range_is_refused_in_words(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    rank = next(box for box in page.number_input if box.label == "Rank (r)")
    rank.set_value(999).run()
    assert "The rank r is 999; give a value from 1 to 256." in _texts(page)
    assert page.button(key=f"launch-{story.version.id}").disabled


def test_a_folder_that_is_no_model_is_refused_in_words(
    engine: Engine, open_page: OpenPage, tmp_path: Path
) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    page.selectbox(key="base").set_value("folder").run()
    assert "Give the whole path of the base model's folder" in _texts(page)
    page.text_input(key="base-folder").set_value(str(tmp_path)).run()
    assert "has no readable config.json" in _texts(page)
    assert page.button(key=f"launch-{story.version.id}").disabled
    page.selectbox(key="base").set_value("hub").run()
    page.text_input(key="base-hub").set_value("some-org/some-model").run()
    page.button(key=f"launch-{story.version.id}").click().run()
    (job,) = _runs(engine, story)
    assert job.spec["base"] == {"kind": "hub", "where": "some-org/some-model", "revision": None}


def test_a_folder_is_looked_through_when_it_is_chosen_and_stays_chosen(
    engine: Engine, open_page: OpenPage
) -> None:
    story = tuned.frozen(engine, 20)
    models = settings.current().data / "models"
    model_folders.base(models / "good")
    evil = model_folders.base(models / "evil")
    (evil / "adapter_config.json").write_text("{}")
    page = open_page(PAGE, user="lena")
    assert not (models / ".verdicts").exists(), "drawing vets nothing"
    for name, words in {"good": "A folder on this server.", "evil": "holds an adapter"}.items():
        page.selectbox(key="base").set_value(f"{name} (licence: see the folder)").run()
        assert page.selectbox(key="base").value == f"{name} (licence: see the folder)"
        notes = "\n".join(text.value for text in page.markdown)
        assert words in notes
        assert "looked through before" not in notes
    assert page.button(key=f"launch-{story.version.id}").disabled


def test_the_panel_says_what_a_queued_run_waits_for(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    with writing(engine) as session:
        packaged = BaseModel("packaged")
        first = asks.evaluate(session, story.lead, story.version.id, packaged, None)
    tuned.running(engine, first)
    tuned.launched(engine, story)
    page = open_page(PAGE, user="lena")
    assert "It waits for the comparison of Desk to end" in _texts(page)


def test_every_method_has_its_settings(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    for method in METHODS:
        page.radio(key="method").set_value(method).run()
        assert not page.exception
        labels = {
            element.label for element in (*page.number_input, *page.toggle, *page.multiselect)
        }
        assert "Passes over the pairs (epochs)" in labels
        assert ("Rank (r)" in labels) == (method in (Method.LORA, Method.QLORA))
        assert ("Beta" in labels) == (method is Method.PREFERENCE)
        assert ("Double quantisation" in labels) == (method is Method.QLORA)
        for setting in settings_of(METHODS[method]).values():
            assert bool(setting.caption.label) == setting.caption.drawn
            assert setting.caption.label != setting.name, "every setting has a label of its own"
    assert set(METHODS) <= set(methods.TEXTS)


def test_a_full_run_with_a_switch_launches_as_chosen(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    page.radio(key="method").set_value(Method.FULL).run()
    next(t for t in page.toggle if t.label.startswith("Save memory")).set_value(True).run()
    page.button(key=f"launch-{story.version.id}").click().run()
    (job,) = _runs(engine, story)
    assert job.spec["settings"] == Full(gradient_checkpointing=True).to_dict()


def test_all_linear_layers_with_one_click(engine: Engine, open_page: OpenPage) -> None:
    tuned.frozen(engine, 20)
    page = open_page(PAGE, user="lena")
    next(element for element in page.button if element.label == "All linear layers").click().run()
    assert list(page.multiselect[0].value) == list(LAYERS)


def test_preference_tuning_asks_for_an_adapter(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    page = open_page(PAGE, user="lena")
    page.radio(key="method").set_value(Method.PREFERENCE).run()
    assert "There is no adapter to go on from. Launch a LoRA run first." in _texts(page)
    adapter = tuned.trained(engine, story)
    page.run()
    assert not page.exception
    assert page.selectbox(key=f"adapter-{story.project.id}").value == adapter.id
    yaml = next(code.value for code in page.code if code.language == "yaml")
    assert f"adapter_id: {adapter.id}" in yaml


def test_the_shown_file_is_the_launched_run(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    page.radio(key="preset").set_value("Careful").run()
    file = next(code.value for code in page.code if code.language == "yaml")
    command = next(code.value for code in page.code if code.language == "bash")
    page.button(key=f"launch-{story.version.id}").click().run()
    (job,) = _runs(engine, story)
    read = recipe.from_yaml(file)
    with reading(engine) as session:
        _, spec = runs.request(session, recipe.wish(session, story.project.id, read))
    assert {key: job.spec[key] for key in written(spec)} == written(spec)
    assert command == recipe.command(read, story.project.name, "lena")


def test_a_loaded_file_fills_the_form(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    settings = Qlora(learning_rate=3e-4, epochs=4, targets=("q_proj", "down_proj"))
    saved = recipe.Recipe(
        1, story.version.sha256, "Saved", BaseModel("hub", "org/name", "v1"), settings
    )
    upload = page.file_uploader(key=f"load-recipe-{story.project.id}")
    upload.set_value(("run.yaml", recipe.to_yaml(saved).encode(), "application/yaml")).run()
    assert not page.exception
    assert page.radio(key="preset").value == "From the file"
    assert page.radio(key="method").value == Method.QLORA
    file = next(code.value for code in page.code if code.language == "yaml")
    assert recipe.from_yaml(file) == saved
    hostile = ("run.yaml", b"!!python/object/apply:os.system ['true']", "application/yaml")
    upload = page.file_uploader(key=f"load-recipe-{story.project.id}")
    upload.set_value(hostile).run()
    assert "no readable YAML" in page.error[0].value


def test_a_trial_measures_what_the_card_then_says(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    page = open_page(PAGE, user="lena")
    assert "Time: not measured yet" in _texts(page)
    page.button(key=f"probe-{story.version.id}").click().run()
    assert page.toast[0].value == "The probe begins."
    with reading(engine) as session:
        (job,) = jobs.listing(session, story.project.id, JobKind.PROBE)
    page.run()
    assert "It will wait for 1 job to end" in _texts(page)
    tuned.finished(engine, job, {probes.ROWS_FILE: json.dumps(RENDERED).encode()}, dict(PROBE))
    page.run()
    assert not page.exception
    assert "Time: about 55 s (55 s to 55 s)" in _texts(page)
    assert "Memory: 1.2 GB" in _texts(page)
    page.button(key=f"launch-{story.version.id}").click().run()
    (run,) = _runs(engine, story)
    assert run.spec["estimate"]["measured"] == 4
    page.radio(key="preset").set_value("Quick look").run()
    assert "Time: about 25 s" in _texts(page)  # the same trial serves another number of passes


def test_the_tabs_show_what_the_model_sees_and_what_was_checked(
    engine: Engine, open_page: OpenPage
) -> None:
    story = tuned.frozen(engine, 20)
    with writing(engine) as session:
        wish = runs.RunPlan(story.version.id, "x", settings=SMALL_BASE)
        job = asks.probe(session, story.lead, wish)
    long = RENDERED | {"lengths": [50, 2000], "too_long": 1, "too_long_rows": [[5, 2000]]}
    tuned.finished(engine, job, {probes.ROWS_FILE: json.dumps(long).encode()}, dict(PROBE))
    page = open_page(PAGE, user="lena")
    page.session_state["launch-tabs"] = "What the model sees"
    page.run()
    assert not page.exception
    assert any(element.label == "Longest pair" for element in page.metric)
    assert "Pair 5: 2000 tokens" in _texts(page)
    page.session_state["launch-tabs"] = "Pre-flight"
    page.run()
    assert not page.exception
    assert "1 pair is longer than 1024 tokens (pair 5)." in _texts(page)


def test_memory_that_is_short_is_advised_on(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    with writing(engine) as session:
        wish = runs.RunPlan(story.version.id, "x", settings=SMALL_BASE)
        job = asks.probe(session, story.lead, wish)
    huge = {"weights": 9e9, "activations": 1e9}
    tuned.finished(engine, job, {}, PROBE | {"memory_mb": huge, "peak_memory_mb": 1e10})
    page = open_page(PAGE, user="lena")
    assert "The memory is too small for this." in [element.value for element in page.error]
    assert "1. Turn gradient checkpointing on" in _texts(page)
    page.button(key="change-gradient_checkpointing").click().run()
    assert not page.exception
    drawn = next(code.value for code in page.code if code.language == "yaml")
    assert "gradient_checkpointing: true" in drawn


def test_the_record_of_a_run_shows_how_near_the_estimate_was(
    engine: Engine, open_page: OpenPage
) -> None:
    story = tuned.frozen(engine, 20)
    with writing(engine) as session:
        wish = runs.RunPlan(story.version.id, "x", settings=Lora(epochs=1))
        job = asks.probe(session, story.lead, wish)
    tuned.finished(engine, job, {}, dict(PROBE))
    tuned.trained(engine, story)
    page = open_page("pages/train/runs/page.py", user="lena")
    assert not page.exception
    assert "Time: 30 s; estimated 15 s (+100%)" in _texts(page)
    assert "Memory at its highest: 1.3 GB; estimated 1.2 GB (+10%)" in _texts(page)


def test_a_lone_probe_is_asked_for_by_leads_only(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    wish = runs.RunPlan(story.version.id, "x")
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with writing(engine) as session, pytest.raises(NotAllowed):
        asks.probe(session, ben, wish)
    with writing(engine) as session:
        asks.probe(session, story.lead, wish)
    with writing(engine) as session, pytest.raises(RuleBroken, match="already going on"):
        asks.probe(session, story.lead, wish)
