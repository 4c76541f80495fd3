"""The settings of a run, one class per method, with the usual defaults and sensible limits."""

from collections.abc import Mapping
from enum import StrEnum
from math import ceil
from typing import Annotated, Any, ClassVar, Self, cast

import msgspec
from msgspec import Meta

from storage.errors import BadInput
from training.described import Caption, settings_of
from training.families import LAYERS

_BIAS = 'Bias must be "none": trained biases cannot be taken off a base model again.'
_TARGETS = f"The LoRA targets must be one or more of {', '.join(LAYERS)}."
_SUFFIX = "The suffix has up to 40 letters, digits and hyphens."
_SEEDS = 2**31 - 1

_ELSEWHERE = Caption("", drawn=False)
"""Of a setting with one value only, or chosen in a form of its own."""
_EPOCHS = Caption(
    "Passes over the pairs (epochs)",
    "How often each training pair is seen. 1 to 3 is usual; more learns pairs by heart.",
)
_BATCH_SIZE = Caption(
    "Pairs a step (batch size)",
    "More pairs a step learn more steadily and need more memory.",
)

BatchSize = Annotated[int, Meta(title="The batch size", ge=1, le=256), _BATCH_SIZE]
LearningRate = Annotated[
    float,
    Meta(title="The learning rate", ge=1e-7, le=0.1),
    Caption(
        "Learning rate",
        "How far each step moves the weights. Lower is safer; larger models want less.",
        step=0.0001,
    ),
]
Name = Annotated[str, Meta(description="Endpoint, model and suffix are texts."), _ELSEWHERE]


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

    epochs: Annotated[int, Meta(title="The number of epochs", ge=1, le=20), _EPOCHS] = 3
    seed: Annotated[
        int,
        Meta(title="The seed", ge=0, le=_SEEDS),
        Caption(
            "Seed",
            "The same seed, pairs and libraries on the same machine give the same adapter.",
        ),
    ] = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a JSON object; what it leaves out has its default.

        Raises:
            BadInput: a setting is unknown, or its value is of the wrong kind or out of range.
        """
        settings = settings_of(cls)
        names = [name for name in values if name != "method"]
        unknown = sorted(set(names) - set(settings))
        if unknown:
            raise BadInput(
                f"There is no training setting {unknown[0]!r}. Remove it or correct its name."
            )
        return cls(**{name: settings[name].checked(values[name]) for name in names})

    def to_dict(self) -> dict[str, Any]:
        """A JSON object that `read` reads back to the same settings."""
        return cast("dict[str, Any]", msgspec.json.decode(msgspec.json.encode(self)))


class Local(Tuning, frozen=True):
    """What every method on this machine is told."""

    learning_rate: LearningRate = 1e-3
    batch_size: BatchSize = 8
    max_length: Annotated[
        int,
        Meta(title="The longest pair in tokens", ge=32, le=32768),
        Caption(
            "Longest pair, in tokens",
            "A longer pair is refused, never cut: a cut answer would teach a broken one.",
        ),
    ] = 1024
    warmup: Annotated[
        float,
        Meta(title="The share of warm-up steps", ge=0, le=0.5),
        Caption(
            "Warm-up, share of the steps",
            "The learning rate rises to its value over these steps.",
            step=0.01,
        ),
    ] = 0.05
    patience: Annotated[
        int,
        Meta(title="The patience in epochs", ge=0, le=20),
        Caption(
            "Patience, in passes",
            "Stop after so many passes without a lower validation loss; 0 never stops early.",
        ),
    ] = 2
    gradient_checkpointing: Annotated[
        bool,
        Meta(title="Gradient checkpointing"),
        Caption(
            "Save memory (gradient checkpointing)",
            "A third slower, the same result. Only where the memory is not enough.",
        ),
    ] = False
    checkpoint_steps: Annotated[
        int,
        Meta(title="The number of steps between checkpoints", ge=0, le=100_000),
        Caption(
            "Steps between checkpoints (0: none)",
            "A run that is killed can go on from its last checkpoint; less is lost the closer "
            "they are, and each takes some time and room on the disk.",
        ),
    ] = 50
    """On 2 cores the packaged model takes some 2.4 s a step, so 50 lose at most two minutes."""
    max_steps: (
        Annotated[
            int,
            Meta(title="The step limit", ge=1, le=1_000_000),
            Caption("Step limit (0: none)", "Stop after so many steps, whatever the passes."),
        ]
        | None
    ) = None

    def steps(self, rows: int) -> int:
        """How many steps a run on so many train rows takes, unless it stops early."""
        return self.max_steps or self.epochs * ceil(rows / self.batch_size)


class Answering(Local, frozen=True):
    """What every method that learns answers is told."""

    batching: Annotated[
        Batching,
        Meta(description=f"The batching must be one of {', '.join(Batching)}."),
        Caption(
            "How pairs are put together",
            "Joined pairs compute what all begin with once; the result is the same.",
        ),
    ] = Batching.JOINED


class Lora(Answering, frozen=True, tag="lora"):
    """A LoRA adapter on a base model in full precision.

    The learning rate of 1e-3 is for small bases such as the packaged 135M model, which barely moves
    at the 2e-4 usual for 7B models. Lower it for larger bases.
    """

    METHOD: ClassVar[Method] = Method.LORA

    r: Annotated[
        int,
        Meta(title="The rank r", ge=1, le=256),
        Caption("Rank (r)", "How much the adapter can learn. Higher needs more pairs and memory."),
    ] = 16
    alpha: Annotated[
        int,
        Meta(title="Alpha", ge=1, le=1024),
        Caption("Alpha", "How strongly the adapter acts; twice the rank is usual."),
    ] = 32
    dropout: Annotated[
        float,
        Meta(title="Dropout", ge=0, le=0.5),
        Caption(
            "Dropout",
            "Share of the adapter left out at random, so that it does not lean on single pairs.",
            step=0.01,
        ),
    ] = 0.05
    targets: Annotated[
        tuple[Annotated[str, Meta(pattern=rf"\A({'|'.join(LAYERS)})\Z")], ...],
        Meta(min_length=1, description=_TARGETS),
        Caption(
            "Layers that get an adapter",
            "q_proj and v_proj are the usual choice; all of them learn more and cost more.",
            choices=LAYERS,
        ),
    ] = ("q_proj", "v_proj")
    bias: Annotated[str, Meta(pattern=r"\Anone\Z", description=_BIAS), _ELSEWHERE] = "none"
    rslora: Annotated[
        bool,
        Meta(title="rsLoRA"),
        Caption(
            "rsLoRA",
            "Scales by the root of the rank, so that a high rank learns as well as a low one.",
        ),
    ] = False
    """Scale by alpha over the root of r (Kalajdzievski 2023)."""
    dora: Annotated[
        bool,
        Meta(title="DoRA"),
        Caption("DoRA", "Learns direction and size apart: closer to full tuning, and slower."),
    ] = False
    """Learn direction and size of the weights apart (Liu et al. 2024)."""


class Qlora(Lora, frozen=True, tag="qlora"):
    """A LoRA adapter on a base model whose weights are held in 4 bits, NF4 (Dettmers et al. 2023).

    A quarter of the memory for the weights; each step is slower, as they are unpacked on the way.
    """

    METHOD: ClassVar[Method] = Method.QLORA

    double_quantisation: Annotated[
        bool,
        Meta(title="Double quantisation"),
        Caption(
            "Double quantisation",
            "Packs the scales of the 4-bit weights too; saves a little memory.",
        ),
    ] = True
    """Saves some 0.4 bits a weight."""


class Full(Answering, frozen=True, tag="full"):
    """All weights of the base model; the result is a whole model of the base's size."""

    METHOD: ClassVar[Method] = Method.FULL

    learning_rate: LearningRate = 2e-5
    weight_decay: Annotated[
        float,
        Meta(title="The weight decay", ge=0, le=1),
        Caption("Weight decay", "Pulls weights towards zero at each step; 0 is usual.", step=0.01),
    ] = 0.0
    """Share of each weight that is taken off, a step and a unit of learning rate."""


