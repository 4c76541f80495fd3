"""What goes into a scan for personal data and what comes out of it: one line of a file a pair.

Pair 0 stands for the project's system message.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from storage import plain_files
from storage.errors import Unavailable

Line = TypeVar("Line", bound=msgspec.Struct)


class ScanInput(msgspec.Struct, frozen=True):
    """The texts of one pair that are scanned, by place."""

    pair_id: int
    content_sha256: str
    texts: dict[str, str]


class ScanFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of one text. Offsets in characters, end exclusive."""

    field: str
    key: str | None = None
    """Name of the value, where the field is "source"."""
    start: int
    end: int
    type: str
    score: float


class ScannedPair(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The findings in one pair, or why it could not be scanned whole."""

    pair_id: int
    content_sha256: str
    config_sha256: str
    quarantined: str | None = None
    findings: tuple[ScanFinding, ...] | None = None


def written(lines: Iterable[msgspec.Struct], *, ascii_only: bool = True) -> bytes:
    """The lines as a file holds them."""
    values = map(msgspec.to_builtins, lines)
    text = "".join(json.dumps(value, ensure_ascii=ascii_only) + "\n" for value in values)
    return text.encode()


def read(path: Path, type_: type[Line]) -> list[Line]:
    """The lines of such a file.

    Raises:
        Unavailable: a line is not what a scan writes.
    """
    try:
        with plain_files.opened(path) as file:
            return [msgspec.json.decode(line, type=type_) for line in file]
    except msgspec.MsgspecError as error:
        raise Unavailable("A file of this scan cannot be read: scan again.") from error
