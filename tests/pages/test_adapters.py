"""Adapters: the card, the download, and a comparison from here; nothing of a sealed one."""

import io
import zipfile

from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from storage import settings
from storage.engine import reading
from storage.types import JobKind
from tests import stories, tuned
from tests.ui import OpenPage
from training import adapters, jobs

PAGE = "pages/train/adapters.py"


def _texts(page: AppTest) -> str:
    return "\n".join(text.value for text in page.text)


def test_an_empty_project_is_sent_to_launch(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    assert "There is no adapter yet." in _texts(open_page(PAGE, user="lena"))


def test_the_card_tells_the_lineage(engine: Engine, open_page: OpenPage) -> None:
    story, _evaluation = tuned.compared(engine, 40, base_right=(0, 1))
    page = open_page(PAGE, user="lena")
    assert not page.exception
    shown = _texts(page)
    for words in (
        f"sha256 {story.version.sha256}",
        "26 train, 6 validation, 8 test rows",
        "Origin: 40 imported",
        "Approved: 40 by ana",
        "○ Reviewed pairs: 40. Waived by lena: A test of the loop.",
        "✓ Unresolved near-duplicates: 0",
        "base, exactly right: 2 of 8 (25 %, 95 % interval 7 to 59 %)",
        "tuned, exactly right: 7 of 8 (88 %, 95 % interval 53 to 98 %)",
        "No trial was closed yet.",
    ):
        assert words in shown


def test_a_sealed_comparison_is_kept_back(engine: Engine, open_page: OpenPage) -> None:
    story, evaluation = tuned.compared(engine)
    tuned.planned(engine, story, evaluation)
    shown = _texts(open_page(PAGE, user="lena"))
    assert "1 more: sealed until the open blind trial is closed." in shown
    assert "exactly right" not in shown


def test_the_download_holds_the_recorded_files(engine: Engine, open_page: OpenPage) -> None:
    adapter = tuned.trained(engine, tuned.frozen(engine, 20))
    page = open_page(PAGE, user="lena")
    button = page.get("download_button")[0]
    assert button.proto.label == "Download (zip)"
    with reading(engine) as session:
        content = adapters.package(session, adapter.id, settings.current())
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None


def test_changed_files_are_said_and_not_offered(engine: Engine, open_page: OpenPage) -> None:
    adapter = tuned.trained(engine, tuned.frozen(engine, 20))
    weights = settings.current().data / adapter.path / "adapter_model.safetensors"
    weights.write_bytes(b"other")
    page = open_page(PAGE, user="lena")
    assert "are missing or changed. Restore a backup." in page.error[0].value
    assert not page.get("download_button")


def test_comparing_from_here_is_queued_once(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    page = open_page(PAGE, user="lena")
    key = f"compare-{story.version.id}-{adapter.id}"
    page.button(key=key).click().run()
    assert page.toast[0].value == "Started."
    page.button(key=key).click().run()
    assert "already going on" in page.error[0].value
    with reading(engine) as session:
        (job,) = jobs.listing(session, story.project.id, JobKind.EVALUATE)
    assert job.spec["adapter"]["sha256"] == adapter.sha256