class Preference(Local, frozen=True, tag="preference"):
    """An adapter taught further by pairs of a better and a worse answer (DPO, Rafailov et al.
    2023).
    """

    METHOD: ClassVar[Method] = Method.PREFERENCE

    learning_rate: LearningRate = 5e-5
    beta: Annotated[
        float,
        Meta(title="Beta", ge=0.001, le=10),
        Caption(
            "Beta",
            "How firmly it is held to the answers of the adapter it goes on from; higher is "
            "firmer.",
            step=0.05,
        ),
    ] = 0.1
    adapter_id: Annotated[int, Meta(title="The adapter", ge=0, le=_SEEDS), _ELSEWHERE] = 0
    """The adapter it goes on from; 0 names none, and such a run is refused when it is launched."""


class Provider(Tuning, frozen=True, tag="provider"):
    """A model tuned by an endpoint of the server's configuration, which keeps its weights.

    What is left empty (None) the endpoint chooses by itself. The seed is passed on; the published
    interface promises that the same one usually, not always, gives the same model.
    """

    METHOD: ClassVar[Method] = Method.PROVIDER

    epochs: Annotated[int, Meta(title="The number of epochs", ge=1, le=50), _EPOCHS] = 3
    endpoint: Name = ""
    """Its name in the configuration; a run without one is refused when it is launched."""
    model: Name = ""
    """The model to tune, by the endpoint's name for it."""
    suffix: Annotated[
        str, Meta(pattern=r"\A[A-Za-z0-9-]{0,40}\Z", description=_SUFFIX), _ELSEWHERE
    ] = ""
    """Goes into the name of the tuned model."""
    batch_size: BatchSize | None = None
    learning_rate_multiplier: (
        Annotated[
            float,
            Meta(title="The learning rate multiplier", ge=0.001, le=100),
            Caption(
                "Learning rate, times the provider's own", "0 leaves it to the provider.", step=0.1
            ),
        ]
        | None
    ) = None


