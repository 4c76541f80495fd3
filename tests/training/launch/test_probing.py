"""A probe on a tiny model, in a real worker: real steps of each method, figures, nothing kept."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_model import SYSTEM, packaged, rows, training_job
from training.launch import estimates, probes
from training.models import render
from training.records import record, tasks
from training.records.results import ProbeResult
from training.records.tasks import TrainTask
from training.settings import Local, read
from training.work import evidence
from training.worker import work

pytestmark = pytest.mark.filterwarnings("ignore")


def _probe(
    directory: Path, base: Path, lines: Sequence[Mapping[str, Any]], **settings: object
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings as launched, and the result of a probe that a worker took."""
    training_job(directory, base, lines, **settings)
    spec = json.loads((directory / "spec.json").read_text())
    (directory / "spec.json").write_text(json.dumps(spec | {"kind": "probe"}))
    work(directory)
    result = evidence.read_result(directory)
    assert result is not None
    return spec["settings"], result


def _local(values: Mapping[str, Any]) -> Local:
    found = read(values)
    assert isinstance(found, Local)
    return found


def test_a_probe_measures_and_keeps_nothing(small: Path, tmp_path: Path) -> None:
    lines = rows(40) + rows(10, "validation", first=100)
    settings, result = _probe(tmp_path / "probe", small, lines, epochs=3, checkpoint_steps=2)
    assert result["state"] == "finished", result["message"]
    assert estimates.MINIMUM_STEPS <= len(result["step_seconds"]) <= 12
    assert all(seconds > 0 for seconds in result["step_seconds"])
    assert result["rows"] == {"train": 40, "validation": 10}
    assert result["evaluation_seconds"] > 0
    assert result["ready_seconds"] > 0
    told = estimates.of(record.read(ProbeResult, result), _local(settings))
    assert (told.steps, told.evaluations, told.checkpoints) == (15, 3, 7)
    low, high = told.interval()
    assert low <= told.seconds() <= high
    parts = result["memory_mb"]
    assert set(parts) == set(estimates.PARTS)
    assert parts["weights"] > parts["adapter"] > 0
    assert parts["optimizer"] > 0
    assert result["took"]["peak_memory_mb"] >= result["peak_memory_mb"] * 0.5
    left = {path.name for path in (tmp_path / "probe").iterdir()}
    assert not left & {"adapter", "checkpoints", "checkpoints.json"}
    assert not [name for name in left if name.startswith(".thrown-away")]


def test_the_tokens_are_those_of_the_batches(small: Path, tmp_path: Path) -> None:
    _, result = _probe(tmp_path / "probe", small, rows(8), batch_size=1, dropout=0.0)
    lengths = json.loads((tmp_path / "probe" / probes.ROWS_FILE).read_text())["lengths"]
    read = [length - 1 for length in lengths]  # nothing is to follow a row's last token
    assert set(result["step_tokens"]) <= set(read)
    assert result["tokens_a_batch"] == pytest.approx(sum(read) / 8)
    assert result["evaluation_seconds"] == 0


@pytest.mark.parametrize("method", ["full", "qlora"])
def test_other_methods_are_measured_alike(small: Path, tmp_path: Path, method: str) -> None:
    given = {"method": method, "learning_rate": 1e-4, "batch_size": 4}
    training_job(tmp_path / "probe", small, rows(12) + rows(4, "validation", first=100))
    spec = json.loads((tmp_path / "probe" / "spec.json").read_text())
    changed = spec | {"kind": "probe", "settings": given}
    (tmp_path / "probe" / "spec.json").write_text(json.dumps(changed))
    work(tmp_path / "probe")
    result = evidence.read_result(tmp_path / "probe")
    assert result is not None
    assert result["state"] == "finished", result["message"]
    weights = result["memory_mb"]["weights"]
    assert weights == 0 if method == "full" else weights > 0
    assert estimates.of(record.read(ProbeResult, result), _local(given)).steps == 9


