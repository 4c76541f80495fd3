"""The OpenAI-compatible endpoints that the server's configuration names: none is ever typed in.

`ASSAY_ENDPOINTS` names a TOML file; each endpoint is a table `[name]` with `url`, `model` (for
drafting) and, if a key is needed, `api_key_env`: the environment variable that holds it. A table
`[name.tuning]` says which models the endpoint tunes, and at what price. docs/provider.md shows one.
"""

import os
import tomllib
from pathlib import Path

import msgspec

from storage.errors import BadInput
from training.records.parts import Endpoint


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
        return [
            msgspec.convert({**table, "name": name}, Endpoint) for name, table in tables.items()
        ]
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(
            "The endpoints file cannot be read: each endpoint needs [name], url and model; one "
            "that tunes also [name.tuning] with models and price. Ask whoever runs this server to "
            "mend it."
        ) from error


def tuning() -> list[Endpoint]:
    """The endpoints that tune models."""
    return [endpoint for endpoint in listing() if endpoint.tuning is not None]


def named(name: str) -> Endpoint:
    """One endpoint of the configuration.

    Raises:
        BadInput: there is none of that name.
    """
    for endpoint in listing():
        if endpoint.name == name:
            return endpoint
    raise BadInput(f"No endpoint is named {name!r} in the server's configuration.")
