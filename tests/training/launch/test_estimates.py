"""Estimates: the arithmetic, the memory told beforehand, and how near they were."""

import itertools
import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs

from storage.types import Job, JobKind, JobState
from training.launch import estimates
from training.models import memory
from training.models.memory import ModelSize, PairLengths
from training.records.parts import BaseModel, Estimate, PairCounts
from training.records.record import read, written
from training.records.results import ProbeResult
from training.records.specs import TrainSpec
from training.settings import Batching, Full, Local, Lora, Preference, Qlora

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROBE = ProbeResult(
    ready_seconds=10.0,
    step_seconds=(2.0, 2.0, 2.0, 2.0),
    step_tokens=(100, 100, 100, 100),
    median_seconds=2.0,
    tokens_a_batch=100.0,
    evaluation_seconds=3.0,
    saving_seconds=0.5,
    memory_mb={"program": 600.0, "weights": 500.0, "activations": 100.0},
    peak_memory_mb=1200.0,
    rows=PairCounts(100, 20),
)
BASE = ModelSize(
    parameters=1_000_000,
    linear={"q_proj": [(64, 64)] * 2, "v_proj": [(32, 64)] * 2, "up_proj": [(128, 64)] * 2},
    layers=2,
    hidden=64,
    inner=128,
    keys=32,
    vocabulary=1000,
    context=512,
)


def test_a_run_is_its_parts() -> None:
    told = estimates.of(PROBE, Lora(epochs=2, batch_size=10, checkpoint_steps=5))
    assert (told.steps, told.evaluations, told.checkpoints) == (20, 2, 3)
    assert told.seconds() == pytest.approx(10 + 20 * 2.0 + 2 * 3.0 + 0.5 * (1 + 4 * 3))
    assert told.interval() == (told.seconds(), told.seconds())  # equal steps leave no doubt
    assert sum(told.parts.values()) == told.memory_mb == 1200
    assert read(Estimate, json.loads(json.dumps(written(told)))) == told


@pytest.mark.parametrize(
    ("settings", "steps", "passes"),
    [
        (Lora(epochs=3, batch_size=8), 39, 3),
        (Lora(epochs=1, batch_size=100), 1, 1),
        (Lora(max_steps=5, batch_size=8), 5, 1),
        (Lora(max_steps=14, batch_size=8), 14, 2),
    ],
)
def test_validation_follows_each_pass(settings: Lora, steps: int, passes: int) -> None:
    told = estimates.of(PROBE, settings)
    assert (told.steps, told.evaluations) == (steps, passes)
    none = estimates.of(structs.replace(PROBE, rows=PairCounts(100, 0)), settings)
    assert none.evaluations == 0


def test_a_probe_that_met_long_rows_does_not_mislead() -> None:
    step, low, high = estimates.a_step([4.0, 4.4, 3.6, 4.0], [400, 440, 360, 400], 100.0)
    assert step == pytest.approx(1.0)
    assert low == pytest.approx(1.0)
    assert high == pytest.approx(1.0)


def test_steps_that_differ_widen_the_interval() -> None:
    narrow = estimates.a_step([2.0, 2.1, 1.9, 2.0], [10] * 4, 10)
    wide = estimates.a_step([1.0, 3.0, 1.0, 3.0], [10] * 4, 10)
    assert narrow[0] == wide[0] == pytest.approx(2.0)
    assert wide[2] - wide[1] > narrow[2] - narrow[1] > 0
    assert wide[1] > 0
    more = estimates.a_step([1.0, 3.0] * 6, [10] * 12, 10)
    assert more[2] - more[1] < wide[2] - wide[1]
    assert estimates.a_step([2.0], [10], 10) == (2.0, 1.0, 4.0)


def _run(**result: object) -> Job:
    told = estimates.of(PROBE, Lora(epochs=2, batch_size=10, checkpoint_steps=0))
    whole = {"steps": 20, "took": {"seconds": 60.0, "peak_memory_mb": 1320.0}} | result
    spec = written(
        TrainSpec(version_id=1, base=BaseModel("packaged"), settings=Lora(), estimate=told)
    )
    return Job("x", 1, JobKind.TRAIN, JobState.FINISHED, 1, spec, whole, None, NOW, NOW)


def test_an_estimate_is_held_against_what_happened() -> None:
    found = estimates.against(_run())
    assert found is not None
    assert found.seconds == pytest.approx(56.5)
    assert found.off == pytest.approx(60 / 56.5 - 1)
    assert found.memory_off == pytest.approx(0.1)


