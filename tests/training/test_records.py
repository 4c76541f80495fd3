"""Records: what 0.3.1 stored opens, keeps its keys, and is refused without its words."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.errors import BadInput, Unavailable
from storage.types import Job, JobKind, JobState
from training import kinds
from training.records import cards, record, results, specs, tasks
from training.records.parts import BaseModel, GateLine
from training.records.specs import TrainSpec
from training.settings import Lora, Provider

BASE = {"kind": "packaged", "where": "smollm2-135m-instruct", "revision": None}
SPEC = {
    "name": "Demo",
    "version_id": 1,
    "version_number": 1,
    "version_sha256": "3" * 64,
    "base": BASE,
    "settings": Lora(epochs=2, targets=("q_proj",)).to_dict(),
    "started_from": None,
    "share": 1.0,
    "estimate": None,
    "gate": [
        {"key": "gold", "name": "Gold pairs", "met": False, "measured": "3", "waiver": "Ana: ok"}
    ],
}
RUN = Job(
    "x",
    1,
    JobKind.TRAIN,
    JobState.QUEUED,
    1,
    SPEC,
    None,
    None,
    datetime(2026, 7, 1, tzinfo=UTC),
    None,
)


def test_a_stored_spec_is_written_with_the_very_keys_it_had() -> None:
    spec = specs.train(RUN)
    assert spec.settings == Lora(epochs=2, targets=("q_proj",))
    assert spec.gate == (
        GateLine(key="gold", name="Gold pairs", met=False, measured="3", waiver="Ana: ok"),
    )
    assert record.written(spec) == SPEC


def test_keys_that_are_not_known_are_ignored_and_missing_ones_have_their_default() -> None:
    older = {"version_id": 1, "base": {"kind": "packaged"}, "settings": {"epochs": 1}, "mood": "?"}
    spec = specs.train(replace(RUN, spec=older))
    assert (spec.share, spec.gate, spec.resumed_from) == (1.0, (), None)
    assert spec.settings == Lora(epochs=1), "settings without a method are LoRA's"
    assert spec.base == BaseModel("packaged")


def test_what_cannot_be_read_is_refused_by_its_place_and_not_with_its_words() -> None:
    broken = replace(RUN, spec={**SPEC, "version_id": "my card number"})
    with pytest.raises(Unavailable, match=r"TrainSpec.*\(version_id\)") as refusal:
        specs.train(broken)
    assert "card" not in str(refusal.value)


def test_a_job_without_a_readable_task_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"spec\.json is missing or names no known"):
        tasks.read(tasks.TaskHead, tmp_path)
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(BadInput, match=r"spec\.json is missing or names no known"):
        tasks.read(tasks.TaskHead, tmp_path)
    (tmp_path / "spec.json").write_text('{"kind": "magic"}')
    assert kinds.module(tasks.read(tasks.TaskHead, tmp_path)) is None


def test_a_run_that_ended_before_it_measured_anything_has_a_result() -> None:
    ended = results.train(
        replace(RUN, result={"state": "failed", "message": "It broke.", "exit": 1})
    )
    assert (ended.state, ended.steps, ended.diverged) == (JobState.FAILED, None, False)
    assert results.train(RUN).state is None


def test_numbers_of_a_comparison_are_read_by_arm() -> None:
    summary = record.read(
        cards.Summary,
        {"n": 4, "base": {"correct": 1, "valid": 2}, "made": {"n": 4, "base_accuracy": 0.25}},
    )
    assert summary.base is not None
    assert (summary.base.correct, summary.tuned, summary.method.n) == (1, None, 4)


def test_the_module_of_a_task_is_told_by_kind_method_and_endpoint() -> None:
    head = tasks.TaskHead(kind="train")
    assert kinds.module(head) == "training.tuning.sft"
    remote = tasks.TaskHead(kind="train", settings=Provider().to_dict())
    assert kinds.module(remote) == "training.hosted.provider"
    assert kinds.module(tasks.TaskHead(kind="evaluate", endpoint={})) == (
        "training.proving.evaluate_remote"
    )
    assert set(kinds.KINDS) == set(JobKind)


def test_a_run_at_an_endpoint_is_told_by_its_method() -> None:
    spec = TrainSpec(version_id=1, base=BaseModel("packaged"), settings=Provider())
    assert spec.remote
    assert not specs.train(RUN).remote
