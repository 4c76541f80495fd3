"""The settings of a run, one class per method, with the usual defaults and sensible limits."""

from collections.abc import Mapping
from enum import StrEnum
from math import ceil
from typing import Annotated, Any, ClassVar, Self, cast, get_args, get_type_hints

import msgspec
from msgspec import Meta

from storage.errors import BadInput
from training.families import LAYERS

_BIAS = 'Bias must be "none": trained biases cannot be taken off a base model again.'
_TARGETS = f"The LoRA targets must be one or more of {', '.join(LAYERS)}."
_SUFFIX = "The suffix has up to 40 letters, digits and hyphens."
_SEEDS = 2**31 - 1

Name = Annotated[str, Meta(description="Endpoint, model and suffix are texts.")]


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


class Tuning(msgspec.Struct, frozen=True, tag_field="method"):
    """What every method is told. `read` checks what people enter; what our own code sets is held
    to its type alone.
    """

    METHOD: ClassVar[Method]

    epochs: Annotated[int, Meta(title="The number of epochs", ge=1, le=20)] = 3
    seed: Annotated[int, Meta(title="The seed", ge=0, le=_SEEDS)] = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a JSON object; what it leaves out has its default.

        Raises:
            BadInput: a setting is unknown, or its value is of the wrong kind or out of range.
        """
        kinds = get_type_hints(cls, include_extras=True)
        names = [name for name in values if name != "method"]
        unknown = sorted(set(names) - set(cls.__struct_fields__))
        if unknown:
            raise BadInput(
                f"There is no training setting {unknown[0]!r}. Remove it or correct its name."
            )
        return cls(**{name: _checked(kinds[name], values[name]) for name in names})

    def to_dict(self) -> dict[str, Any]:
        """A JSON object that `read` reads back to the same settings."""
        return cast("dict[str, Any]", msgspec.json.decode(msgspec.json.encode(self)))


class Local(Tuning, frozen=True):
    """What every method on this machine is told."""

    learning_rate: Annotated[float, Meta(title="The learning rate", ge=1e-7, le=0.1)] = 1e-3
    batch_size: Annotated[int, Meta(title="The batch size", ge=1, le=256)] = 8
    max_length: Annotated[int, Meta(title="The longest row in tokens", ge=32, le=32768)] = 1024
    warmup: Annotated[float, Meta(title="The share of warm-up steps", ge=0, le=0.5)] = 0.05
    """Share of the steps over which the learning rate rises to its value."""
    patience: Annotated[int, Meta(title="The patience in epochs", ge=0, le=20)] = 2
    """Epochs without a lower validation loss after which the run stops; 0 never stops early."""
    gradient_checkpointing: Annotated[bool, Meta(title="Gradient checkpointing")] = False
    """Trades a third of the speed for memory; off unless memory is short."""
    checkpoint_steps: Annotated[
        int, Meta(title="The number of steps between checkpoints", ge=0, le=100_000)
    ] = 50
    """Steps between checkpoints, from which a killed run goes on; 0 writes none.

    On 2 cores the packaged model takes some 2.4 s a step, so 50 lose at most two minutes.
    """
    max_steps: Annotated[int, Meta(title="The step limit", ge=1, le=1_000_000)] | None = None
    """Stop after so many steps whatever the epochs say; None for no such limit."""

    def steps(self, rows: int) -> int:
        """How many steps a run on so many train rows takes, unless it stops early."""
        return self.max_steps or self.epochs * ceil(rows / self.batch_size)


class Answering(Local, frozen=True):
    """What every method that learns answers is told."""

    batching: Annotated[
        Batching, Meta(description=f"The batching must be one of {', '.join(Batching)}.")
    ] = Batching.JOINED


class Lora(Answering, frozen=True, tag="lora"):
    """A LoRA adapter on a base model in full precision.

    The learning rate of 1e-3 is for small bases such as the packaged 135M model, which barely moves
    at the 2e-4 usual for 7B models. Lower it for larger bases.
    """

    METHOD: ClassVar[Method] = Method.LORA

    r: Annotated[int, Meta(title="The rank r", ge=1, le=256)] = 16
    alpha: Annotated[int, Meta(title="Alpha", ge=1, le=1024)] = 32
    dropout: Annotated[float, Meta(title="Dropout", ge=0, le=0.5)] = 0.05
    targets: Annotated[
        tuple[Annotated[str, Meta(pattern=rf"\A({'|'.join(LAYERS)})\Z")], ...],
        Meta(min_length=1, description=_TARGETS),
    ] = ("q_proj", "v_proj")
    bias: Annotated[str, Meta(pattern=r"\Anone\Z", description=_BIAS)] = "none"
    rslora: Annotated[bool, Meta(title="rsLoRA")] = False
    """Scale by alpha over the root of r (Kalajdzievski 2023), so that a high rank learns as well as
    a low one."""
    dora: Annotated[bool, Meta(title="DoRA")] = False
    """Learn direction and size of the weights apart (Liu et al. 2024): closer to full tuning, and
    slower."""


class Qlora(Lora, frozen=True, tag="qlora"):
    """A LoRA adapter on a base model whose weights are held in 4 bits, NF4 (Dettmers et al. 2023).

    A quarter of the memory for the weights; each step is slower, as they are unpacked on the way.
    """

    METHOD: ClassVar[Method] = Method.QLORA

    double_quantisation: Annotated[bool, Meta(title="Double quantisation")] = True
    """Quantise the scales of the 4-bit weights too; saves some 0.4 bits a weight."""


class Full(Answering, frozen=True, tag="full"):
    """All weights of the base model; the result is a whole model of the base's size."""

    METHOD: ClassVar[Method] = Method.FULL

    learning_rate: Annotated[float, Meta(title="The learning rate", ge=1e-7, le=0.1)] = 2e-5
    weight_decay: Annotated[float, Meta(title="The weight decay", ge=0, le=1)] = 0.0
    """Share of each weight that is taken off, a step and a unit of learning rate."""


