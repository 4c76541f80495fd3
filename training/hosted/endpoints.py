"""The OpenAI-compatible endpoints that the server's configuration names: none is ever typed in.

`ASSAY_ENDPOINTS` names a TOML file; each endpoint is a table `[name]` with `url`, `model` (for
drafting) and, if a key is needed, `api_key_env`: the environment variable that holds it. A table
`[name.tuning]` says which models the endpoint tunes, and at what price. docs/provider.md shows one.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from storage.errors import BadInput

_POLL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class TuningOffer:
    """What an endpoint tunes, and what it asks for that."""

    models: tuple[str, ...]
    price: float
    """Of a million trained tokens."""
    currency: str = "USD"
    poll_seconds: float = _POLL_SECONDS
    """Between two questions how far a run is; up to six times as long where nothing changes."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """An offer from a table of the file, or from a job's spec.

        Raises:
            KeyError, TypeError, ValueError: something is missing or of another kind.
        """
        models = tuple(str(name) for name in values["models"])
        poll = float(values.get("poll_seconds", _POLL_SECONDS))
        price = float(values["price"])
        if isinstance(values["models"], str) or not models or price < 0 or poll <= 0:
            raise ValueError("an offer names models in a list, and a price")
        return cls(models, price, str(values.get("currency", "USD")), poll)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint that the server's configuration names."""

    name: str
    url: str
    model: str
    api_key_env: str | None = None
    private: bool = False
    """Whether its host name may lead to an address inside the house."""
    tuning: TuningOffer | None = None

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> Self:
        """An endpoint from a table of the file, or from a job's spec.

        Raises:
            KeyError, TypeError, ValueError: something is missing or of another kind.
        """
        offer = values.get("tuning")
        return cls(
            name,
            str(values["url"]),
            str(values["model"]),
            values.get("api_key_env"),
            values.get("private") is True,
            None if offer is None else TuningOffer.from_dict(offer),
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON that a job's spec carries; a key is never part of it, only where it is kept."""
        return asdict(self)

    @property
    def environment(self) -> list[str]:
        """The environment variables that a job which asks this endpoint must be given."""
        return [self.api_key_env] if self.api_key_env else []


def listing() -> list[Endpoint]:
    """The endpoints of the server's configuration.

    Raises:
        BadInput: the file cannot be read.
    """
    path = os.environ.get("ASSAY_ENDPOINTS")
    if not path:
        return []
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return [Endpoint.from_dict(name, table) for name, table in tables.items()]
    except (
        OSError,
        tomllib.TOMLDecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise BadInput(
            "The endpoints file cannot be read: each endpoint needs [name], url and model; one "
            "that tunes also [name.tuning] with models and price. Ask whoever runs this server to "
            "mend it."
        ) from error


def tuning() -> list[Endpoint]:
    """The endpoints that tune models."""
    return [one for one in listing() if one.tuning is not None]


def named(name: str) -> Endpoint:
    """One endpoint of the configuration.

    Raises:
        BadInput: there is none of that name.
    """
    for known in listing():
        if known.name == name:
            return known
    raise BadInput(f"No endpoint is named {name!r} in the server's configuration.")
