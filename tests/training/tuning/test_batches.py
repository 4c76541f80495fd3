"""Joined batches: the same losses, the same gradients, and no row sees another."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from training import families
from training.models.render import IGNORED

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

    from training.tuning import batches

Rows = list[dict[str, list[int]]]
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
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {},
    "Gemma": {},
    "Gemma3Text": {},
    "Mistral": {"sliding_window": 64},
}
"""Families by the name of their configuration, with what it says beyond the sizes."""
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHARED = 20


@pytest.fixture(autouse=True)
def one_thread(model_code: None) -> Iterator[None]:
    """Threads cost these small models more than they save."""
    del model_code
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def configured(family: str, **more: Any) -> Any:  # noqa: ANN401 - a class for each family
    """The configuration of a small model of a family."""
    import transformers

    return getattr(transformers, f"{family}Config")(**SIZES, **more)


@pytest.fixture(params=FAMILIES, ids=str)
def model(request: pytest.FixtureRequest) -> PeftModel:
    """A small random model of one family, with LoRA of random weights on all linear layers."""
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    from training.tuning import attention

    torch.manual_seed(1)
    config = configured(request.param, **FAMILIES[request.param])
    base = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    assert attention.use(base)
    lora = LoraConfig(task_type="CAUSAL_LM", r=4, lora_dropout=0.0, target_modules=LINEAR)
    with warnings.catch_warnings():  # peft asks transformers by a name that is going away
        warnings.simplefilter("ignore", FutureWarning)
        tuned = get_peft_model(base, lora)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    assert isinstance(tuned, PeftModel)
    return tuned.train()


def rows(count: int = 6) -> Rows:
    """Rows of several lengths that begin alike; the last tokens of each are the answer."""
    import torch

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


def padded(examples: Rows) -> dict[str, torch.Tensor]:
    """The usual batch: one row each, filled up on the right."""
    import torch

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
    import torch

    model.zero_grad()
    value.backward()  # type: ignore[no-untyped-call]
    return torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])


def turns(examples: Rows) -> Rows:
    """The same rows with an earlier answer in each, of which two tokens are learnt."""
    made = []
    for one in examples:
        labels = [*one["labels"]]
        labels[SHARED + 1 : SHARED + 3] = one["input_ids"][SHARED + 1 : SHARED + 3]
        made.append({**one, "labels": labels})
    return made


def strangers() -> Rows:
    """Rows of which no two begin alike."""
    return [{**one, "input_ids": [3 + n, *one["input_ids"][1:]]} for n, one in enumerate(rows(4))]


@pytest.mark.parametrize(
    ("drawn", "shared"),
    [
        (rows, SHARED),
        (lambda: turns(rows()), SHARED),
        (strangers, 0),
        (lambda: rows(1), SHARED + 1),
    ],
    ids=["one answer", "two answers", "nothing shared", "one row"],
)
def test_loss_and_gradient_are_those_of_the_padded_batch(
    model: PeftModel, drawn: Callable[[], Rows], shared: int
) -> None:
    from training.tuning import batches
    from training.tuning.answers import loss

    examples = drawn()
    assert batches.can_join(model.config, [len(one["input_ids"]) for one in examples], 8)
    together = batches.Collator(0, joins=True)(examples)
    assert together["joined"][0] == shared
    usual = model(**padded(examples)).loss
    ours = loss(model, together)
    assert abs(ours - usual).item() < 1e-5
    expected, found = gradients(model, usual), gradients(model, ours)
    assert (found - expected).norm() / expected.norm() < 1e-5


@pytest.mark.parametrize("model", ["Llama", "Gemma3Text"], indirect=True)
def test_so_they_are_where_memory_is_saved(model: PeftModel) -> None:
    from training.tuning import batches
    from training.tuning.answers import loss

    expected = gradients(model, model(**padded(rows())).loss)
    model.enable_input_require_grads()
    model.get_base_model().activation_checkpointing_enable()  # type: ignore[operator]
    found = gradients(model, loss(model, batches.Collator(0, joins=True)(rows())))
    assert (found - expected).norm() / expected.norm() < 1e-5


@pytest.mark.parametrize("kind", sorted(families.FAMILIES.keys() - {"gemma2"}))
def test_every_model_that_is_let_in_hands_on_what_attention_needs(kind: str) -> None:
    """A mask that hides all changes nothing, and the loss is that of the padded batch."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from training.tuning import attention, batches
    from training.tuning.answers import loss

    torch.manual_seed(1)
    build: Any = AutoModelForCausalLM.from_config
    base = build(AutoConfig.for_model(kind, **SIZES))
    together = batches.Collator(0, joins=True)(rows())
    dark = {**together, "attention_mask": torch.zeros_like(together["attention_mask"])}
    with torch.no_grad():
        usual = base(**padded(rows())).loss
        assert attention.use(base)
        assert abs(loss(base, together) - usual) < 1e-5
        assert torch.equal(loss(base, together), loss(base, dark))


