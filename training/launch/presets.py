"""Where a choice of settings begins: the usual ones of a method and base, and presets."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from training.records.parts import BaseModel
from training.settings import METHODS, SMALL_BASE, Lora, Method, Tuning

T = TypeVar("T", bound=Tuning)


@dataclass(frozen=True, slots=True)
class Preset(Generic[T]):
    """Settings under a name that a person can choose by."""

    name: str
    advice: str
    settings: T


def usual(method: Method, base: BaseModel | None = None) -> Tuning:
    """The usual settings of a method; for the packaged model those that were measured on it."""
    plain = METHODS[method]()
    if base is not None and base.kind == "packaged" and isinstance(plain, Lora):
        measured = SMALL_BASE.to_dict()
        return type(plain).from_dict(plain.to_dict() | measured | {"method": method.value})
    return plain


def presets(usual: T) -> tuple[Preset[T], Preset[T], Preset[T]]:
    """A quick, a standard and a careful way to train, around the usual settings of a base model."""
    return (
        Preset(
            "Quick look",
            "One pass over the pairs: does anything move at all?",
            replace(usual, epochs=1),
        ),
        Preset(
            "Standard",
            f"{usual.epochs} passes with the usual settings. Start here.",
            usual,
        ),
        Preset(
            "Careful",
            "Learns half as fast, and stops as soon as the validation loss rises."
            if _has(usual, "patience")
            else "One pass fewer, so that pairs are not learnt by heart.",
            _careful(usual),
        ),
    )


def _careful(usual: T) -> T:
    if not _has(usual, "patience"):
        return replace(usual, epochs=max(1, usual.epochs - 1))
    slower: dict[str, Any] = {"warmup": 0.1, "patience": 1}
    slower["learning_rate"] = usual.to_dict()["learning_rate"] / 2
    return replace(usual, **slower)


def _has(settings: Tuning, name: str) -> bool:
    return name in settings.__struct_fields__
