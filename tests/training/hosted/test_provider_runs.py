"""Runs at an endpoint through the verbs: consent, price, queue, card, comparison, going on."""

import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from msgspec import structs
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from storage import settings
from storage.engine import reading, writing
from storage.errors import BadInput, RuleBroken, Unavailable
from storage.types import Job, JobKind, JobState, Origin, Split, VersionRow
from tests.support import tuned
from tests.support.patience import PATIENCE
from tests.support.tiny_model import models_folder, packaged
from tests.support.tuning_server import KEY, TuningServer
from training import asks, reconcile
from training.__main__ import app
from training.hosted import endpoints, remote, terms
from training.launch import runs
from training.lifecycle import adapter_files
from training.models import adapters
from training.proving import comparisons
from training.records.parts import BaseModel, Consent, Endpoint, TuningOffer
from training.settings import Provider
from training.work import evidence, jobs

CHOSEN = Provider(endpoint="house", model="small-1", epochs=2)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TuningServer]:
    """A server that the configuration names `house`."""
    tuning_server = TuningServer()
    monkeypatch.setenv("HOUSE_KEY", KEY)
    monkeypatch.setenv(
        "ASSAY_ENDPOINTS", str(tuning_server.configured(tmp_path / "endpoints.toml"))
    )
    yield tuning_server
    tuning_server.close()


@pytest.fixture
def story(engine: Engine) -> tuned.Frozen:
    """A version that may be launched."""
    frozen = tuned.frozen(engine, 20)
    tuned.waive(engine, frozen.lead, frozen.project)
    return frozen


def _wish(story: tuned.Frozen, chosen: Provider = CHOSEN) -> runs.RunPlan:
    agreed = terms.needed(story.version, chosen)
    return runs.RunPlan(story.version.id, "Out", settings=chosen, consent=agreed)


def _launched(engine: Engine, story: tuned.Frozen) -> Job:
    with writing(engine) as session:
        return asks.launch(session, story.lead, _wish(story))


def _ended(engine: Engine, job: Job) -> Job:
    """The job after its process has ended."""
    end = time.monotonic() + PATIENCE
    for latest in reconcile.finish_all(engine, settings.current(), job.id):
        job = latest
        assert time.monotonic() < end
    return job


@pytest.mark.parametrize(
    "changes",
    [
        None,
        {"endpoint": "other"},
        {"rows": 1},
        {"version_sha256": "0" * 64},
    ],
)
def test_nothing_leaves_the_house_without_consent_to_just_that(
    engine: Engine, story: tuned.Frozen, server: TuningServer, changes: dict[str, object] | None
) -> None:
    wish = _wish(story)
    assert wish.consent is not None
    consent = None if changes is None else structs.replace(wish.consent, **changes)
    with writing(engine) as session, pytest.raises(RuleBroken, match="sends 16 pairs of version 1"):
        asks.launch(session, story.lead, replace(wish, consent=consent))
    assert server.asked == []


def test_consent_and_price_are_recorded(
    engine: Engine, story: tuned.Frozen, server: TuningServer
) -> None:
    del server
    job = _launched(engine, story)
    assert job.spec["consent"]["given_by"] == "lena"
    assert job.spec["price"]["amount"] == pytest.approx(
        job.spec["price"]["tokens"] * 2 * 3.0 / 1e6, abs=1e-4
    )
    assert KEY not in json.dumps(job.spec)
    with reading(engine) as session:
        consents = session.execute(text("SELECT detail FROM event WHERE verb = 'consent'")).all()
    assert json.loads(consents[0][0])["rows"] == 16


def test_an_endpoint_tunes_only_what_the_configuration_says(
    engine: Engine, story: tuned.Frozen, server: TuningServer
) -> None:
    del server
    for chosen, message in (
        (structs.replace(CHOSEN, model="other"), "does not tune other"),
        (structs.replace(CHOSEN, endpoint="nobody"), "No endpoint is named 'nobody'"),
        (structs.replace(CHOSEN, endpoint=""), "Choose the endpoint"),
    ):
        with writing(engine) as session, pytest.raises(BadInput, match=message):
            asks.launch(session, story.lead, _wish(story, chosen))