def test_a_model_that_only_knows_the_mask_computes_the_same(model: PeftModel) -> None:
    import torch

    from training.tuning import batches
    from training.tuning.answers import loss

    together = batches.Collator(0, joins=True)(rows())
    with torch.no_grad():
        expected = loss(model, together)
        del together["joined"]
        assert abs(loss(model, together) - expected) < 1e-5


def test_a_model_with_an_attention_of_its_own_is_left_alone() -> None:
    """Gemma 2 caps its scores, which torch's attention does not."""
    from transformers import AutoModelForCausalLM

    from training.tuning import attention

    capped = AutoModelForCausalLM.from_config(configured("Gemma2"))  # type: ignore[no-untyped-call]
    assert not attention.use(capped)
    assert capped.config._attn_implementation == "eager"


def test_a_row_never_sees_another(model: PeftModel) -> None:
    import torch

    from training.tuning import batches

    examples = rows()
    shared = batches.shared_length(examples)
    changed = [*examples]
    other = [7] * (len(examples[1]["input_ids"]) - shared)
    changed[1] = {**examples[1], "input_ids": examples[1]["input_ids"][:shared] + other}
    with torch.no_grad():
        before = model(**_asked(batches.joined(examples, shared))).logits[0]
        after = model(**_asked(batches.joined(changed, shared))).logits[0]
    first = len(examples[0]["input_ids"]) - 1
    second = first + len(other) - 1
    assert not torch.allclose(before[first:second], after[first:second])
    same = torch.cat([torch.arange(first), torch.arange(second, len(before))])
    assert (before[same] - after[same]).abs().max() < 1e-6


def test_the_standard_way_stays() -> None:
    from training.tuning import batches

    plain = batches.Collator(0, joins=False)
    assert len(plain(rows(2))["input_ids"]) == 2


def test_the_sum_is_divided_by_the_tokens_of_all_accumulated_batches(model: PeftModel) -> None:
    import torch

    from training.tuning import batches
    from training.tuning.answers import loss

    together = batches.joined(rows(), batches.shared_length(rows()))
    learnt = sum(x != IGNORED for one in rows() for x in one["labels"])
    with torch.no_grad():
        assert torch.isclose(loss(model, together), 2 * loss(model, together, 2 * learnt))


@pytest.mark.parametrize(
    ("family", "window", "longest", "joins"),
    [
        ("Mistral", {"sliding_window": 64}, 64, True),
        ("Mistral", {"sliding_window": 64}, 65, False),
        ("Gemma3Text", {"sliding_window": 64}, 65, False),
        ("Llama", {}, 65, True),
        ("Llama", {}, 1 << 20, False),
        ("Qwen3Next", {}, 8, False),
    ],
    ids=[
        "in the window",
        "beyond it",
        "beyond that of some layers",
        "no window",
        "too long",
        "layers without attention",
    ],
)
def test_where_rows_are_joined(
    family: str, window: dict[str, Any], longest: int, joins: bool
) -> None:
    from training.tuning import batches

    assert batches.can_join(configured(family, **window), [5, longest, 7], 2) == joins


def _asked(batch: batches.Batch) -> batches.Batch:
    return {name: value for name, value in batch.items() if "labels" not in name}
