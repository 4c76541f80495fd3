"""Gather the rows of one file under the caps that hold for every kind of file."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from curation.exchange.source import Faults, Source, Table, TableRow, Value

_CHAT_KEYS = ({"role", "content"}, {"from", "value"})
_CHAT_CELLS = 4
"""A chat holds several texts, so its cell may hold this many times the cap of one."""


class UnusableCellError(ValueError):
    """A cell that cannot be taken; the message reads after "line 7: "."""


def value_of(raw: object) -> Value:
    """A cell as text: numbers and dates as written, nothing as "", other JSON as JSON text.

    A list of chat messages stays a list. Raises `UnusableCellError` for bytes and unknown things.
    """
    if raw is None or (isinstance(raw, float) and math.isnan(raw)):
        return ""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | float | Decimal | date | datetime | time | timedelta | UUID):
        return str(raw)
    if _is_chat(raw):
        return raw  # type: ignore[return-value]
    return _json_text(raw)


def _is_chat(raw: object) -> bool:
    return (
        isinstance(raw, list)
        and bool(raw)
        and all(isinstance(m, dict) and any(keys <= m.keys() for keys in _CHAT_KEYS) for m in raw)
    )


def _json_text(raw: object) -> str:
    try:
        return json.dumps(raw, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise UnusableCellError("a cell holds data that is neither text nor JSON") from None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        yield from (str(key) for key in value)
        yield from (text for item in value.values() for text in _texts(item))


@dataclass(slots=True)
class Gathering:
    """Rows as they come, with every fault remembered; stops at the caps of the file."""

    source: Source
    faults: Faults = field(init=False)
    rows: list[TableRow] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)
    """Names in order of first sight."""
    notes: dict[str, int] = field(default_factory=dict)
    count: int = 0
    """Rows so far, faulty ones too."""
    text_bytes: int = 0

    def __post_init__(self) -> None:
        self.faults = Faults(self.source.name)

    def header(self, names: list[str]) -> None:
        """Take the columns of a file that names them once; each needs a name of its own."""
        self._count_columns(len(names))
        earlier: set[str] = set()
        for position, name in enumerate(names, 1):
            plain = name.strip()
            if not plain:
                self.source.refuse(f"has no name over column {position}; name every column")
            if plain in earlier:
                self.source.refuse(
                    f"names column {position} like an earlier one; rename one of them"
                )
            if len(plain) > 200 or "\0" in plain:
                self.source.refuse(
                    f"has an unusable name over column {position}; give it a short one"
                )
            earlier.add(plain)
        self.columns = dict.fromkeys(names)

    def add(self, line: int, raw: Mapping[str, object]) -> None:
        """Take one row, or remember why it cannot be taken."""
        self.count += 1
        limits = self.source.limits
        if self.count > limits.rows:
            self.source.refuse(f"has more than {limits.rows:,} rows; split it and import the parts")
        try:
            values = {name: self._cell(name, cell) for name, cell in raw.items()}
        except UnusableCellError as fault:
            self.faults.add(line, str(fault))
            return
        if self.text_bytes > limits.text_bytes:
            limit = limits.text_bytes / 1e6
            self.source.refuse(
                f"holds more than {limit:,.0f} MB of text; split it and import the parts"
            )
        if not self.faults.count:
            self.rows.append(TableRow(line, values))

    def refuse(self, line: int, why: str) -> None:
        """Remember a line that could not even be taken apart."""
        self.faults.add(line, why)

    def note(self, description: str) -> None:
        """Count something a person should know of; the description stands before the count."""
        self.notes[description] = self.notes.get(description, 0) + 1

    def table(self, kind: str, sha256: str, notes: tuple[str, ...] = ()) -> Table:
        """All rows, or `Refused` where one was faulty, or `BadInput` where there are none."""
        self.faults.check()
        if not self.rows:
            self.source.refuse("holds no rows; it needs a header and at least one row below it")
        counted = tuple(f"{description}: {count:,}." for description, count in self.notes.items())
        return Table(tuple(self.columns), self.rows, kind, sha256, (*notes, *counted))

    def _cell(self, name: str, raw: object) -> Value:
        value = value_of(raw)
        if name not in self.columns:
            self._count_columns(len(self.columns) + 1)
            self.columns[name] = None
        self._check(value, name)
        if isinstance(raw, dict | list) and isinstance(value, str):
            self.note("Cells with lists or objects, taken as their JSON text")
        return value

    def _check(self, value: Value, name: str) -> None:
        limit = self.source.limits.cell_bytes
        size = 0
        for text in _texts(value):
            size += _size(text)
            if "\0" in text:
                raise UnusableCellError(
                    f"the cell under {short(name)} holds a NUL character; remove it"
                )
        if size > (limit if isinstance(value, str) else limit * _CHAT_CELLS):
            raise UnusableCellError(
                f"the cell under {short(name)} holds {size / 1024:,.0f} KB "
                f"and the limit is {limit // 1024} KB; shorten it"
            )
        self.text_bytes += size

    def _count_columns(self, count: int) -> None:
        if count > self.source.limits.columns:
            self.source.refuse(
                f"has more than {self.source.limits.columns:,} columns; keep only those needed"
            )


def _size(text: str) -> int:
    try:
        return len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise UnusableCellError(
            "a cell holds half of a surrogate pair, which is no character"
        ) from None


def short(name: str) -> str:
    """A column's name in quotation marks, short enough for a sentence."""
    plain = " ".join(name.split())
    return f'"{plain if len(plain) <= 40 else plain[:37] + "..."}"'


def as_row(names: list[str], cells: list[Any]) -> dict[str, object]:
    """Cells under their names."""
    return dict(zip(names, cells, strict=True))