@pytest.mark.usefixtures("in_process")
def test_from_launch_to_a_compared_model_and_its_card(
    engine: Engine, story: tuned.Frozen, server: TuningServer
) -> None:
    ended = _ended(engine, _launched(engine, story))
    assert (ended.state, ended.message) == (
        JobState.FINISHED,
        "The endpoint tuned and keeps the model, for 6.00 USD. "
        "The uploaded files were deleted there.",
    )
    with writing(engine) as session:
        (adapter,) = adapters.listing(session, story.project.id)
        job = asks.evaluate(
            session, story.lead, story.version.id, BaseModel("packaged"), adapter.id
        )
    assert adapter.card["kind"] == "provider"
    assert adapter.card["base"] == {"kind": "provider", "where": "house/small-1", "revision": None}
    assert adapter.card["consent"]["rows"] == 16
    assert _ended(engine, job).state is JobState.FINISHED
    with reading(engine) as session:
        (measured,) = comparisons.listing(session, story.project.id)
        with pytest.raises(Unavailable, match="kept by its endpoint"):
            adapter_files.intact(adapter, settings.current())
        package = adapter_files.package(session, adapter.id, settings.current())
    assert measured.summary["n"] == story.version.counts["test"]
    assert {"base", "tuned"} <= set(measured.summary)
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert set(archive.namelist()) == {"card.json", "card.md"}
        card = archive.read("card.md").decode()
    assert "model at endpoint `house`: `ft:small-1:house::abc123`" in card
    assert len(server.chats) == 2 * measured.summary["n"]
    assert "`lena` agreed that 16 pairs leave the house" in card
    assert KEY not in "".join(
        path.read_text(errors="replace")
        for path in settings.current().data.rglob("*")
        if path.is_file()
    )


@pytest.mark.usefixtures("workers")
def test_a_killed_run_is_taken_up_again_and_pays_once(
    engine: Engine, story: tuned.Frozen, server: TuningServer
) -> None:
    server.states = ("queued", "running", "running")
    job = _launched(engine, story)
    present = settings.current()
    reconcile.tick(engine, present, wait=False)
    assert server.reached.wait(PATIENCE)
    directory = jobs.folder(present, job.id)
    launched = evidence.read_json(directory / "launch.json")
    assert launched is not None
    os.kill(launched["pid"], signal.SIGKILL)
    lost = _ended(engine, job)
    assert lost.state is JobState.LOST
    assert "Endpoint house may still be at its job ftjob-1" in str(lost.message)
    assert runs.resumable(lost, directory) is not None
    server.states = ("queued", "running", "succeeded")
    with writing(engine) as session:
        again = asks.resume(session, story.lead, job.id, present)
        with pytest.raises(RuleBroken, match="already waiting or running"):
            asks.resume(session, story.lead, job.id, present)
    assert _ended(engine, again).state is JobState.FINISHED
    assert (len(server.jobs), server.count("POST", "/files")) == (1, 2)
    with reading(engine) as session:
        (adapter,) = adapters.listing(session, story.project.id)
    assert adapter.card["result"]["resumed_from"]["job"] == job.id


@pytest.mark.usefixtures("in_process")
def test_a_run_that_failed_there_is_not_taken_up_again(
    engine: Engine, story: tuned.Frozen, server: TuningServer
) -> None:
    server.states = ("queued", "failed")
    server.error = {"message": "Too few rows.", "code": "too_few"}
    ended = _ended(engine, _launched(engine, story))
    assert ended.state is JobState.FAILED
    assert runs.resumable(ended, jobs.folder(settings.current(), ended.id)) is None
    with writing(engine) as session, pytest.raises(RuleBroken, match="Launch a new run"):
        asks.resume(session, story.lead, ended.id, settings.current())


