"""Answers in batches are those of one prompt at a time; evaluation freezes and scores them."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from curation.personal import model_files
from tests.support.tiny_model import SCHEMA, SYSTEM, job, packaged, rows, training_job
from training.models import base_models, render
from training.work import evidence
from training.worker import work

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("model_code")]

SIZES: dict[str, Any] = {
    "vocab_size": 211,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "eos_token_id": None,
}
PROMPTS = [
    "My card is lost.",
    "I would like to ask about a loan for a new kitchen, and whether the rate is fixed.",
    "Hi",
    "Somebody used my card in another town and I want it stopped at once, please.",
    "The app does not open.",
]


@pytest.fixture(scope="module")
def loaded(model_code: None) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """The packaged model."""
    del model_code
    return base_models.load(packaged().path)


def test_a_batch_answers_as_one_at_a_time(
    loaded: "tuple[PreTrainedModel, PreTrainedTokenizerBase]",
) -> None:
    import torch

    from training.proving import generate

    model, tokenizer = loaded
    together = generate.answers(model, tokenizer, SYSTEM, PROMPTS, 12, batch_size=3)
    for prompt, answer in zip(PROMPTS, together, strict=True):
        ids = torch.tensor([render.prompt_ids(tokenizer, SYSTEM, prompt)])
        alone = model.generate(  # type: ignore[operator]  # transformers' own greedy search
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
        )[0, ids.shape[1] :]
        assert answer.text == tokenizer.decode(alone, skip_special_tokens=True)
        assert answer.tokens == len(alone)
        assert answer.ended == (int(alone[-1]) == tokenizer.eos_token_id)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gemma3", "mistral"])
@pytest.mark.parametrize("at_once", [64, 3], ids=["one batch", "three batches"])
def test_every_family_writes_the_tokens_of_one_at_a_time(family: str, at_once: int) -> None:
    """Rows end at different steps and leave; windows of 12 tokens are far shorter than the text."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from training.proving import generate

    torch.manual_seed(4)
    name = "gemma3_text" if family == "gemma3" else family
    window = {} if family == "llama" else {"sliding_window": 12}
    config = AutoConfig.for_model(name, **SIZES, **window, initializer_range=0.5)
    model = AutoModelForCausalLM.from_config(config).train(False)  # type: ignore[no-untyped-call]
    head = torch.randint(3, 211, (20,)).tolist()
    ids = [head + torch.randint(3, 211, (n,)).tolist() for n in (5, 9, 1, 14, 3, 7, 6)]
    ends = frozenset(range(10, 25))
    together = generate.tokens(model, ids, 12, ends, batch_size=at_once)
    for prompt, written in zip(ids, together, strict=True):
        asked = torch.tensor([prompt])
        alone = model.generate(
            asked,
            attention_mask=torch.ones_like(asked),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=sorted(ends),
            pad_token_id=0,
        )
        assert written == alone[0, len(prompt) :].tolist()
    assert len({len(written) for written in together}) > 1


def test_nothing_is_asked() -> None:
    import torch

    from training.proving import generate

    assert generate.tokens(torch.nn.Linear(1, 1), [], 5, frozenset()) == []  # type: ignore[arg-type]


def test_the_same_seed_draws_the_same(small: Path) -> None:
    from training.proving import generate

    model, tokenizer = base_models.load(small)
    ids = [render.prompt_ids(tokenizer, SYSTEM, prompt) for prompt in PROMPTS]

    def drawn(seed: int) -> list[str]:
        pick = generate.sampled(seed, 1.0)
        return [one.text for one in generate.complete(model, tokenizer, ids, 6, pick)]

    assert drawn(1) == drawn(1) != drawn(2)


def test_a_stop_between_tokens_is_obeyed(small: Path) -> None:
    from training.proving import generate

    model, tokenizer = base_models.load(small)
    with pytest.raises(evidence.Cancelled):
        generate.answers(model, tokenizer, SYSTEM, PROMPTS, 6, should_stop=lambda: True)


