"""How much memory a run will want, told before anything is loaded, and what to change if it is
short.

From the base model's own files (`config.json` and the headers of its safetensors) and the length of
the pairs. Weights, adapter and optimizer are counted; activations are reckoned from what a
Llama-like layer keeps for the backward pass, and may be off by half: a probe measures them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from curation.personal import model_files, tensor_header
from storage.errors import BadInput
from training.settings import Answering, Batching, Full, Local, Lora, Qlora

CHARACTERS_A_TOKEN = 3.3
"""English and JSON take about so many; other languages fewer, so the true length may be more."""
PROGRAM_MB = 650.0
"""Python with torch, transformers, peft and trl, measured on a CPU."""
_NF4 = 0.53
"""Bytes of a weight in 4 bits, its scales included."""
TIGHT = 0.1
"""Share of the memory that should be left over."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What the files of a base model say of its size."""

    parameters: int
    linear: dict[str, list[tuple[int, int]]]
    """Output and input width of each linear layer inside the blocks, by its name."""
    layers: int
    hidden: int
    inner: int
    keys: int
    """Width of the keys (and of the values)."""
    vocabulary: int
    context: int | None
    """The longest pair that the model can take, in tokens."""


def model(folder: Path) -> ModelSize | None:
    """The size of a vetted base model; None where its files do not tell."""
    config = model_files.readable(folder, "config.json")
    try:
        shapes = tensor_header.shapes(folder)
        if not shapes:
            return None
        heads = int(config["num_attention_heads"])
        head = int(config.get("head_dim") or config["hidden_size"] // heads)
        return ModelSize(
            parameters=sum(math.prod(shape) for shape in shapes.values()),
            linear=_linear(shapes),
            layers=int(config["num_hidden_layers"]),
            hidden=int(config["hidden_size"]),
            inner=int(config["intermediate_size"]),
            keys=head * int(config.get("num_key_value_heads") or heads),
            vocabulary=int(config["vocab_size"]),
            context=int(config["max_position_embeddings"])
            if "max_position_embeddings" in config
            else None,
        )
    except (BadInput, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _linear(shapes: Mapping[str, Sequence[int]]) -> dict[str, list[tuple[int, int]]]:
    linear: dict[str, list[tuple[int, int]]] = {}
    for name, shape in shapes.items():
        layer = name.removesuffix(".weight").rpartition(".")[2]
        if layer.endswith("_proj") and len(shape) == 2:
            linear.setdefault(layer, []).append((shape[0], shape[1]))
    return linear


@dataclass(frozen=True, slots=True)
class PairLengths:
    """How long the pairs of a version are, in characters."""

    system: int
    longest: tuple[int, ...]
    """Of input and output together, longest first."""


def expect(base: ModelSize, settings: Local, pairs: PairLengths, *, gpu: bool) -> dict[str, float]:
    """MB by part, as `estimates.PARTS` names them."""
    width = 2 if gpu else 4
    trained = _trained(base, settings)
    full = isinstance(settings, Full)
    trained_width = width if full else 4
    return {
        "program": 0.0 if gpu else PROGRAM_MB,
        "weights": 0.0 if full else _weights(base, settings, width) / 1e6,
        "adapter": 2 * trained_width * trained / 1e6,
        "optimizer": 2 * trained_width * trained / 1e6,
        "activations": _activations(base, settings, tokens(settings, pairs), width) / 1e6,
    }


def tokens(settings: Local, pairs: PairLengths) -> int:
    """About how many tokens the largest batch computes. The system message counts once, unless
    pairs are padded: then each is as long as the longest.
    """
    batch = pairs.longest[: settings.batch_size]
    characters = pairs.system + sum(batch)
    if isinstance(settings, Answering) and settings.batching == Batching.PADDED:
        characters = len(batch) * (pairs.system + max(batch, default=0))
    return math.ceil(characters / CHARACTERS_A_TOKEN)


def _trained(base: ModelSize, settings: Local) -> int:
    if isinstance(settings, Full):
        return base.parameters
    if not isinstance(settings, Lora):
        # It goes on from an adapter of unknown shape: as large as the usual one.
        settings = Lora()
    names = settings.targets
    return settings.r * sum(sum(shape) for name in names for shape in base.linear.get(name, ()))


def _weights(base: ModelSize, settings: Local, width: int) -> float:
    if not isinstance(settings, Qlora):
        return float(base.parameters * width)
    packed = sum(a * b for shapes in base.linear.values() for a, b in shapes)
    return packed * _NF4 + (base.parameters - packed) * width


def _activations(base: ModelSize, settings: Local, count: int, width: int) -> float:
    """Bytes kept for the backward pass: norms, adapted inputs, attention, and the inner layer."""
    layer = 9 * base.hidden + 2 * base.keys + 3 * base.inner
    if isinstance(settings, Full):
        layer += base.hidden + base.inner
    if settings.gradient_checkpointing:
        values = base.layers * base.hidden + layer
    else:
        values = base.layers * layer
    logits = 3 * 4 * base.vocabulary * count / 4  # about a quarter of the tokens are answers
    return values * count * width + logits


@dataclass(frozen=True, slots=True)
class Remedy:
    """One thing to change where memory is short."""

    action: str
    """What to do, and what it costs."""
    setting: tuple[str, int] | None = None
    """The setting and value that do it; None where it is no setting."""


def advice(settings: Local, longest: int | None = None) -> list[Remedy]:
    """What to change where memory is short, in order of least harm to what is learnt.

    `longest` is the longest pair in tokens where it was counted.
    """
    remedies: list[Remedy] = []
    if not settings.gradient_checkpointing:
        remedies.append(
            Remedy(
                "Turn gradient checkpointing on: a third slower, the same result.",
                ("gradient_checkpointing", True),
            )
        )
    if settings.batch_size > 1:
        half = settings.batch_size // 2
        remedies.append(
            Remedy(
                f"Take {half} pairs a step instead of {settings.batch_size}: slower, a little "
                "noisier.",
                ("batch_size", half),
            )
        )
    length = f" (now {longest} tokens)" if longest is not None else ""
    remedies.append(
        Remedy(f"Shorten the longest pairs{length}, or leave them out of a new version.")
    )
    if type(settings) is Full:
        remedies.append(Remedy("Choose LoRA: 90 to 95 % of what full tuning reaches."))
    if not isinstance(settings, Qlora):
        remedies.append(Remedy("Choose QLoRA: the base in 4 bits; 85 to 90 % of full tuning."))
    remedies.append(Remedy("Choose a smaller base model."))
    return remedies
