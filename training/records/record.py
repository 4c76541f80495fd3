"""A JSON object with known keys: read with a clear refusal, and written again."""

from typing import Any, TypeVar, cast

import msgspec

from storage.errors import Unavailable

T = TypeVar("T")


class JsonRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON object with known keys."""


def always(default: T) -> T:
    """The default of a key that is written even where it has it."""
    return msgspec.field(default_factory=lambda: default)


def read(kind: type[T], value: object) -> T:
    """A value from JSON that was stored.

    Raises:
        Unavailable: it is not of this kind; says where, not what stands there.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise unreadable(kind, error) from error


def written(record: JsonRecord) -> dict[str, Any]:
    """The JSON object that `read` reads back to the same record."""
    return cast("dict[str, Any]", _plain(msgspec.to_builtins(record)))


def unreadable(kind: type[T], error: msgspec.ValidationError) -> Unavailable:
    """The refusal of what cannot be read: says where, never what stands there, which may be a
    pair's words.
    """
    place = str(error).partition(" - at ")[2].strip("`$.") or "its keys"
    return Unavailable(f"{kind.__name__}: what was recorded cannot be read ({place}).")


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Arrays as lists, as JSON that was read has them."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