@pytest.fixture(scope="module")
def adapter(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained adapter of the tiny model."""
    directory = tmp_path_factory.mktemp("jobs") / "run"
    assert work(training_job(directory, small, rows(16), max_steps=4)) == 0
    return directory / "adapter"


def _evaluation(directory: Path, small: Path, **spec: object) -> Path:
    known = {
        "kind": "evaluate",
        "rows": "rows.jsonl",
        "base": {"kind": "folder", "where": str(small)},
        "adapter_path": None,
        "output_schema": SCHEMA,
        "label_field": "team",
        "max_new_tokens": 5,
    }
    return job(directory, known | spec, rows(6, "test"))


def _result(directory: Path) -> dict[str, Any]:
    found = evidence.read_result(directory)
    assert found is not None
    return found


def test_both_arms_are_frozen_and_scored(small: Path, adapter: Path, tmp_path: Path) -> None:
    from training.proving import generate

    directory = _evaluation(
        tmp_path / "job",
        small,
        adapter_path=str(adapter),
        adapter_sha256=model_files.folder_sha256(adapter),
    )
    assert work(directory) == 0
    result = _result(directory)
    lines = [json.loads(line) for line in (directory / "outputs.jsonl").read_text().splitlines()]
    assert [(line["pair_id"], line["arm"]) for line in lines] == [
        (pair_id, arm) for arm in ("base", "tuned") for pair_id in range(1, 7)
    ]
    assert all(
        line["sha256"] == hashlib.sha256(line["text"].encode()).hexdigest() for line in lines
    )
    assert set(lines[0]) == {"pair_id", "arm", "text", "valid", "correct", "sha256"}
    assert result["n"] == 6
    for name in ("base_accuracy", "base_valid", "tuned_accuracy", "tuned_valid"):
        assert result[name] == 0
        assert result[f"{name}_interval"][0] == 0
    base, tuned = [line["text"] for line in lines[:6]], [line["text"] for line in lines[6:]]
    assert base != tuned, "the adapter is on for one arm only"
    model, tokenizer = base_models.load(small)
    prompts = [row["prompt"] for row in rows(6)]
    plain = generate.answers(model, tokenizer, SYSTEM, prompts, 5)
    assert base == [one.text for one in plain]


def test_the_base_alone(small: Path, tmp_path: Path) -> None:
    directory = _evaluation(tmp_path / "job", small)
    assert work(directory) == 0
    assert "tuned_accuracy" not in _result(directory)


def _swapped(adapter: Path, _job: Path) -> None:
    (adapter / "adapter_model.safetensors").write_bytes(b"other")


def _pickled(adapter: Path, _job: Path) -> None:
    (adapter / "adapter_model.bin").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "words"), [(_swapped, "changed since it was trained"), (_pickled, "did not write")]
)
def test_another_adapter_is_refused(
    small: Path,
    adapter: Path,
    tmp_path: Path,
    spoil: Any,  # noqa: ANN401 - one of the functions above
    words: str,
) -> None:
    copy = tmp_path / "adapter"
    copy.mkdir()
    for file in adapter.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    sha256 = model_files.folder_sha256(copy)
    directory = _evaluation(tmp_path / "job", small, adapter_path=str(copy), adapter_sha256=sha256)
    spoil(copy, directory)
    assert work(directory) == 1
    assert words in _result(directory)["message"]
    assert not (directory / "outputs.jsonl").exists()


def test_a_schema_that_reaches_out_is_refused(small: Path, tmp_path: Path) -> None:
    schema = {"$ref": "http://169.254.169.254/x"}
    directory = _evaluation(tmp_path / "job", small, output_schema=schema)
    assert work(directory) == 1
    assert "$ref" in _result(directory)["message"]


def test_cancel_keeps_no_answers(small: Path, tmp_path: Path) -> None:
    directory = _evaluation(tmp_path / "job", small)
    evidence.request_cancel(directory)
    assert work(directory) == 0
    assert _result(directory)["state"] == "cancelled"
    assert not (directory / "outputs.jsonl").exists()
