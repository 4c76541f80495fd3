"""Runs of each method that stop and go on, and what none of them may end with."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.tiny_model import job, rows, tiny
from training.tuning import checkpoints
from training.work import evidence
from training.work.rows import TrainingPair
from training.worker import work

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_code")]

LINES = [
    {**row, "rejected": "I am not sure."} for row in rows(8) + rows(4, "validation", first=100)
]
COMMON: dict[str, Any] = {"epochs": 2, "batch_size": 4, "checkpoint_steps": 1, "patience": 0}
TARGETS = ["q_proj", "v_proj", "down_proj"]
METHODS: dict[str, dict[str, Any]] = {
    "lora": {
        "dora": True,
        "rslora": True,
        "dropout": 0.2,
        "learning_rate": 0.03,
        "targets": TARGETS,
    },
    "qlora": {"dropout": 0.2, "learning_rate": 0.03, "targets": TARGETS},
    "full": {"learning_rate": 0.003, "weight_decay": 0.01},
    "preference": {"learning_rate": 0.02, "adapter_id": 1},
}


@pytest.fixture(scope="module")
def first(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose adapter preference tuning goes on from."""
    directory = tmp_path_factory.mktemp("jobs") / "first"
    assert work(_job(directory, small, "lora", {"max_steps": 1})) == 0
    return directory


def _job(
    directory: Path, base: Path, method: str, changed: Mapping[str, Any], start: Path | None = None
) -> Path:
    spec: dict[str, Any] = {
        "kind": "train",
        "rows_path": "rows.jsonl",
        "base": {"kind": "folder", "where": str(base)},
        "settings": {"method": method, **COMMON, **METHODS[method], **changed},
    }
    if start is not None:
        made = _result(start)
        spec["adapter_path"] = str(start / "adapter")
        spec["started_from"] = {"id": 1, "sha256": made["adapter_sha256"]}
        spec["precision"] = made["precision"]
    return job(directory, spec, LINES)


def _result(directory: Path) -> dict[str, Any]:
    found = evidence.read_result(directory)
    assert found is not None
    return found


def _going_on(source: Path, directory: Path) -> Path:
    spec = json.loads((source / "spec.json").read_text())
    found, _refused = checkpoints.newest(source)
    assert found is not None
    directory.mkdir()
    shutil.copy(source / "rows.jsonl", directory)
    checkpoints.adopt(source, found.step, found.sha256, directory)
    spec["resumed_from"] = {"job": source.name, "step": found.step, "sha256": found.sha256}
    (directory / "spec.json").write_text(json.dumps(spec))
    return directory


def _furthest(one: Path, other: Path) -> float:
    from safetensors.torch import load_file

    first, second = (
        {
            name: value
            for file in (d / "adapter").glob("*.safetensors")
            for name, value in load_file(file).items()
        }
        for d in (one, other)
    )
    assert set(first) == set(second)
    assert first
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_run_goes_on_to_the_same_end(
    small: Path, first: Path, tmp_path: Path, method: str
) -> None:
    """Bit for bit on a CPU; of a 4-bit base only the course of the loss is promised."""
    start = first if method == "preference" else None
    whole = _job(tmp_path / "whole", small, method, {}, start)
    assert work(whole) == 0, _result(whole)["message"]
    assert _result(whole)["steps"] == 4
    part = _job(tmp_path / "part", small, method, {}, start)
    evidence.request_stop(part)
    assert work(part) == 0
    assert _result(part)["message"].startswith("Stopped by request at step 1 of 4")
    last = _going_on(part, tmp_path / "last")
    assert work(last) == 0, _result(last)["message"]
    losses = [_result(one)["validation_loss"] for one in (whole, last)]
    if method == "qlora":
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)
        return
    assert _furthest(whole, last) == 0.0
    assert losses[0] == losses[1]


@pytest.mark.parametrize("method", ["full", "preference"])
def test_a_cancelled_run_leaves_nothing(
    small: Path, first: Path, tmp_path: Path, method: str
) -> None:
    start = first if method == "preference" else None
    directory = _job(tmp_path / "run", small, method, {}, start)
    evidence.request_cancel(directory)
    assert work(directory) == 0
    assert _result(directory)["state"] == "cancelled"
    assert not (directory / "adapter").exists()
    assert not checkpoints.recorded(directory)


