"""Draft: asked of a model from approved gold pairs; drafts wait for people."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from curation.review import claims, decisions
from storage import pairs
from storage.engine import reading, writing
from storage.types import Job, JobKind, JobState, Origin, PairStatus, Project
from tests.support import stories, tuned
from tests.support.ui import OpenPage
from training.work import jobs

DRAFT = "pages/label/draft/page.py"


@pytest.fixture
def desk(engine: Engine) -> Project:
    """A project with approved gold pairs."""
    desk, ana = stories.project(engine), stories.person(engine, "ana")
    ben = stories.person(engine, "ben")
    stories.waiting(engine, desk, stories.messages(3), Origin.GOLD, ana)
    with writing(engine) as session:
        for card in claims.lease(session, ben, desk.id):
            decisions.decide(session, ben, stories.op(card))
    return desk


def asked(engine: Engine, desk: Project) -> list[Job]:
    """The drafting jobs, newest first."""
    with reading(engine) as session:
        return jobs.listing(session, desk.id, JobKind.DRAFT)


def go(desk: Project) -> str:
    """The key of the button."""
    return f"draft-{desk.id}-go"


def test_a_request_becomes_a_job_with_its_seed(
    engine: Engine, open_page: OpenPage, desk: Project
) -> None:
    page = open_page(DRAFT, "ana")
    page.text_input(key=f"draft-{desk.id}-topic").set_value("stolen cards").run()
    page.number_input(key=f"draft-{desk.id}-seed").set_value(7)
    page.number_input(key=f"draft-{desk.id}-count").set_value(5)
    page.button(key=go(desk)).click().run()
    assert not page.exception
    assert not page.error
    (job,) = asked(engine, desk)
    assert (job.state, job.spec["topic"], job.spec["seed"], job.spec["count"]) == (
        JobState.QUEUED,
        "stolen cards",
        7,
        5,
    )
    assert job.spec["base"]["kind"] == "packaged"
    page.button(key=go(desk)).click().run()
    assert "already going on" in page.error[0].value
    assert len(asked(engine, desk)) == 1


def test_without_a_topic_it_is_refused_and_typed_words_stay(
    engine: Engine, open_page: OpenPage, desk: Project
) -> None:
    page = open_page(DRAFT, "ana")
    page.button(key=go(desk)).click().run()
    assert "Name the topic" in page.error[0].value
    page.text_input(key=f"draft-{desk.id}-topic").set_value("lost PIN").run()
    assert open_page(DRAFT, "ana").text_input(key=f"draft-{desk.id}-topic").value == "lost PIN"
    assert asked(engine, desk) == []


def test_what_came_of_it_is_listed(engine: Engine, open_page: OpenPage, desk: Project) -> None:
    page = open_page(DRAFT, "ana")
    page.text_input(key=f"draft-{desk.id}-topic").set_value("cards").run()
    page.button(key=go(desk)).click().run()
    job = asked(engine, desk)[0]
    draft = {
        "index": 0,
        "prompt": "My card is gone.",
        "response": stories.CARDS,
        "model": "tiny",
        "prompt_sha256": "0" * 64,
        "seed": 1,
    }
    refused = {"answer empty": 1, "answer outside the schema": 2}
    result = {"asked": 20, "kept": 1, "tried": 4, "refused": refused, "model": "tiny"}
    tuned.finished(engine, job, {"drafts.jsonl": json.dumps(draft).encode()}, result)
    page = open_page(DRAFT, "ana")
    listed = page.dataframe[0].value
    assert list(listed["Kept"]) == ["1"]
    assert list(listed["Not usable"]) == ["3"]
    assert list(listed["Model"]) == ["tiny"]
    with reading(engine) as session:
        (row,) = pairs.listing(session, desk.id, origin=Origin.DRAFT)
    assert row.status is PairStatus.WAITING
    assert row.source["seed"] == 1


def test_without_gold_it_says_what_to_write_first(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(DRAFT, "ana")
    assert not page.button
    assert "approved gold pairs" in page.text[0].value


def test_endpoints_are_chosen_by_name_only(
    engine: Engine,
    open_page: OpenPage,
    desk: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = tmp_path / "endpoints.toml"
    named.write_text('[local]\nurl = "http://127.0.0.1:9/v1"\nmodel = "big"\n', encoding="utf-8")
    monkeypatch.setenv("ASSAY_ENDPOINTS", str(named))
    page = open_page(DRAFT, "ana")
    page.text_input(key=f"draft-{desk.id}-topic").set_value("cards").run()
    page.selectbox(key=f"draft-{desk.id}-model").set_value("local")
    page.button(key=go(desk)).click().run()
    assert asked(engine, desk)[0].spec["endpoint"]["model"] == "big"
    named.write_text("[local]", encoding="utf-8")
    page = open_page(DRAFT, "ana")
    assert not page.exception
    assert "endpoints file cannot be read" in page.error[0].value
