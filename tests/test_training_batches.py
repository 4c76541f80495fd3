"""Joined batches: the same losses, the same gradients, and no row sees another."""

import warnings
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GemmaConfig,
    LlamaConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from training import batches
from training.answers import loss
from training.render import IGNORED

SIZES: dict[str, Any] = {
    "vocab_size": 211,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SIZES),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES),
    "gemma": GemmaConfig(**SIZES),
}
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHARED = 20


@pytest.fixture(params=FAMILIES, ids=str)
def model(request: pytest.FixtureRequest) -> PeftModel:
    """A small random model of one family, with LoRA of random weights on all linear layers."""
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_config(FAMILIES[request.param])  # type: ignore[no-untyped-call]
    lora = LoraConfig(task_type="CAUSAL_LM", r=4, lora_dropout=0.0, target_modules=LINEAR)
    with warnings.catch_warnings():  # peft asks transformers by a name that is going away
        warnings.simplefilter("ignore", FutureWarning)
        tuned = get_peft_model(base, lora)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    assert isinstance(tuned, PeftModel)
    return tuned.train()


def rows(count: int = 6) -> list[dict[str, list[int]]]:
    """Rows of several lengths that begin alike; the last tokens of each are the answer."""
    dice = torch.Generator().manual_seed(3)

    def tokens(n: int) -> list[int]:
        return torch.randint(3, 211, (n,), generator=dice).tolist()

    head = tokens(SHARED)
    made = []
    for n in range(count):
        ids = head + tokens(5 + 3 * n)
        answer = 3 + n
        made.append({"input_ids": ids, "labels": [IGNORED] * (len(ids) - answer) + ids[-answer:]})
    return made


def padded(examples: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """The usual batch: one row each, filled up on the right."""
    width = max(len(one["input_ids"]) for one in examples)

    def filled(name: str, filler: int) -> torch.Tensor:
        return torch.tensor([one[name] + [filler] * (width - len(one[name])) for one in examples])

    mask = [[1] * len(one["input_ids"]) + [0] * (width - len(one["input_ids"])) for one in examples]
    return {
        "input_ids": filled("input_ids", 0),
        "labels": filled("labels", IGNORED),
        "attention_mask": torch.tensor(mask),
    }


def gradients(model: PeftModel, value: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    value.backward()  # type: ignore[no-untyped-call]
    return torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])


def test_loss_and_gradient_are_those_of_the_padded_batch(model: PeftModel) -> None:
    examples = rows()
    assert batches.can_join(model.config)
    together = batches.joined(examples, batches.shared_length(examples))
    usual = model(**padded(examples)).loss
    ours = loss(model, together)
    assert abs(ours - usual).item() < 1e-5
    expected, found = gradients(model, usual), gradients(model, ours)
    assert (found - expected).norm() / expected.norm() < 1e-5


def test_a_row_never_sees_another(model: PeftModel) -> None:
    examples = rows()
    shared = batches.shared_length(examples)
    changed = [*examples]
    other = [7] * (len(examples[1]["input_ids"]) - shared)
    changed[1] = {**examples[1], "input_ids": examples[1]["input_ids"][:shared] + other}
    with torch.no_grad():
        before = model(**_asked(batches.joined(examples, shared))).logits[0]
        after = model(**_asked(batches.joined(changed, shared))).logits[0]
    first = shared + len(examples[0]["input_ids"]) - shared
    second = first + len(other)
    assert not torch.allclose(before[first:second], after[first:second])
    same = torch.cat([torch.arange(first), torch.arange(second, len(before))])
    assert (before[same] - after[same]).abs().max() < 1e-6


def test_rows_that_share_nothing_are_padded() -> None:
    examples = rows(2)
    examples[1]["input_ids"][0] = 2
    batch = batches.Together(0, joins=True)(examples)
    assert len(batch["input_ids"]) == 2


def test_the_sum_is_divided_by_the_tokens_of_all_accumulated_batches(model: PeftModel) -> None:
    together = batches.joined(rows(), batches.shared_length(rows()))
    learnt = sum(x != IGNORED for one in rows() for x in one["labels"])
    with torch.no_grad():
        assert torch.isclose(loss(model, together), 2 * loss(model, together, 2 * learnt))


def test_a_model_with_a_window_is_not_joined() -> None:
    assert not batches.can_join(Gemma2Config(**SIZES))


def _asked(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in batch.items() if name != "labels"}
