"""The settings of a run, one class per method, with the usual defaults and sensible limits."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from math import ceil
from typing import Any, ClassVar, Self

from storage.errors import BadInput
from training.families import LAYERS

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
    "weight_decay": (0, 1, "The weight decay"),
    "beta": (0.001, 10, "Beta"),
}
_WHOLE = (
    "r",
    "alpha",
    "epochs",
    "batch_size",
    "max_length",
    "seed",
    "patience",
    "checkpoint_steps",
)
_SUFFIX = re.compile(r"[A-Za-z0-9-]{0,40}")


class Method(StrEnum):
    """How a model is tuned."""

    LORA = "lora"
    QLORA = "qlora"
    FULL = "full"
    PREFERENCE = "preference"
    PROVIDER = "provider"


class Batching(StrEnum):
    """How the rows of a step are put together; loss and gradient are the same."""

    JOINED = "joined"
    """What all rows begin with is computed once, where that is exact for the base model."""
    PADDED = "padded"
    """Each row on its own, filled up to the longest."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What every method is told.

    Raises:
        BadInput: a value is of the wrong kind or outside its range.
    """

    METHOD: ClassVar[Method]

    epochs: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in _RANGES:
                low, high, words = _RANGES[field.name]
                whole = field.name in _WHOLE
                _check_number(words, getattr(self, field.name), low, high, whole=whole)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a JSON object; what it leaves out has its default, what is unknown is
        refused.
        """
        known = {name: value for name, value in values.items() if name != "method"}
        unknown = sorted(set(known) - {field.name for field in fields(cls)})
        if unknown:
            raise BadInput(
                f"There is no training setting {unknown[0]!r}. Remove it or correct its name."
            )
        if isinstance(known.get("targets"), list):
            known["targets"] = tuple(known["targets"])
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object that `read` reads back to the same settings."""
        return {"method": self.METHOD.value} | {
            name: _plain(value) for name, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class Local(Tuning):
    """What every method on this machine is told."""

    learning_rate: float = 1e-3
    batch_size: int = 8
    max_length: int = 1024
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises to its value."""
    patience: int = 2
    """Epochs without a lower validation loss after which the run stops; 0 never stops early."""
    gradient_checkpointing: bool = False
    """Trades a third of the speed for memory; off unless memory is short."""
    checkpoint_steps: int = 50
    """Steps between checkpoints, from which a killed run goes on; 0 writes none.

    On 2 cores the packaged model takes some 2.4 s a step, so 50 lose at most two minutes.
    """
    max_steps: int | None = None
    """Stop after so many steps whatever the epochs say; None for no such limit."""

    def __post_init__(self) -> None:
        Tuning.__post_init__(self)
        if self.max_steps is not None:
            _check_number("The step limit", self.max_steps, 1, 1_000_000, whole=True)
        _check_switch("Gradient checkpointing", self.gradient_checkpointing)

    def steps(self, rows: int) -> int:
        """How many steps a run on so many train rows takes, unless it stops early."""
        return self.max_steps or self.epochs * ceil(rows / self.batch_size)


@dataclass(frozen=True, slots=True)
class Answering(Local):
    """What every method that learns answers is told."""

    batching: Batching = Batching.JOINED

    def __post_init__(self) -> None:
        Local.__post_init__(self)
        if self.batching not in set(Batching):
            raise BadInput(f"The batching must be one of {', '.join(Batching)}.")


@dataclass(frozen=True, slots=True)
class Lora(Answering):
    """A LoRA adapter on a base model in full precision.

    The learning rate of 1e-3 is for small bases such as the packaged 135M model, which barely moves
    at the 2e-4 usual for 7B models. Lower it for larger bases.
    """

    METHOD: ClassVar[Method] = Method.LORA

    r: int = 16
    alpha: int = 32
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    bias: str = "none"
    rslora: bool = False
    """Scale by alpha over the root of r (Kalajdzievski 2023), so that a high rank learns as well as
    a low one."""
    dora: bool = False
    """Learn direction and size of the weights apart (Liu et al. 2024): closer to full tuning, and
    slower."""

    def __post_init__(self) -> None:
        Answering.__post_init__(self)
        if self.bias != "none":
            raise BadInput(
                'Bias must be "none": trained biases cannot be taken off a base model again.'
            )
        _check_switch("rsLoRA", self.rslora)
        _check_switch("DoRA", self.dora)
        _check_targets(self.targets)


@dataclass(frozen=True, slots=True)
class Qlora(Lora):
    """A LoRA adapter on a base model whose weights are held in 4 bits, NF4 (Dettmers et al. 2023).

    A quarter of the memory for the weights; each step is slower, as they are unpacked on the way.
    """

    METHOD: ClassVar[Method] = Method.QLORA

    double_quantisation: bool = True
    """Quantise the scales of the 4-bit weights too; saves some 0.4 bits a weight."""

    def __post_init__(self) -> None:
        Lora.__post_init__(self)
        _check_switch("Double quantisation", self.double_quantisation)