MethodSettings = Lora | Qlora | Full | Preference | Provider
METHODS: dict[Method, type[MethodSettings]] = {
    Method.LORA: Lora,
    Method.QLORA: Qlora,
    Method.FULL: Full,
    Method.PREFERENCE: Preference,
    Method.PROVIDER: Provider,
}
"""The methods that can be launched, with their settings."""
LABELS = {
    setting.name: setting.caption.label
    for kind in METHODS.values()
    for setting in settings_of(kind).values()
    if setting.caption.drawn
}
"""What people read for a setting."""


def read(values: Mapping[str, Any]) -> Tuning:
    """The settings of whichever method a JSON object names; LoRA where it names none.

    Raises:
        BadInput: there is no such method or setting, or a value is out of range.
    """
    named = values.get("method", Method.LORA)
    if named not in set(METHODS):
        raise BadInput(f"There is no method {named!r}. Choose one of {', '.join(METHODS)}.")
    return METHODS[Method(named)].from_dict(values)


def with_method(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that were stored, with the method that they are of where none was named then."""
    return {"method": Method.LORA.value, **values}


SMALL_BASE = Lora(learning_rate=2e-3, batch_size=2)
"""For the packaged 135M model and a few hundred rows, chosen by the validation loss.

On the sample's 214 train rows, 3 epochs, rate 2e-3: batches of 8, 4 and 2 end at a validation loss
of 0.137, 0.084 and 0.063, for 522, 604 and 784 CPU seconds. Small batches cost little more, as the
system message is computed once a batch, and a small model needs the steps.
"""