def test_preference_tuning_is_measured_on_pairs(small: Path, tmp_path: Path) -> None:
    first = training_job(tmp_path / "first", small, rows(8), epochs=1)
    assert work(first) == 0
    made = evidence.read_result(first)
    assert made is not None
    lines = [{**row, "rejected": '{"team": "none"}'} for row in rows(8)]
    settings = {"method": "preference", "batch_size": 2, "adapter_id": 1}
    training_job(tmp_path / "probe", small, lines)
    spec = json.loads((tmp_path / "probe" / "spec.json").read_text())
    started_from = {"id": 1, "sha256": made["adapter_sha256"], "precision": made["precision"]}
    changed = spec | {
        "kind": "probe",
        "settings": settings,
        "started_from": started_from,
        "adapter_path": str(first / "adapter"),
        "precision": made["precision"],
    }
    (tmp_path / "probe" / "spec.json").write_text(json.dumps(changed))
    work(tmp_path / "probe")
    result = evidence.read_result(tmp_path / "probe")
    assert result is not None
    assert result["state"] == "finished", result["message"]
    assert min(result["step_tokens"]) > 0
    assert estimates.of(record.read(ProbeResult, result), _local(settings)).steps == 12
    seen = probes.rendered_pairs(tmp_path / "probe")
    assert seen is not None
    assert len(seen.lengths) == 16
    assert {one.answer for one in seen.examples} == {"better", "worse"}


def test_what_the_model_sees_is_what_is_trained(small: Path, tmp_path: Path) -> None:
    lines = rows(6) + rows(2, "validation", first=100)
    training_job(tmp_path / "probe", small, lines)
    task = tasks.read(TrainTask, tmp_path / "probe")
    from transformers import AutoTokenizer

    from training.launch import probing

    seen = probing.see(tmp_path / "probe", small, task)
    tokenizer = AutoTokenizer.from_pretrained(packaged().path)
    by_pair = {line["pair_id"]: line for line in lines}
    assert len(seen.examples) == 6
    for one in seen.examples:
        line = by_pair[one.pair_id]
        ids, labels = render.pair_ids(tokenizer, SYSTEM, line["prompt"], line["response"])
        assert "".join(part.text for part in one.stretches) == tokenizer.decode(ids)
        assert one.tokens == sum(part.tokens for part in one.stretches) == len(ids)
        learnt = "".join(part.text for part in one.stretches if part.learnt)
        assert learnt == tokenizer.decode([x for x in labels if x != render.IGNORED])
        marks = [part.text for part in one.stretches if part.mark]
        assert marks[:2] == ["<|im_start|>", "<|im_end|>"]
    assert seen.too_long == 0
    assert 10 < seen.shared < min(seen.lengths)
    assert len(seen.lengths) == 8


def test_rows_that_are_too_long_are_listed_and_refused(small: Path, tmp_path: Path) -> None:
    long = rows(1, first=50)
    long[0]["prompt"] *= 20
    _, result = _probe(tmp_path / "probe", small, rows(4) + long, max_length=100)
    assert result["state"] == "failed"
    assert "longer than 100 tokens" in result["message"]
    seen = probes.rendered_pairs(tmp_path / "probe")
    assert seen is not None
    assert (seen.too_long, seen.too_long_rows[0][0]) == (1, 50)


def test_a_cancelled_probe_says_so(small: Path, tmp_path: Path) -> None:
    training_job(tmp_path / "probe", small, rows(8))
    spec = json.loads((tmp_path / "probe" / "spec.json").read_text())
    (tmp_path / "probe" / "spec.json").write_text(json.dumps(spec | {"kind": "probe"}))
    evidence.request_cancel(tmp_path / "probe")
    work(tmp_path / "probe")
    result = evidence.read_result(tmp_path / "probe")
    assert result is not None
    assert result["state"] == "cancelled"


@pytest.mark.usefixtures("model_code")
def test_places_are_spread_evenly() -> None:
    from training.launch.probing import spread

    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(3, 3) == [0, 1, 2]
    assert spread(0, 0) == []
    assert spread(5, 1) == [0]


def test_a_probe_takes_no_test_row(small: Path, tmp_path: Path) -> None:
    _, result = _probe(tmp_path / "probe", small, rows(4) + rows(1, "test", first=9))
    assert result["state"] == "failed"
    assert "test pairs never train" in result["message"]