def test_a_run_that_ended_early_is_held_against_what_it_did() -> None:
    found = estimates.against(_run(steps=10, validation_curve=[{"step": 10, "loss": 1.0}]))
    assert found is not None
    assert found.seconds == pytest.approx(56.5 - 10 * 2.0 - 3.0)
    assert (found.steps, found.planned) == (10, 20)
    unknown = estimates.against(_run(took={"seconds": 60.0, "peak_memory_mb": None}))
    assert unknown is not None
    assert unknown.memory_off is None


def test_without_an_estimate_or_an_end_there_is_nothing_to_compare() -> None:
    run = _run()
    none = {**run.spec, "estimate": None}
    assert estimates.against(replace(run, spec=none)) is None
    older = {key: value for key, value in run.spec.items() if key != "estimate"}
    assert estimates.against(replace(run, spec=older)) is None
    assert estimates.against(replace(run, state=JobState.FAILED)) is None


def _files(folder: Path) -> Path:
    shapes = {
        "model.embed_tokens.weight": [1000, 64],
        "model.layers.0.self_attn.q_proj.weight": [64, 64],
        "model.layers.0.self_attn.v_proj.weight": [32, 64],
        "model.norm.weight": [64],
    }
    ends = list(itertools.accumulate(4 * math.prod(shape) for shape in shapes.values()))
    header = json.dumps(
        {
            name: {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
            for (name, shape), start, end in zip(shapes.items(), [0, *ends], ends, strict=False)
        }
        | {"__metadata__": {"format": "pt"}}
    ).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(ends[-1])
    (folder / "model.safetensors").write_bytes(content)
    config = {
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "intermediate_size": 128,
        "vocab_size": 1000,
        "max_position_embeddings": 512,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_model_is_sized_without_loading_it(tmp_path: Path) -> None:
    size = memory.model(_files(tmp_path))
    assert size is not None
    assert size.parameters == 64_000 + 4096 + 2048 + 64
    assert size.linear == {"q_proj": [(64, 64)], "v_proj": [(32, 64)]}
    assert (size.keys, size.context) == (32, 512)


@pytest.mark.parametrize("content", [b"", b"\xff" * 16, (5).to_bytes(8, "little") + b"{bad}"])
def test_a_broken_model_file_has_no_size(tmp_path: Path, content: bytes) -> None:
    _files(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    assert memory.model(tmp_path) is None
    assert memory.model(tmp_path / "nothing") is None


def test_each_method_asks_for_memory_in_its_own_way() -> None:
    rows = PairLengths(330, (330, 300, 100))
    told = {
        type(one): memory.expect(BASE, one, rows, gpu=False)
        for one in (Lora(batch_size=2), Qlora(batch_size=2), Full(batch_size=2), Preference())
    }
    lora, full = told[Lora], told[Full]
    assert lora["weights"] == 4.0
    trained = 16 * 2 * ((64 + 64) + (32 + 64))
    assert lora["adapter"] == lora["optimizer"] == pytest.approx(8 * trained / 1e6)
    assert told[Qlora]["weights"] < lora["weights"]
    assert (full["weights"], full["adapter"], full["optimizer"]) == (0.0, 8.0, 8.0)
    assert set(lora) == set(estimates.PARTS)


def test_more_rows_and_longer_ones_take_more_and_checkpointing_less() -> None:
    def activations(settings: Local, *longest: int) -> float:
        return memory.expect(BASE, settings, PairLengths(100, longest), gpu=False)["activations"]

    usual = activations(Lora(batch_size=2), 300, 300)
    assert activations(Lora(batch_size=1), 300, 300) < usual
    assert activations(Lora(batch_size=2), 900, 900) > usual
    assert activations(Lora(batch_size=2, gradient_checkpointing=True), 300, 300) < usual
    assert activations(Lora(batch_size=2, batching=Batching.PADDED), 300, 300) > usual


def test_advice_begins_with_what_harms_least() -> None:
    words = [one.action for one in memory.advice(Lora(batch_size=8), longest=900)]
    order = ("gradient checkpointing", "4 pairs a step", "900 tokens", "QLoRA", "smaller base")
    assert [part in told for part, told in zip(order, words, strict=True)] == [True] * 5
    assert memory.advice(Lora(batch_size=8))[1].setting == ("batch_size", 4)
    least = memory.advice(Qlora(batch_size=1, gradient_checkpointing=True))
    assert [one.setting for one in least] == [None, None]
    assert any("LoRA: 90" in one.action for one in memory.advice(Full()))
