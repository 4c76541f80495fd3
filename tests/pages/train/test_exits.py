"""The part that hands an adapter on, and the one that takes one in."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from storage import settings
from storage.engine import reading, writing
from storage.types import JobKind
from tests.support import tuned
from tests.support.ui import OpenPage
from training.lifecycle import imports
from training.records.parts import BaseModel
from training.work import jobs

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

PAGE = "pages/train/adapters/page.py"


def _texts(page: AppTest) -> str:
    return "\n".join(text.value for text in page.text)


def test_every_exit_is_listed_with_what_it_is_for(engine: Engine, open_page: OpenPage) -> None:
    adapter = tuned.trained(engine, tuned.frozen(engine, 20))
    page = open_page(PAGE, user="lena")
    assert not page.exception
    drawn = _texts(page)
    assert "✓ Axolotl configuration: Repeats the training in Axolotl." in drawn
    assert "○ Ollama Modelfile: Assay does not know this base model's chat template" in drawn
    assert "○ torchtune configuration (legacy): The base model's folder is not" in drawn
    keys = {button.proto.id.rpartition("-")[2] for button in page.get("download_button")}
    assert str(adapter.id) in keys
    labels = [button.proto.label for button in page.get("download_button")]
    assert "Download 5 exits (zip)" in labels


def test_merging_is_queued_once(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    page = open_page(PAGE, user="lena")
    page.button(key=f"merge-{adapter.id}").click().run()
    with reading(engine) as session:
        (job,) = jobs.listing(session, story.project.id, JobKind.EXPORT)
    assert job.spec["adapter"]["sha256"] == adapter.sha256
    assert f"merge-{adapter.id}" not in {button.key for button in page.button}


def test_an_adapter_can_be_taken_in_before_there_is_any(
    engine: Engine, open_page: OpenPage, models: tuple[Path, Path]
) -> None:
    base = settings.current().data / "models" / "small"
    story = tuned.frozen(engine, 20)
    assert "No base model is on this server yet." in "\n".join(
        text.value for text in open_page(PAGE, user="lena").markdown
    )
    shutil.copytree(models[0], base)
    page = open_page(PAGE, user="lena")
    assert "There is no adapter yet." in _texts(page)
    assert any(box.options == ["small"] for box in page.selectbox)
    assert page.get("file_uploader")
    with writing(engine) as session:
        named, present = BaseModel("folder", str(base)), settings.current()
        files = imports.look_through(
            session, story.lead, story.project.id, models[1], named, present
        )
        imports.take(session, story.lead, story.project.id, files, "Theirs", present)
    page = open_page(PAGE, user="lena")
    assert not page.exception
    drawn = _texts(page)
    assert "Trained elsewhere, taken in by lena" in drawn
    assert "○ trl script: It was trained elsewhere, and how is not known." in drawn
