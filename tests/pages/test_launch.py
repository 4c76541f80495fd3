"""Launch: what is shown is what launches, and nothing launches past the gate."""

from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from storage import people
from storage.engine import reading, writing
from storage.types import Job, JobKind, JobState, Role
from tests import stories, tuned
from tests.ui import OpenPage
from training import jobs

PAGE = "pages/train/launch.py"


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
    assert "13 rows train, 3 watch for over-learning, 4 are held out" in _texts(page)
    page.radio(key="preset").set_value("Quick look").run()
    page.text_input(key=f"name-{story.version.id}").set_value("A first look").run()
    shown = _texts(page)
    page.button(key=f"launch-{story.version.id}").click().run()
    assert not page.exception
    assert page.toast[0].value == "Launched. It goes on when you close this page."
    (job,) = _runs(engine, story)
    chosen = job.spec["settings"]
    assert (job.spec["name"], chosen["epochs"], job.state) == ("A first look", 1, JobState.QUEUED)
    assert f"of {chosen['batch_size']} rows, 1 pass" in shown
    assert "Training run: waiting to start" in _texts(page)


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


def test_the_panel_says_what_a_queued_run_waits_for(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    with writing(engine) as session:
        packaged = {"kind": "packaged"}
        first = jobs.evaluate(session, story.lead, story.version.id, packaged, None)
    tuned.running(engine, first)
    tuned.launched(engine, story)
    page = open_page(PAGE, user="lena")
    assert "It waits for the comparison of Desk to end" in _texts(page)
