"""What a format of exports is: how it writes pairs, what it cannot hold, how it is read back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TypeAlias

from storage.types import Split


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One pair on its way out."""

    pair_id: int
    origin: str
    prompt: str
    response: str
    rejected: str = ""
    """For preference pairs: the output that a person corrected."""


Parts: TypeAlias = Mapping[Split, Sequence[ExportRow]]


@dataclass(slots=True)
class Written:
    """The files of an export's data."""

    files: dict[str, bytes] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    """The split of each file that holds rows, by its name."""
    escapes: dict[str, int] = field(default_factory=dict)
    """What was written otherwise than it is, and is read back as it was: how many times."""

    def add(self, name: str, split: Split, content: bytes) -> None:
        """Take in the file that holds the rows of a split."""
        self.files[name], self.data[name] = content, split.value

    def escape(self, description: str, count: int) -> None:
        """Count what was written otherwise than it is."""
        if count:
            self.escapes[description] = self.escapes.get(description, 0) + count


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which column holds what. A chat column stands in for prompt, response and system.

    Where both are named, a row without a chat is read from its prompt and response.
    """

    prompt: str | None = None
    response: str | None = None
    system: str | None = None
    era: str | None = None
    topic: str | None = None
    source: str | None = None
    messages: str | None = None
    input: str | None = None
    """Alpaca's second half of a prompt: joined to it by a blank line where a row has one."""
    exact: bool = False
    """Whether white space around a text belongs to it, as in an export of Assay."""

    def used(self) -> frozenset[str]:
        """Names of the columns that are mapped."""
        named = (getattr(self, each.name) for each in fields(self) if each.name != "exact")
        return frozenset(column for column in named if column is not None)


def _anything(_parts: Parts, _system: str) -> None:
    """The check of a format that holds every text."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One format. Its own module makes it; `layouts` lists it."""

    name: str
    title: str
    fits: str
    """What it is read by."""
    loses: str
    """What it cannot hold, or where something stands that readers may not expect."""
    write: Callable[[Parts, str], Written]
    """The files of some splits under a system message: the same bytes for the same rows."""
    columns: ColumnMapping
    """How an import reads it back."""
    check: Callable[[Parts, str], None] = _anything
    """Raises `BadInput` for a row that the format cannot hold."""
    preference: bool = False
    """Whether it takes only pairs whose output a person corrected, with what was corrected."""
    folders: bool = False
    """Whether each split is a folder, of which only one file holds rows."""


NO_ORIGIN = "Origins and pair numbers stand in index.jsonl only."
COLUMNS = ("prompt", "response", "system", "origin", "pair_id")
"""Of a format that is a table."""
TABLE = ColumnMapping(prompt="prompt", response="response", system="system", exact=True)
"""How a table under `COLUMNS` is read back."""


def cells(row: ExportRow, system: str) -> list[str]:
    """A row of a table under `COLUMNS`."""
    return [row.prompt, row.response, system, row.origin, str(row.pair_id)]