class Preference(Local, frozen=True, tag="preference"):
    """An adapter taught further by pairs of a better and a worse answer (DPO, Rafailov et al.
    2023).
    """

    METHOD: ClassVar[Method] = Method.PREFERENCE

    learning_rate: Annotated[float, Meta(title="The learning rate", ge=1e-7, le=0.1)] = 5e-5
    beta: Annotated[float, Meta(title="Beta", ge=0.001, le=10)] = 0.1
    """How firmly it is held to the answers of the adapter it goes on from; higher is firmer."""
    adapter_id: Annotated[int, Meta(title="The adapter", ge=0, le=_SEEDS)] = 0
    """The adapter it goes on from; 0 names none, and such a run is refused when it is launched."""


class Provider(Tuning, frozen=True, tag="provider"):
    """A model tuned by an endpoint of the server's configuration, which keeps its weights.

    What is left empty (None) the endpoint chooses by itself. The seed is passed on; the published
    interface promises that the same one usually, not always, gives the same model.
    """

    METHOD: ClassVar[Method] = Method.PROVIDER

    epochs: Annotated[int, Meta(title="The number of epochs", ge=1, le=50)] = 3
    endpoint: Name = ""
    """Its name in the configuration; a run without one is refused when it is launched."""
    model: Name = ""
    """The model to tune, by the endpoint's name for it."""
    suffix: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9-]{0,40}\Z", description=_SUFFIX)] = ""
    """Goes into the name of the tuned model."""
    batch_size: Annotated[int, Meta(title="The batch size", ge=1, le=256)] | None = None
    """Rows a step."""
    learning_rate_multiplier: (
        Annotated[float, Meta(title="The learning rate multiplier", ge=0.001, le=100)] | None
    ) = None
    """Scales the learning rate that the endpoint would use."""


Settings = Lora | Qlora | Full | Preference | Provider
METHODS: dict[Method, type[Settings]] = {
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


def _checked(kind: Any, value: object) -> Any:  # noqa: ANN401 - an annotation, and what it allows
    """A value as its setting has it.

    Raises:
        BadInput: it is of another kind, or out of range.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadInput(_refusal(kind, value)) from error


def _refusal(kind: Any, value: object) -> str:  # noqa: ANN401 - an annotation
    """Why a setting cannot have a value, from what its annotation says."""
    while not hasattr(kind, "__metadata__"):  # one of several kinds, such as a number or None
        kind = get_args(kind)[0]
    meta, plain = kind.__metadata__[0], kind.__origin__
    if meta.description:
        return str(meta.description)
    if plain is bool:
        return f"{meta.title} is either on (true) or off (false)."
    limits = f"from {meta.ge:g} to {meta.le:g}."
    if isinstance(value, bool) or not isinstance(value, int | float if plain is float else int):
        return f"{meta.title} must be a {'number' if plain is float else 'whole number'} {limits}"
    return f"{meta.title} is {value:g}; give a value {limits}"


SMALL_BASE = Lora(learning_rate=2e-3, batch_size=2)
"""For the packaged 135M model and a few hundred rows, chosen by the validation loss.

On the sample's 214 train rows, 3 epochs, rate 2e-3: batches of 8, 4 and 2 end at a validation loss
of 0.137, 0.084 and 0.063, for 522, 604 and 784 CPU seconds. Small batches cost little more, as the
system message is computed once a batch, and a small model needs the steps.
"""
