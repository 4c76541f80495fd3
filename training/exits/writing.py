"""How the exits write: YAML and JSON by real writers, so that a name is never more than a name."""

import json
from collections.abc import Mapping

import yaml

ROWS = "rows/data"
"""Where the pairs lie in an export."""


def to_yaml(values: Mapping[str, object], *comments: str) -> bytes:
    """A YAML file whose first lines are comments; only plain values can be written."""
    head = "".join(f"# {line}\n" for line in comments)
    body: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    return (head + body).encode()


def to_json(values: Mapping[str, object]) -> bytes:
    """A JSON file for people to read."""
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()
