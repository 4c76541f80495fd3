"""Adapters: the card from rows to votes, and a package that holds what was recorded."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage import settings
from storage.engine import reading, writing
from storage.errors import NotFound, Unavailable
from storage.types import Adapter, Role
from tests.support import stories, tuned
from training.lifecycle import adapter_cards, adapter_files
from training.models import adapters
from training.proving import blind


def _folder(adapter: Adapter) -> Path:
    return settings.current().data / adapter.path


def test_the_card_leads_from_rows_to_votes(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine, 40, base_right=(0, 1))
    trial = tuned.planned(engine, story, evaluation, 6)
    tuned.prefer(engine, stories.person(engine, "ben", Role.REVIEWER), trial)
    with writing(engine) as session:
        closed = blind.close(session, story.lead, trial.id)
        card = adapter_cards.build(session, adapters.get(session, evaluation.adapter_id or 0))
    assert card["version"]["counts"] == story.version.counts
    assert card["version"]["origins"] == {"import": 40}
    assert card["version"]["approvals"] == {"ana": 40}
    assert {line["met"] for line in card["gate"]} == {True, False}
    scores = card["evaluations"][0]
    assert (scores["n"], scores["base_correct"]["k"], scores["tuned_correct"]["k"]) == (8, 2, 7)
    assert scores["tuned_correct"]["low"] < 7 / 8 < scores["tuned_correct"]["high"]
    assert card["trials"][0]["verdict"] == closed.verdict
    assert card["trials"][0]["registration_sha256"] == trial.registration["sha256"]
    assert card["limits"]


def test_the_package_is_the_recorded_folder_with_its_card(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    with reading(engine) as session:
        content = adapter_files.package(session, adapter.id, settings.current())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = set(archive.namelist())
        weights = archive.read("adapter_model.safetensors")
        card = json.loads(archive.read("card.json"))
        words = archive.read("card.md").decode()
    assert {"adapter_config.json", "adapter_model.safetensors", "chat_template.jinja"} < names
    assert weights == (_folder(adapter) / "adapter_model.safetensors").read_bytes()
    assert card["sha256"] == adapter.sha256
    assert adapter.sha256 in words
    assert "waived by `lena: A test of the loop." in words


def test_a_changed_or_missing_file_is_never_handed_out(engine: Engine) -> None:
    adapter = tuned.trained(engine, tuned.frozen(engine, 20))
    weights = _folder(adapter) / "adapter_model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + b"!")
    with reading(engine) as session, pytest.raises(Unavailable, match="missing or changed"):
        adapter_files.package(session, adapter.id, settings.current())
    weights.write_bytes(good)
    assert adapter_files.intact(adapter, settings.current()) == _folder(adapter)
    weights.unlink()
    with pytest.raises(Unavailable, match="missing or changed"):
        adapter_files.intact(adapter, settings.current())


def test_names_in_the_card_cannot_act_as_markup(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story, "a` ![x](https://example.com/x.png) `b")
    with reading(engine) as session:
        words = adapter_cards.markdown(adapter_cards.build(session, adapter))
    title = words.splitlines()[0]
    assert title.count("`") == 2
    assert title.index("`") < title.index("![x]") < title.rindex("`")


def test_an_adapter_that_is_not_there(engine: Engine) -> None:
    with reading(engine) as session, pytest.raises(NotFound, match="no adapter 5"):
        adapter_cards.build(session, adapters.get(session, 5))
