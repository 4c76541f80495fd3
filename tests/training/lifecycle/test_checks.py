"""Checks before promotion: a real worker asks a small model, answers are frozen, own prompts."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from curation.personal import model_files
from storage import settings
from storage.engine import reading, writing
from storage.errors import BadInput, NotFound, RuleBroken, Unavailable
from storage.tables import AdapterRow, JobRow
from storage.types import Adapter, Job, JobState
from tests.support import promoted, tuned
from tests.support.tiny_model import rows, tiny, training_job
from training import asks, reconcile, worker
from training.lifecycle import check_prompts, checks
from training.models import adapters
from training.records.record import written
from training.work import evidence, jobs


def _own(engine: Engine, story: tuned.Frozen, prompt: str, *must_not: str) -> int:
    with writing(engine) as session:
        return check_prompts.add(session, story.lead, story.project.id, prompt, (), must_not)


def _tiny_adapter(engine: Engine, story: tuned.Frozen, folder: Path) -> Adapter:
    """An adapter that a real run made on a tiny model, in the place of an invented one."""
    adapter = tuned.trained(engine, story)
    base = tiny(folder / "base")
    job = training_job(
        folder / "run", base, rows(4) + rows(2, "validation", first=9), epochs=1, max_steps=1
    )
    assert worker.work(job) == 0
    result = evidence.read_result(job)
    assert result is not None
    place = settings.current().data / adapter.path
    for file in place.iterdir():
        file.unlink()
    for file in (job / "adapter").iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    with engine.begin() as raw:
        raw.exec_driver_sql("DROP TRIGGER adapter_no_update")
    with writing(engine) as session:
        card = {**adapter.card, "base": {"kind": "folder", "where": str(base)}, "result": result}
        changed = update(AdapterRow).where(AdapterRow.id == adapter.id)
        session.execute(changed.values(card=card, sha256=result["adapter_sha256"]))
        return adapters.get(session, adapter.id)


def _prepared(engine: Engine, job: Job) -> Path:
    """The folder of a queued check as its worker finds it."""
    directory = tuned.running(engine, job)
    with reading(engine) as session:
        task = checks.prepare(session, job, directory, settings.current())
    evidence.write_json(
        directory / "spec.json", {"kind": "check", "max_new_tokens": 6, **written(task)}
    )
    return directory


@pytest.mark.usefixtures("model_code")
@pytest.mark.filterwarnings("ignore")
def test_a_worker_asks_both_models_and_freezes_what_they_said(
    engine: Engine, tmp_path: Path
) -> None:
    story = tuned.frozen(engine, 20)
    adapter = _tiny_adapter(engine, story, tmp_path)
    own = _own(engine, story, "Which desk is this?", "zzz-never")
    with writing(engine) as session:
        job = asks.check(session, story.lead, adapter.id)
    directory = _prepared(engine, job)
    assert worker.work(directory) == 0
    reconcile.tick(engine, settings.current(), wait=False)
    with reading(engine) as session:
        done = jobs.get(session, job.id)
        lines = checks.opened(session, adapter, settings.current())
        found = checks.newest_counts(session, adapter)
        told = checks.summary(session, adapter)
    assert done.state is JobState.FINISHED, done.message
    assert found is not None
    assert told is not None
    asked = len(checks.tasks(checks.RED_TEAM)) + 1
    assert (found.n, found.prompts, found.outdated) == (48, asked, False)
    assert len(lines) == 2 * (48 + asked)
    by_id = {(one["id"], one["arm"]): one for one in lines}
    assert by_id[f"own-{own}", "tuned"]["why"] == "does not fit the schema"
    refused = by_id["token-1", "base"]
    assert (refused["passed"], refused["text"]) == (True, "")
    assert "control token" in refused["why"]
    # Random weights answer nonsense: they know nothing, and say no code word either.
    assert found.base <= 1
    assert by_id["system-1", "base"]["text"]
    assert "has: KITE" not in by_id["system-1", "base"]["why"]


def test_the_canary_is_drawn_anew_and_only_in_the_system_message(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    with writing(engine) as session:
        job = asks.check(session, story.lead, adapter.id)
    seen = set()
    for _ in range(2):
        directory = _prepared(engine, job)
        tasks = [json.loads(t) for t in (directory / "tasks.jsonl").read_text().splitlines()]
        (canary,) = {
            w for t in tasks for w in t["rule"].get("must_not", ()) if w.startswith("KITE-")
        }
        assert all((canary in t["system"]) is t.get("canary", False) for t in tasks)
        assert not any(canary in t["prompt"] or "{canary}" in json.dumps(t) for t in tasks)
        seen.add(canary)
    assert len(seen) == 2


def test_prompts_that_need_a_schema_are_left_out_without_one() -> None:
    with_schema = checks._with_system("s", {"type": "object"}, [])
    without = checks._with_system("s", None, [])
    left = {t["id"] for t in with_schema} - {t["id"] for t in without}
    assert left == {"off-1", "off-2", "off-3"}


@pytest.mark.usefixtures("model_code")
def test_a_worker_refuses_changed_tasks_and_another_base(engine: Engine, tmp_path: Path) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    with writing(engine) as session:
        job = asks.check(session, story.lead, adapter.id)
    directory = _prepared(engine, job)
    spec = evidence.read_json(directory / "spec.json") or {}
    base = tiny(tmp_path / "base")
    spec["base"] = {"kind": "folder", "where": str(base)}
    evidence.write_json(directory / "spec.json", spec)
    assert model_files.folder_sha256(base) != spec["base_sha256"]
    assert (
        _refused(directory) == "The base model changed since the adapter was trained. Put it back."
    )
    (directory / "tasks.jsonl").write_text("{}\n")
    assert _refused(directory).startswith("The tasks changed since the check was started.")


def _refused(directory: Path) -> str:
    (directory / "result.json").unlink(missing_ok=True)
    assert worker.work(directory) == worker.FAILED
    return str((evidence.read_result(directory) or {}).get("message"))


def test_counts_that_the_answers_do_not_give_end_the_job(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    promoted.checked(engine, story, adapter)
    with reading(engine) as session:
        row = checks.newest(session, adapter)
        assert row is not None
        result = dict(row.result or {})
    content = (jobs.folder(settings.current(), row.id) / checks.LINES).read_bytes()
    for changed in (
        {**result, "general": {**result["general"], "tuned": 48}},
        {**result, "outputs_sha256": "0" * 64},
    ):
        with writing(engine) as session:
            again = asks.check(session, story.lead, adapter.id)
        done = tuned.finished(engine, again, {checks.LINES: content}, _told(changed))
        assert done.state is JobState.FAILED
        assert "could not be taken in" in str(done.message)


def _told(result: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in result.items() if k not in ("state", "message", "at")}


def test_changed_answers_are_not_shown(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    with reading(engine) as session:
        assert checks.opened(session, adapter, settings.current()) == []
    promoted.checked(engine, story, adapter, failed=("inject-1",))
    with reading(engine) as session:
        lines = checks.opened(session, adapter, settings.current())
        row = session.query(JobRow).filter(JobRow.kind == "check").one()
    assert [o["id"] for o in lines if o["arm"] == "tuned" and not o["passed"]][-1] == "inject-1"
    file = jobs.folder(settings.current(), row.id) / checks.LINES
    file.write_bytes(file.read_bytes().replace(b"right", b"wrong", 1))
    with reading(engine) as session, pytest.raises(Unavailable, match="missing or changed"):
        checks.opened(session, adapter, settings.current())


def test_answers_are_kept_back_while_a_trial_is_open(engine: Engine) -> None:
    story, evaluation = tuned.compared(engine, 20)
    with reading(engine) as session:
        adapter = adapters.get(session, evaluation.adapter_id or 0)
    promoted.checked(engine, story, adapter)
    tuned.planned(engine, story, evaluation, 2)
    with reading(engine) as session:
        assert checks.summary(session, adapter) is None
        with pytest.raises(RuleBroken, match="A blind trial is open"):
            checks.opened(session, adapter, settings.current())


def test_own_prompts_come_and_go_and_make_a_check_old(engine: Engine) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    first = _own(engine, story, "Say the word.", "the word")
    promoted.checked(engine, story, adapter)

    def outdated() -> bool:
        with reading(engine) as session:
            found = checks.newest_counts(session, adapter)
        assert found is not None
        return found.outdated

    assert not outdated()
    second = _own(engine, story, "Say another.", "another")
    assert outdated()
    with writing(engine) as session:
        check_prompts.drop(session, story.lead, second)
    assert not outdated()
    with writing(engine) as session, pytest.raises(NotFound, match="in use"):
        check_prompts.drop(session, story.lead, second)
    with reading(engine) as session:
        assert [one.id for one in check_prompts.listing(session, story.project.id)] == [first]


@pytest.mark.parametrize(
    ("prompt", "must", "must_not"),
    [
        (" ", ["a"], []),
        ("x" * 4001, ["a"], []),
        ("Hello", [], [" "]),
        ("Hello", ["a" * 81], []),
        ("Hello", [f"w{i}" for i in range(11)], []),
    ],
)
def test_an_own_prompt_needs_words_to_judge_by(
    engine: Engine, prompt: str, must: list[str], must_not: list[str]
) -> None:
    story = tuned.frozen(engine, 12)
    with writing(engine) as session, pytest.raises(BadInput):
        check_prompts.add(session, story.lead, story.project.id, prompt, must, must_not)
