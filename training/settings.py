"""The settings of a LoRA run, with the defaults of practice and the limits that make sense."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import ceil
from typing import Any, Self

from storage.errors import BadInput

BATCHINGS = ("joined", "padded")
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_RANGES: dict[str, tuple[float, float, str]] = {
    "r": (1, 256, "The rank r"),
    "alpha": (1, 1024, "Alpha"),
    "dropout": (0, 0.5, "Dropout"),
    "epochs": (1, 20, "The number of epochs"),
    "learning_rate": (1e-7, 0.1, "The learning rate"),
    "batch_size": (1, 256, "The batch size"),
    "max_length": (32, 32768, "The longest row in tokens"),
    "seed": (0, 2**31 - 1, "The seed"),
    "warmup": (0, 0.5, "The share of warm-up steps"),
    "patience": (0, 20, "The patience in epochs"),
    "checkpoint_steps": (0, 100_000, "The number of steps between checkpoints"),
}
_WHOLE = ("r", "alpha", "epochs", "batch_size", "max_length", "seed", "patience",
          "checkpoint_steps")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lora:
    """Settings of one LoRA run.

    The learning rate of 1e-3 is for small bases such as the packaged 135M model, which barely moves
    at the 2e-4 usual for 7B models. Lower it for larger bases.

    Raises:
        BadInput: a value is of the wrong kind or outside its range.
    """

    r: int = 16
    alpha: int = 32
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    bias: str = "none"
    epochs: int = 3
    learning_rate: float = 1e-3
    batch_size: int = 8
    max_length: int = 1024
    seed: int = 0
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises to its value."""
    patience: int = 2
    """Epochs without a lower validation loss after which the run stops; 0 never stops early."""
    gradient_checkpointing: bool = False
    """Trades a third of the speed for memory; off unless memory is short."""
    batching: str = "joined"
    """"joined" computes what all rows begin with once a step, where that is exact for the base
    model; "padded" computes it for every row. The loss and gradient are the same."""
    checkpoint_steps: int = 50
    """Steps between checkpoints, from which a killed run goes on; 0 writes none.

    On 2 cores the packaged model takes some 2.4 s a step, so 50 lose at most two minutes.
    """
    max_steps: int | None = None
    """Stop after so many steps whatever the epochs say; None for no such limit."""

    def __post_init__(self) -> None:
        for name, (low, high, words) in _RANGES.items():
            _check_number(words, getattr(self, name), low, high, whole=name in _WHOLE)
        if self.max_steps is not None:
            _check_number("The step limit", self.max_steps, 1, 1_000_000, whole=True)
        if not isinstance(self.gradient_checkpointing, bool):
            raise BadInput("Gradient checkpointing is either on (true) or off (false).")
        if self.batching not in BATCHINGS:
            raise BadInput(f"The batching must be one of {', '.join(BATCHINGS)}.")
        if self.bias != "none":
            raise BadInput(
                'Bias must be "none": trained biases cannot be taken off a base model again.'
            )
        _check_targets(self.targets)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a JSON object; what it leaves out has its default, what is unknown is
        refused.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise BadInput(
                f"There is no training setting {unknown[0]!r}. Remove it or correct its name."
            )
        known = dict(values)
        if isinstance(known.get("targets"), list):
            known["targets"] = tuple(known["targets"])
        return cls(**known)

    def steps(self, rows: int) -> int:
        """How many steps a run on so many train rows takes, unless it stops early."""
        return self.max_steps or self.epochs * ceil(rows / self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object that `from_dict` reads back to the same settings."""
        return {**asdict(self), "targets": list(self.targets)}


def _check_number(words: str, value: object, low: float, high: float, *, whole: bool) -> None:
    kinds: tuple[type, ...] = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        kind = "whole number" if whole else "number"
        raise BadInput(f"{words} must be a {kind} from {low:g} to {high:g}.")
    if not low <= value <= high:  # type: ignore[operator]  # a number, by the line above
        raise BadInput(f"{words} is {value:g}; give a value from {low:g} to {high:g}.")


def _check_targets(targets: object) -> None:
    if not isinstance(targets, tuple) or not targets or not set(targets) <= set(TARGETS):
        raise BadInput(f"The LoRA targets must be one or more of {', '.join(TARGETS)}.")


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings under a name that a person can choose by."""

    name: str
    words: str
    settings: Lora


SMALL_BASE = Lora(learning_rate=2e-3, batch_size=2)
"""For the packaged 135M model and a few hundred rows, chosen by the validation loss.

On the sample's 214 train rows, 3 epochs, rate 2e-3: batches of 8, 4 and 2 end at a validation loss
of 0.137, 0.084 and 0.063, for 522, 604 and 784 CPU seconds. Small batches cost little more, as the
system message is computed once a batch, and a small model needs the steps.
"""


def presets(usual: Lora) -> tuple[Preset, Preset, Preset]:
    """A quick, a standard and a careful way to train, around the usual settings of a base model."""
    return (
        Preset(
            "Quick look",
            "One pass over the rows: does anything move at all?",
            replace(usual, epochs=1),
        ),
        Preset("Standard", "Three passes with the usual settings. Start here.", usual),
        Preset(
            "Careful",
            "Learns half as fast, and stops as soon as the validation loss rises.",
            replace(usual, learning_rate=usual.learning_rate / 2, warmup=0.1, patience=1),
        ),
    )
