"""How much personal data of each type the scan was measured to find; nothing where nobody measured.

The figures are those of the default settings on the texts named with them, not of a project's own.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("recall.json")


@dataclass(frozen=True, slots=True)
class Recall:
    """Spans of one type that were there (`n`), and those found whole (`detected`)."""

    type: str
    detected: int
    n: int


@dataclass(frozen=True, slots=True)
class MeasuredRecall:
    """What was measured, with which model, on what."""

    model: str
    measured_on: str
    config_sha256: str
    types: tuple[Recall, ...]
    in_view: tuple[Recall, ...]
    """Types that only sentences had which were looked at while the rules were written."""

    def unmeasured(self, types: Iterable[str]) -> list[str]:
        """Those of some types of which nothing was there to be found."""
        there = {one.type for one in (*self.types, *self.in_view)}
        return [one for one in types if one not in there]


def measured(file: Path | None = None) -> MeasuredRecall | None:
    """The figures that came with this program; None where there are none to be read."""
    try:
        told = json.loads((file or FILE).read_text(encoding="utf-8"))
        return MeasuredRecall(
            str(told["model"]),
            str(told["measured_on"]),
            str(told["config_sha256"]),
            _types(told["types"]),
            _types(told["types_in_view"]),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _types(told: Mapping[str, Mapping[str, int]]) -> tuple[Recall, ...]:
    return tuple(Recall(t, int(v["found"]), int(v["n"])) for t, v in sorted(told.items()))
