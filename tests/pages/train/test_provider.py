"""Tuning at an endpoint from the page: the price, the box, and what it leaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from storage import settings
from storage.engine import reading, writing
from storage.types import Job, JobKind, JobState
from tests.support import tuned
from tests.support.tuning_server import KEY, TuningServer
from tests.support.ui import OpenPage
from training import asks, reconcile
from training.hosted import provider_record, remote, terms
from training.launch import runs
from training.settings import Provider
from training.work import evidence, jobs

LAUNCH, RUNS, ADAPTERS = (f"pages/train/{name}/page.py" for name in ("launch", "runs", "adapters"))
CHOSEN = Provider(endpoint="house", model="small-1")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TuningServer]:
    """A server that the configuration names `house`; no page asks it anything."""
    tuner = TuningServer()
    monkeypatch.setenv("HOUSE_KEY", KEY)
    monkeypatch.setenv("ASSAY_ENDPOINTS", str(tuner.configured(tmp_path / "endpoints.toml")))
    yield tuner
    assert tuner.asked == []
    tuner.close()


@pytest.fixture
def story(engine: Engine) -> tuned.Frozen:
    """A version that may be launched."""
    story = tuned.frozen(engine, 20)
    tuned.waive(engine, story.lead, story.project)
    return story


def _launched(engine: Engine, story: tuned.Frozen) -> Job:
    consent = terms.needed(story.version, CHOSEN)
    with writing(engine) as session:
        wish = runs.RunPlan(story.version.id, "Out", settings=CHOSEN, consent=consent)
        return asks.launch(session, story.lead, wish)


def _drawn(page: AppTest) -> str:
    drawn = [*page.text, *page.caption, *page.markdown]
    return "\n".join(str(element.value) for element in drawn)


def test_nothing_launches_before_the_box_is_ticked(
    engine: Engine, open_page: OpenPage, story: tuned.Frozen, server: TuningServer
) -> None:
    del server
    page = open_page(LAUNCH, user="lena")
    page.radio(key="method").set_value("provider").run()
    assert not page.exception
    go = f"launch-{story.version.id}"
    assert page.button(key=go).disabled
    assert "16 training and validation pairs" in _drawn(page)
    (box,) = [element for element in page.checkbox if "leave the house" in element.label]
    box.check().run()
    page.button(key=go).click().run()
    assert not page.exception
    with reading(engine) as session:
        (job,) = jobs.listing(session, story.project.id, JobKind.TRAIN)
    assert (job.spec["consent"]["rows"], job.spec["consent"]["given_by"]) == (16, "lena")
    assert job.spec["settings"]["batch_size"] is None


def test_without_an_endpoint_that_tunes_it_says_who_can_name_one(
    open_page: OpenPage, story: tuned.Frozen
) -> None:
    page = open_page(LAUNCH, user="lena")
    page.radio(key="method").set_value("provider").run()
    assert not page.exception
    assert "No endpoint of this server tunes models" in _drawn(page)
    assert page.button(key=f"launch-{story.version.id}").disabled


def test_a_lost_run_offers_to_be_taken_up_again(
    engine: Engine, open_page: OpenPage, story: tuned.Frozen, server: TuningServer
) -> None:
    del server
    job = _launched(engine, story)
    directory = tuned.running(engine, job)
    remote.RemoteRun("house", job.id, "file-1", None, "ftjob-1", "running", 3).save(directory)
    evidence.write_json(directory / "launch.json", {"pid": 1, "boot_id": "another"})
    reconcile.tick(engine, settings.current(), wait=False)
    page = open_page(RUNS, user="lena")
    assert not page.exception
    assert "Endpoint house may still be at its job ftjob-1" in page.error[0].value
    assert page.button(key=f"resume-{job.id}").label == "Take it up again"


def test_a_tuned_model_has_a_card_and_no_files(
    engine: Engine, open_page: OpenPage, story: tuned.Frozen, server: TuningServer
) -> None:
    del server
    model = "ft:small-1:house::abc123"
    result = {
        "kind": "provider",
        "endpoint": "house",
        "remote_job": "ftjob-1",
        "fine_tuned_model": model,
        "adapter_sha256": provider_record.identity("house", "ftjob-1", model),
        "steps": 6,
        "rows": {"train": 13, "validation": 3},
        "cost": {"amount": 6.0, "currency": "USD"},
        "files_told": "The uploaded files were deleted there.",
        "libraries": {},
        "base": {"name": "house/small-1", "sha256": None},
    }
    ended = tuned.finished(engine, _launched(engine, story), {}, result)
    assert ended.state is JobState.FINISHED
    page = open_page(ADAPTERS, user="lena")
    assert not page.exception
    assert not page.error
    text = _drawn(page)
    assert f"Kept by endpoint house as {model}" in text
    assert "lena agreed that 16 pairs leave the house" in text
    assert "Cost 6.00 USD" in text
