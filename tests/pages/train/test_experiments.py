"""Experiments page: runs beside each other, a sweep planned, a curve read."""

from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from storage.engine import reading, writing
from storage.types import JobKind
from tests.support import stories, tuned
from tests.support.ui import OpenPage
from tests.training.proving.test_experiments import _finished_curve, _ready
from training import asks
from training.records.parts import BaseModel
from training.work import jobs

PAGE = "pages/train/experiments/page.py"


def _texts(page: AppTest) -> str:
    return "\n".join(text.value for text in page.text)


def test_without_a_run_the_page_sends_to_launch(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    assert "Nothing was trained yet." in _texts(open_page(PAGE, user="lena"))


def test_a_sweep_is_planned_from_a_run(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 40)
    adapter = tuned.trained(engine, story)
    page = open_page(PAGE, user="lena")
    assert not page.exception
    button = page.button(key=f"sweep-{adapter.job_id}")
    assert button.label == "Queue 3 runs"
    page.text_input(key=f"values-learning_rate-{adapter.job_id}").set_value("0.001 many").run()
    assert "'many' is no number." in _texts(page)
    assert page.button(key=f"sweep-{adapter.job_id}").disabled
    page.text_input(key=f"values-learning_rate-{adapter.job_id}").set_value("0.001 0.002").run()
    page.button(key=f"sweep-{adapter.job_id}").click().run()
    assert page.toast[0].value == "Queued. The first one starts by itself."
    with reading(engine) as session:
        assert len(jobs.listing(session, story.project.id, JobKind.TRAIN)) == 3


def test_runs_stand_beside_each_other(engine: Engine, open_page: OpenPage) -> None:
    story = _ready(engine)
    _finished_curve(engine, story)
    drawn = _texts(open_page(PAGE, user="lena"))
    assert "share of the train pairs" in drawn
    assert "7 of 8 (88 %, 95 % interval 53 to 98 %)" in drawn
    assert "gained, " in drawn
    assert "✗ wrong" not in drawn  # rows are told by a note above each answer


def test_a_curve_says_what_the_next_rows_are_worth(engine: Engine, open_page: OpenPage) -> None:
    _finished_curve(engine, _ready(engine))
    page = open_page(PAGE, user="lena")
    assert not page.exception
    heads = [head.value for head in page.subheader]
    assert any(head.startswith("The next 26 pairs are worth about +") for head in heads)


def test_sealed_answers_stay_sealed_here(engine: Engine, open_page: OpenPage) -> None:
    story, evaluation = tuned.compared(engine)
    second = tuned.trained(engine, story, "Second run")
    with writing(engine) as session:
        asks.evaluate(session, story.lead, story.version.id, BaseModel("packaged"), second.id)
    tuned.planned(engine, story, evaluation)
    drawn = _texts(open_page(PAGE, user="lena"))
    assert "sealed: a blind trial is open" in drawn
    assert "of 8 (" not in drawn