@dataclass(frozen=True, slots=True)
class Full(Answering):
    """All weights of the base model; the result is a whole model of the base's size."""

    METHOD: ClassVar[Method] = Method.FULL

    learning_rate: float = 2e-5
    weight_decay: float = 0.0
    """Share of each weight that is taken off, a step and a unit of learning rate."""


@dataclass(frozen=True, slots=True)
class Preference(Local):
    """An adapter taught further by pairs of a better and a worse answer (DPO, Rafailov et al.
    2023).
    """

    METHOD: ClassVar[Method] = Method.PREFERENCE

    learning_rate: float = 5e-5
    beta: float = 0.1
    """How firmly it is held to the answers of the adapter it goes on from; higher is firmer."""
    adapter_id: int = 0
    """The adapter it goes on from; 0 names none, and such a run is refused when it is launched."""

    def __post_init__(self) -> None:
        Local.__post_init__(self)
        _check_number("The adapter", self.adapter_id, 0, 2**31 - 1, whole=True)


@dataclass(frozen=True, slots=True)
class Provider(Tuning):
    """A model tuned by an endpoint of the server's configuration, which keeps its weights.

    What is left empty (None) the endpoint chooses by itself. The seed is passed on; the published
    interface promises that the same one usually, not always, gives the same model.
    """

    METHOD: ClassVar[Method] = Method.PROVIDER

    endpoint: str = ""
    """Its name in the configuration; a run without one is refused when it is launched."""
    model: str = ""
    """The model to tune, by the endpoint's name for it."""
    suffix: str = ""
    """Goes into the name of the tuned model."""
    batch_size: int | None = None
    """Rows a step."""
    learning_rate_multiplier: float | None = None
    """Scales the learning rate that the endpoint would use."""

    def __post_init__(self) -> None:
        _check_number("The number of epochs", self.epochs, 1, 50, whole=True)
        _check_number("The seed", self.seed, 0, 2**31 - 1, whole=True)
        if self.batch_size is not None:
            _check_number("The batch size", self.batch_size, 1, 256, whole=True)
        if self.learning_rate_multiplier is not None:
            rate = self.learning_rate_multiplier
            _check_number("The learning rate multiplier", rate, 0.001, 100, whole=False)
        if not all(isinstance(one, str) for one in (self.endpoint, self.model, self.suffix)):
            raise BadInput("Endpoint, model and suffix are texts.")
        if not _SUFFIX.fullmatch(self.suffix):
            raise BadInput("The suffix has up to 40 letters, digits and hyphens.")


METHODS: dict[Method, type[Tuning]] = {
    Method.LORA: Lora,
    Method.QLORA: Qlora,
    Method.FULL: Full,
    Method.PREFERENCE: Preference,
    Method.PROVIDER: Provider,
}
"""The methods that can be launched, with their settings."""


def read(values: Mapping[str, Any]) -> Tuning:
    """The settings of whichever method a JSON object names; LoRA where it names none.

    Raises:
        BadInput: there is no such method or setting, or a value is out of range.
    """
    named = values.get("method", Method.LORA)
    if named not in set(METHODS):
        raise BadInput(f"There is no method {named!r}. Choose one of {', '.join(METHODS)}.")
    return METHODS[Method(named)].from_dict(values)


def _plain(value: Any) -> Any:  # noqa: ANN401 - a setting
    """As JSON and YAML have it."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, StrEnum) else value


def _check_number(words: str, value: object, low: float, high: float, *, whole: bool) -> None:
    kinds: tuple[type, ...] = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        kind = "whole number" if whole else "number"
        raise BadInput(f"{words} must be a {kind} from {low:g} to {high:g}.")
    if not low <= value <= high:  # type: ignore[operator]  # a number, by the line above
        raise BadInput(f"{words} is {value:g}; give a value from {low:g} to {high:g}.")


def _check_switch(words: str, value: object) -> None:
    if not isinstance(value, bool):
        raise BadInput(f"{words} is either on (true) or off (false).")


def _check_targets(targets: object) -> None:
    if not isinstance(targets, tuple) or not targets or not set(targets) <= set(LAYERS):
        raise BadInput(f"The LoRA targets must be one or more of {', '.join(LAYERS)}.")


SMALL_BASE = Lora(learning_rate=2e-3, batch_size=2)
"""For the packaged 135M model and a few hundred rows, chosen by the validation loss.

On the sample's 214 train rows, 3 epochs, rate 2e-3: batches of 8, 4 and 2 end at a validation loss
of 0.137, 0.084 and 0.063, for 522, 604 and 784 CPU seconds. Small batches cost little more, as the
system message is computed once a batch, and a small model needs the steps.
"""
