"""How a base model's weights are held while it is trained and asked, by the method of a run."""

from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from storage.errors import Unavailable
from training.settings import Full, Qlora, Tuning

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel


class Precision(StrEnum):
    """How a base model's weights are held."""

    USUAL = "usual"
    """float32; on an accelerator that has it bfloat16."""
    FLOAT32 = "float32"
    """Everywhere: steps as small as those of full tuning are lost in bfloat16."""
    NF4 = "nf4"
    """4 bits, scales in float32; reckoned with in bfloat16 on an accelerator, else in float32."""
    NF4_DOUBLE = "nf4_double"
    """The same with the scales quantised too."""


def of(settings: Tuning) -> Precision:
    """How a run by these settings holds its base model."""
    if isinstance(settings, Qlora):
        return Precision.NF4_DOUBLE if settings.double_quantisation else Precision.NF4
    return Precision.FLOAT32 if isinstance(settings, Full) else Precision.USUAL


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """What `from_pretrained` is told of the numbers that weights are held in."""

    dtype: "torch.dtype"
    quantization_config: "BitsAndBytesConfig | None" = None


def number_format(precision: Precision) -> NumberFormat:
    """The format of a precision on this machine.

    Raises:
        Unavailable: 4 bits are asked for and bitsandbytes is not installed.
    """
    import torch

    brief = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    usual = torch.bfloat16 if brief else torch.float32
    if precision in (Precision.USUAL, Precision.FLOAT32):
        return NumberFormat(torch.float32 if precision is Precision.FLOAT32 else usual)
    if find_spec("bitsandbytes") is None:
        raise Unavailable("QLoRA asks for the package bitsandbytes. Install it, or choose LoRA.")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=precision is Precision.NF4_DOUBLE,
        bnb_4bit_compute_dtype=usual,
    )
    return NumberFormat(usual, config)


def keep_exact(model: "PreTrainedModel") -> None:
    """Keep bitsandbytes from packing 4-bit weights anew when a CPU is first asked for an answer:
    that rounds their scales, so that a run would go on with another base after its first
    evaluation.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            cast("Any", module).support_avx512bf16_for_cpu = False