@pytest.mark.usefixtures("workers")
def test_a_cancel_reaches_the_endpoint(
    engine: Engine, story: tuned.Frozen, server: TuningServer
) -> None:
    server.states = ("queued", "running", "running")
    job = _launched(engine, story)
    present = settings.current()
    reconcile.tick(engine, present, wait=False)
    assert server.reached.wait(PATIENCE)
    with writing(engine) as session:
        with pytest.raises(RuleBroken, match="ends with a model or with none"):
            asks.stop(session, story.lead, job.id, present)
        asks.cancel(session, story.lead, job.id, present)
    ended = _ended(engine, job)
    assert ended.state is JobState.CANCELLED
    assert server.jobs["ftjob-1"]["status"] == "cancelled"
    assert server.files == {}
    assert remote.left(jobs.folder(present, job.id)) == ""


@pytest.mark.usefixtures("workers")
def test_other_work_goes_on_beside_a_run_at_an_endpoint(
    engine: Engine, story: tuned.Frozen, server: TuningServer
) -> None:
    server.states = ("queued", "running", "running")
    job = _launched(engine, story)
    present = settings.current()
    reconcile.tick(engine, present, wait=False)
    assert server.reached.wait(PATIENCE)
    with writing(engine) as session:
        second = asks.launch(session, story.lead, _wish(story, structs.replace(CHOSEN, seed=1)))
        scan = asks.scan(session, story.lead, story.project.id)
    reconcile.tick(engine, present, wait=False)
    with reading(engine) as session:
        assert jobs.get(session, scan.id).state is JobState.RUNNING
        assert jobs.get(session, second.id).state is JobState.QUEUED
        assert jobs.get(session, job.id).state is JobState.RUNNING


def test_the_command_line_asks_for_the_number_of_rows(
    engine: Engine, story: tuned.Frozen, server: TuningServer
) -> None:
    del server
    command = [
        "launch",
        "--as",
        "lena",
        "--project",
        story.project.name,
        "--method",
        "provider",
        "--set",
        "endpoint=house",
        "--set",
        "model=small-1",
        "--no-wait",
    ]
    refused = CliRunner().invoke(app, command)
    assert "sends 16 pairs of version 1 to endpoint house" in " ".join(refused.output.split())
    done = CliRunner().invoke(app, [*command, "--send-rows", "16"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with reading(engine) as session:
        (job,) = jobs.listing(session, story.project.id, JobKind.TRAIN)
    assert job.spec["consent"]["rows"] == 16


def test_the_configuration_is_read_or_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "endpoints.toml"
    monkeypatch.setenv("ASSAY_ENDPOINTS", str(file))
    table = '[a]\nurl="https://a/v1"\nmodel="m"\n'
    file.write_text(table + '[a.tuning]\nmodels=["m", "n"]\nprice=25\ncurrency="EUR"\n')
    (endpoint,) = endpoints.tuning()
    assert endpoint.tuning == TuningOffer(("m", "n"), 25.0, "EUR")
    assert msgspec.convert(msgspec.to_builtins(endpoint), Endpoint) == endpoint
    for wrong in (
        "models=[]\nprice=1",
        'models="m"\nprice=1',
        'models=["m"]',
        "price=1",
        'models=["m"]\nprice=-1',
        'models=["m"]\nprice="x"',
    ):
        file.write_text(f"{table}[a.tuning]\n{wrong}\n")
        with pytest.raises(BadInput, match="endpoints file cannot be read"):
            endpoints.listing()


@pytest.mark.usefixtures("model_code")
def test_the_price_says_how_it_was_counted(story: tuned.Frozen, tmp_path: Path) -> None:
    offer = TuningOffer(("m",), 10.0)
    packaged()
    models = models_folder()
    row = VersionRow(1, Split.TRAIN, "a card is lost", "{}", "", Origin.GOLD, 1)
    frozen = [row] * 3
    counted, guessed = (
        terms.price(terms.counted(frozen, "Answer with JSON.", data), 2, offer)
        for data in (models, tmp_path)
    )
    assert counted.tokens == 3 * (4 + 4 + 1 + 3 * 4 + 3)
    assert counted.amount == pytest.approx(counted.tokens * 2 * 10 / 1e6)
    assert "another model's tokenizer" in counted.basis
    assert "guessed" in guessed.basis
    agreed = Consent("house", 3, story.version.sha256)
    sentences = " ".join(terms.lines(agreed, 4, counted))
    assert "3 training and validation pairs" in sentences
    assert "4 held-out pairs" in sentences
