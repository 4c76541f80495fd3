"""Look through an adapter before it is loaded, and write its configuration anew.

What is taken over is a short list of plain numbers and words; whatever else a configuration sets is
refused, since PEFT would act on it. Tensors must be those of the base model's own layers, in name
and shape, read from the headers of both. Vetting does not show that an adapter is any good, nor
what it was taught: an adapter can be taught to answer harmfully and pass.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.personal import model_files, tensor_header
from curation.personal.tensor_header import Tensor
from storage.errors import BadInput
from training.families import LAYERS
from training.models import vetting

_HEADER_BYTES = 10 << 20
_MOST_RANK = 512
_PLAIN: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM",),
    "bias": ("none",),
    "fan_in_fan_out": (False,),
    "use_rslora": (False, True),
    "use_dora": (False, True),
    "megatron_core": (None, "megatron.core"),
    "init_lora_weights": (True, False, "gaussian", "eva", "olora", "pissa", "loftq", "corda"),
}
"""Keys that may be set, and to what."""
_PASSED_OVER = frozenset(
    {
        "base_model_name_or_path",
        "inference_mode",
        "lora_alpha",
        "lora_dropout",
        "peft_version",
        "qalora_group_size",
        "r",
        "revision",
        "target_modules",
    }
)
"""Keys that are read elsewhere, or mean nothing where the others are as they must be."""
_NOTHING: tuple[Any, ...] = (None, False, "", [], {})
_PATH = re.compile(r"^[~/\\]|\\|\.\.|://|^[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Vetted:
    """What an adapter is, in the words of the settings of a run."""

    r: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    rslora: bool
    dora: bool
    named_base: str
    """The base model that its own configuration names; shown, never opened."""

    def config(self, base_name: str) -> dict[str, Any]:
        """A PEFT configuration with nothing in it but this."""
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base_name,
            "inference_mode": True,
            "r": self.r,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": list(self.targets),
            "bias": "none",
            "use_rslora": self.rslora,
            "use_dora": self.dora,
        }


def vet(folder: Path, base: Path) -> Vetted:
    """Refuse an adapter that could run code, or that is not one of this base model.

    Raises:
        BadInput: says what is wrong with it.
    """
    vetted = _read_config(folder)
    tensors = tensor_header.read(folder / "adapter_model.safetensors", _HEADER_BYTES)
    _check_tensors(tensors, vetted, base)
    _check_template(folder, base)
    if not tensor_header.all_finite(folder / "adapter_model.safetensors", tensors):
        raise BadInput("The adapter has a weight that is not a finite number. Train it again.")
    return vetted


def _read_config(folder: Path) -> Vetted:
    config = model_files.json_of(folder, "adapter_config.json")
    if config is None:
        raise BadInput("adapter_config.json is no JSON object.")
    _check_keys(config)
    return Vetted(
        r=_number(config, "r", 1, _MOST_RANK, int),
        alpha=_number(config, "lora_alpha", 0.1, 4096, (int, float)),
        dropout=_number(config, "lora_dropout", 0, 1, (int, float)),
        targets=_targets(config.get("target_modules")),
        rslora=bool(config.get("use_rslora")),
        dora=bool(config.get("use_dora")),
        named_base=_named_base(config.get("base_model_name_or_path")),
    )


def _check_keys(config: Mapping[str, Any]) -> None:
    """Refuse every setting but those of plain LoRA; a library may write more, set to nothing."""
    forbidden = model_files.forbidden(config)
    if forbidden:
        raise BadInput(f"adapter_config.json sets {forbidden}, which runs code.")
    for name in ("peft_type", "task_type"):
        if name not in config:
            raise BadInput(f"adapter_config.json must give {name} as {_PLAIN[name][0]}.")
    for name, value in config.items():
        plain = name in _PLAIN and value in _PLAIN[name]
        if not (plain or name in _PASSED_OVER or (name not in _PLAIN and value in _NOTHING)):
            raise _unknown(name)


def _unknown(name: str) -> BadInput:
    printable = re.sub(r"[^\w.-]", "?", name)[:60]
    return BadInput(
        f"adapter_config.json sets {printable} to something that Assay does not take in: plain "
        "LoRA on a causal language model only."
    )


def _number(config: Mapping[str, Any], name: str, low: float, high: float, kind: Any) -> Any:  # noqa: ANN401
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        raise BadInput(f"adapter_config.json must give {name} as a number, {low:g} to {high:g}.")
    return value


def _targets(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not set(map(str, value)) <= set(LAYERS):
        raise BadInput(f"adapter_config.json must name target_modules among {', '.join(LAYERS)}.")
    return tuple(name for name in LAYERS if name in value)


def _named_base(value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise _unknown("base_model_name_or_path")
    if value and (_PATH.search(value) or len(value) > 200):
        raise BadInput(
            "base_model_name_or_path of adapter_config.json is a path, which is never followed. "
            "Write the base model's name there."
        )
    return value or ""


def _check_tensors(tensors: Mapping[str, Tensor], vetted: Vetted, base: Path) -> None:
    """Every matrix is one that this base has a place for, and none is missing."""
    if any(tensor.dtype not in tensor_header.FLOATS for tensor in tensors.values()):
        raise BadInput("The adapter holds numbers of another kind than 16 or 32 bit floats.")
    wanted = dict(_wanted(tensor_header.shapes(base), vetted))
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if shapes.keys() != wanted.keys():
        odd = len(shapes.keys() - wanted.keys())
        raise BadInput(
            f"The adapter is not one for this base model: {odd} of its matrices have no place "
            f"there and {len(wanted.keys() - shapes.keys())} are missing. Choose the base it was "
            "made on."
        )
    if shapes != wanted:
        raise BadInput(
            "The adapter is not one for this base model: its matrices have other sizes. Choose the "
            "base it was made on."
        )


def _wanted(
    shapes: Mapping[str, tuple[int, ...]], vetted: Vetted
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The matrices that LoRA of this rank adds to the named layers of a model."""
    for name, shape in shapes.items():
        layer = name.removesuffix(".weight")
        if layer == name or layer.rpartition(".")[2] not in vetted.targets or len(shape) != 2:
            continue
        yield f"base_model.model.{layer}.lora_A.weight", (vetted.r, shape[1])
        yield f"base_model.model.{layer}.lora_B.weight", (shape[0], vetted.r)
        if vetted.dora:
            yield f"base_model.model.{layer}.lora_magnitude_vector", (shape[0],)


def _check_template(folder: Path, base: Path) -> None:
    """A template that came along must be the base's: only that one is ever rendered."""
    came = vetting.template(folder)
    if came is not None and came.strip() != (vetting.template(base) or "").strip():
        raise BadInput(
            "The adapter comes with another chat template than this base model has. Assay renders "
            "the base's only, and the adapter would answer badly. Take it out if it is not needed."
        )
