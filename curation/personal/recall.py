"""How much personal data of each type the scan was measured to find; nothing where nobody measured.

The figures are those of the default settings on the texts named with them, not of a project's own.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("recall.json")


class Recall(msgspec.Struct, frozen=True):
    """How many spans of one type there were (`n`), and how many of them were found whole."""

    detected: int = msgspec.field(name="found")
    n: int


class MeasuredRecall(msgspec.Struct, frozen=True):
    """What was measured, with which model, on what; recall by type."""

    model: str
    measured_on: str
    config_sha256: str
    types: dict[str, Recall]
    in_view: dict[str, Recall] = msgspec.field(name="types_in_view")
    """Types that only sentences had which were looked at while the rules were written."""

    def unmeasured(self, types: Iterable[str]) -> list[str]:
        """Those of some types of which nothing was there to be found."""
        return [kind for kind in types if kind not in self.types and kind not in self.in_view]


def measured(file: Path | None = None) -> MeasuredRecall | None:
    """The figures that came with this program; None where there are none to be read."""
    try:
        return msgspec.json.decode((file or FILE).read_bytes(), type=MeasuredRecall)
    except (OSError, msgspec.MsgspecError):
        return None
