"""Runs: the list, one run in full, live figures from the files, cancel, and the log's end."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from pages.parts import progress
from storage import settings
from storage.engine import reading
from storage.types import Job, JobState
from tests.support import interrupted, stories, tuned
from tests.support.ui import OpenPage
from training import reconcile
from training.work import evidence, jobs

PAGE = "pages/train/runs/page.py"


def _texts(page: AppTest) -> str:
    return "\n".join(text.value for text in page.text)


def _line(second: int, step: int, **more: object) -> dict[str, object]:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    return {"at": at.isoformat(), "step": step, "total": 40, **more}


def _write(directory: Path, lines: list[dict[str, object]]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (directory / "events.jsonl").write_text(text + '{"at": "torn')


def _going(engine: Engine) -> tuple[tuned.Frozen, Job]:
    """A run at step 10 of 40, two seconds a step."""
    story = tuned.frozen(engine, 20)
    job = tuned.launched(engine, story, "Live run")
    directory = tuned.running(engine, job)
    evidence.write_json(directory / "launch.json", {"at": evidence.now(), "pid": 1})
    lines = [_line(2 * step, step, loss=3 / step) for step in range(1, 11)]
    _write(directory, [_line(0, 0, message="Training on 13 pairs."), *lines])
    return story, job


def test_an_empty_project_is_sent_to_launch(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(PAGE, user="lena")
    assert "Nothing was trained yet." in _texts(page)


def test_a_finished_run_shows_its_record(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story, "First run")
    page = open_page(PAGE, user="lena")
    assert not page.exception
    drawn = _texts(page)
    assert page.success[0].value == "Training run, finished (just now): Done."
    for expected in (
        "First run",
        f"Version sha256: {story.version.sha256}",
        "Training loss: from 2.000 to 0.200",
        "Batches: joined: what all pairs begin with is computed once",
        f"Adapter sha256: {adapter.sha256}",
    ):
        assert expected in drawn
    record = json.loads(next(code.value for code in page.code if code.language == "json"))
    assert record["result"]["libraries"] == {"torch": "2.13.0"}
    assert record["launched"]["settings"]["seed"] == 0


def test_a_running_one_shows_step_pace_and_cancel(engine: Engine, open_page: OpenPage) -> None:
    _story, job = _going(engine)
    page = open_page(PAGE, user="lena")
    assert not page.exception
    assert "Training run: running" in _texts(page)
    assert "Training on 13 pairs." in _texts(page)
    assert "about 1 min 0 s left" in _texts(page)
    page.button(key=f"cancel-{job.id}").click().run()
    assert "Training run: stopping at the next step" in _texts(page)
    assert evidence.cancel_requested(jobs.folder(settings.current(), job.id))


def test_a_running_one_is_stopped_and_saved(engine: Engine, open_page: OpenPage) -> None:
    _story, job = _going(engine)
    page = open_page(PAGE, user="lena")
    page.button(key=f"stop-{job.id}").click().run()
    assert not page.exception
    assert "stopping at the next step and keeping what it learnt" in _texts(page)
    directory = jobs.folder(settings.current(), job.id)
    assert evidence.stop_requested(directory)
    assert not evidence.cancel_requested(directory)


def test_a_process_that_does_not_look_well_is_told_in_words(
    engine: Engine, open_page: OpenPage
) -> None:
    _story, job = _going(engine)
    directory = jobs.folder(settings.current(), job.id)
    now = datetime.now(UTC)
    still = {"step": 10, "total": 40, "moved": (now - timedelta(seconds=600)).isoformat()}
    for beat, expected in (
        (0, "Stalled: the process lives"),
        (90, "Unresponsive: no sign of life"),
    ):
        at = (now - timedelta(seconds=beat)).isoformat()
        evidence.write_json(directory / "heartbeat.json", {"at": at, **still})
        page = open_page(PAGE, user="lena")
        assert page.warning[0].value.startswith(expected)
    evidence.write_json(
        directory / "heartbeat.json", {**still, "at": evidence.now(), "moved": evidence.now()}
    )
    assert not open_page(PAGE, user="lena").warning


def test_a_lost_run_goes_on_from_its_last_checkpoint(engine: Engine, open_page: OpenPage) -> None:
    story, old = interrupted.lost(engine, 10, 20)
    page = open_page(PAGE, user="lena")
    button = page.button(key=f"resume-{old.id}")
    assert button.label == "Go on from step 20"
    assert "Start it again" not in page.error[0].value
    button.click().run()
    assert not page.exception
    assert "goes on from its last checkpoint" in page.toast[0].value
    with reading(engine) as session:
        job = jobs.listing(session, story.project.id)[0]
    page = open_page(PAGE, user="lena")
    assert page.subheader[0].value == f"Run {job.id[:8]}"
    assert f"Resumed: from step 20 of run {old.id}" in _texts(page)


def test_a_run_without_a_checkpoint_offers_only_a_new_launch(
    engine: Engine, open_page: OpenPage
) -> None:
    _story, old = interrupted.lost(engine)
    page = open_page(PAGE, user="lena")
    assert not page.exception
    assert not [element for element in page.button if element.key == f"resume-{old.id}"]


def test_other_figures_of_a_step_are_drawn_under_their_names(
    engine: Engine, open_page: OpenPage
) -> None:
    _story, job = _going(engine)
    lines = [
        _line(step, step, loss=1.0, grad_norm=0.5, memory_mb=812.4, rows_a_second=3.25)
        for step in range(1, 11)
    ]
    _write(jobs.folder(settings.current(), job.id), lines)
    page = open_page(PAGE, user="lena")
    assert not page.exception
    notes = [element.value.replace("\\", "") for element in page.markdown]
    assert any("Memory in use, MB: 812" in note for note in notes)
    assert any("Pairs a second: 3.25" in note for note in notes)
    assert not any("Learning rate" in note for note in notes), "it was not measured"


def test_it_survives_a_reload_and_ends_truly(engine: Engine, open_page: OpenPage) -> None:
    _story, job = _going(engine)
    assert "running" in _texts(open_page(PAGE, user="lena"))
    reconcile.tick(engine, settings.current(), wait=False)
    page = open_page(PAGE, user="lena")
    assert "Training run, lost" in page.error[0].value
    assert "Start it again." in page.error[0].value
    with reading(engine) as session:
        assert jobs.get(session, job.id).state is JobState.LOST


def test_a_cancel_after_the_end_is_refused(engine: Engine, open_page: OpenPage) -> None:
    _story, job = _going(engine)
    page = open_page(PAGE, user="lena")
    reconcile.tick(engine, settings.current(), wait=False)
    page.button(key=f"cancel-{job.id}").click().run()
    assert page.error[0].value == "This job is already lost."


def test_an_older_run_is_shown_on_asking(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    older = tuned.trained(engine, story, "Older")
    tuned.trained(engine, story, "Newer")
    page = open_page(PAGE, user="lena")
    assert page.subheader[0].value != f"Run {older.job_id[:8]}"
    page.button(key=f"show-{older.job_id}").click().run()
    assert page.subheader[0].value == f"Run {older.job_id[:8]}"
    assert f"Adapter sha256: {older.sha256}" in _texts(page)


def test_the_log_is_shown_as_it_is(engine: Engine, open_page: OpenPage) -> None:
    _story, job = _going(engine)
    log = jobs.folder(settings.current(), job.id) / "train.log"
    log.write_text("<b>Traceback</b> ![x](https://example.com/x.png)\n")
    page = open_page(PAGE, user="lena")
    assert page.code[-1].value == "<b>Traceback</b> ![x](https://example.com/x.png)"


def test_names_are_shown_as_typed(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    tuned.trained(engine, story, "**bold** <img src=x>")
    page = open_page(PAGE, user="lena")
    assert "**bold** <img src=x>" in _texts(page)
    assert all("<img" not in markdown.value for markdown in page.markdown)


def test_a_curve_is_thinned_and_torn_lines_wait(engine: Engine) -> None:
    _story, job = _going(engine)
    directory = jobs.folder(settings.current(), job.id)
    lines = [_line(step, step, loss=1.0) for step in range(1, 5001)]
    _write(directory, [*lines, _line(5000, 5000, eval_loss=0.5)])
    curve = progress.curve(job)
    assert 300 < len(curve) < 900
    assert curve[-1] == {"step": 5000, "training": 1.0, "validation": 0.5}
    assert progress.read(job).step == 5000


def test_durations_in_words() -> None:
    assert [progress.duration(s) for s in (4.4, 59.7, 125, 1500, 4800, 7300)] == [
        "4 s",
        "1 min 0 s",
        "2 min 5 s",
        "25 min",
        "80 min",
        "2 h 1 min",
    ]
