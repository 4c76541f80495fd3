"""What a class of settings says of each: the form, the check and the way from words follow it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import Meta

from storage.errors import BadInput


@dataclass(frozen=True, slots=True)
class Caption:
    """How a form speaks of a setting; it stands in the annotation beside the limits."""

    label: str
    help: str = ""
    step: float = 1
    choices: tuple[str, ...] = ()
    drawn: bool = True
    """False for one that has a form of its own, or one value only."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as its class describes it."""

    name: str
    annotation: Any
    kind: Any
    """int, float, bool, str, a StrEnum, or a tuple of names."""
    optional: bool
    """Whether None is allowed."""
    meta: Meta
    caption: Caption

    @property
    def number(self) -> bool:
        """Whether it is a number, which a switch is not."""
        return self.kind in (int, float)

    @property
    def choices(self) -> tuple[str, ...]:
        """What it can be, where that is one or several of a few names."""
        if isinstance(self.kind, type) and issubclass(self.kind, StrEnum):
            return tuple(member.value for member in self.kind)
        return self.caption.choices

    def checked(self, value: object) -> Any:  # noqa: ANN401 - of the setting's own kind
        """A value as the setting has it.

        Raises:
            BadInput: it is of another kind, or out of range.
        """
        try:
            return msgspec.convert(value, self.annotation)
        except msgspec.ValidationError as error:
            raise BadInput(self._refusal(value)) from error

    def _refusal(self, value: object) -> str:
        meta = self.meta
        if meta.description:
            return meta.description
        if self.kind is bool:
            return f"{meta.title} is either on (true) or off (false)."
        limits = f"from {meta.ge:g} to {meta.le:g}."
        fits = isinstance(value, int | float if self.kind is float else int)
        if fits and not isinstance(value, bool):
            return f"{meta.title} is {value:g}; give a value {limits}"
        return (
            f"{meta.title} must be a {'number' if self.kind is float else 'whole number'} {limits}"
        )

    def from_text(self, text: str) -> Any:  # noqa: ANN401 - of the setting's own kind
        """A value from the words of a command line or of a file.

        Raises:
            BadInput: it is of another kind.
        """
        if isinstance(self.kind, type) and issubclass(self.kind, str):
            return text
        if self.choices:
            return [word.strip() for word in text.strip("[]").split(",") if word.strip()]
        if self.optional and text.lower() in ("none", "null", ""):
            return None
        try:
            return float(text) if self.kind is float else json.loads(text.lower())
        except ValueError:
            raise BadInput(
                f"{self.name} cannot be {text[:60]!r}. Give a value of its kind."
            ) from None


@cache
def settings_of(kind: type[msgspec.Struct]) -> Mapping[str, Setting]:
    """The settings of a class by name, in the order of its fields."""
    annotations = get_type_hints(kind, include_extras=True)
    return {name: _setting(name, annotations[name]) for name in kind.__struct_fields__}


def _setting(name: str, annotation: Any) -> Setting:  # noqa: ANN401 - an annotation
    kinds = get_args(annotation) if NoneType in get_args(annotation) else (annotation,)
    inner = next(kind for kind in kinds if kind is not NoneType)
    said = getattr(inner, "__metadata__", ())
    return Setting(
        name=name,
        annotation=annotation,
        kind=getattr(inner, "__origin__", inner) if said else inner,
        optional=NoneType in kinds,
        meta=next((part for part in said if isinstance(part, Meta)), Meta(title=name)),
        caption=next((part for part in said if isinstance(part, Caption)), Caption(name)),
    )