def test_full_tuning_that_diverges_leaves_no_model(tmp_path: Path) -> None:
    spoilt = tiny(tmp_path / "spoilt", poison=True)
    directory = _job(tmp_path / "run", spoilt, "full", {})
    assert work(directory) == 1
    assert _result(directory)["diverged"]
    assert not (directory / "adapter").exists()


def test_preference_tuning_goes_on_from_the_very_adapter_that_was_recorded(
    small: Path, first: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    (copy / "adapter" / "chat_template.jinja").write_text("{{ messages }}")
    directory = _job(tmp_path / "run", small, "preference", {}, copy)
    assert work(directory) == 1
    assert "files changed since it was trained" in _result(directory)["message"]


def test_preference_tuning_begins_at_the_reference_and_moves_away(
    small: Path, first: Path, tmp_path: Path
) -> None:
    """The first loss is that of no preference, ln 2; then the chosen answers win."""
    directory = _job(tmp_path / "run", small, "preference", {"checkpoint_steps": 0}, first)
    assert work(directory) == 0
    result = _result(directory)
    assert result["first_train_loss"] == pytest.approx(0.6931, abs=1e-4)
    assert result["train_loss"] < 0.6
    assert result["started_from"]["id"] == 1
    assert result["precision"] == "usual"
    assert _furthest(first, directory) > 0


def test_the_loss_of_preferences_is_that_of_trl(small: Path, first: Path, tmp_path: Path) -> None:
    """Loss and gradient, on answers of different lengths, of an adapter that has moved away from
    its reference.
    """
    import torch
    from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

    from training.models import base_models, tuned_models
    from training.settings import Preference
    from training.tuning import preference
    from training.tuning.watch import Watch

    model, tokenizer = base_models.load(small)
    tuned = tuned_models.with_adapter(model, first / "adapter", None, trained=True)
    lines = [TrainingPair(i, "train", f"Ask {'x' * i}", "yes " * i, "no") for i in range(1, 5)]
    train = preference.tokenized(lines, "train", tokenizer, "Be brief.", 256)
    none = preference.tokenized(lines, "validation", tokenizer, "Be brief.", 256)
    watch = Watch(evidence.Evidence(tmp_path), 0, 4, 4)
    trainer = preference.build_trainer(
        tmp_path, tuned, tokenizer, train, none, Preference(batch_size=4), watch
    )
    policy: Any = trainer.model
    trained = [value for value in policy.parameters() if value.requires_grad]
    with torch.no_grad():
        for value in trained:
            value.add_(0.02 * torch.ones_like(value))
    pairs = list(train)
    ours = trainer.compute_loss(policy, preference.Pairs(tokenizer.pad_token_id)(pairs))
    trl_batch = DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id)(pairs)
    theirs = cast("Any", DPOTrainer).compute_loss(trainer, policy, trl_batch)
    assert abs(float(ours) - 0.6931) > 1e-3
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
    mine = torch.autograd.grad(ours, trained)
    for one, other in zip(mine, torch.autograd.grad(theirs, trained), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)


def test_a_4_bit_base_reckons_joined_rows_as_if_apart(small: Path) -> None:
    import torch

    from tests.support.tiny_model import SYSTEM
    from training.models import base_models, render
    from training.models.precision import Precision
    from training.tuning import batches

    model, tokenizer = base_models.load(small, Precision.NF4_DOUBLE)
    names = {type(part).__name__ for part in model.modules()}
    assert "Linear4bit" in names
    examples = []
    for row in rows(3):
        ids, labels = render.pair_ids(tokenizer, SYSTEM, row["prompt"], row["response"])
        examples.append({"input_ids": ids, "labels": labels})
    together = batches.Collator(tokenizer.pad_token_id, joins=True)(examples)
    apart = batches.Collator(tokenizer.pad_token_id, joins=False)(examples)
    from training.tuning.answers import loss

    with torch.no_grad():
        assert float(loss(model, together)) == pytest.approx(float(model(**apart).loss), rel=1e-5)
