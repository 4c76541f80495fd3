"""How the exits write: YAML and JSON by real writers, so that a name is never more than a name."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

ROWS = "rows/data"
"""Where the rows lie in an export."""


def to_yaml(values: Mapping[str, Any], *words: str) -> bytes:
    """A YAML file whose first lines are comments; only plain values can be written."""
    head = "".join(f"# {line}\n" for line in words)
    body: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    return (head + body).encode()


def to_json(values: Mapping[str, Any]) -> bytes:
    """A JSON file for people to read."""
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()
