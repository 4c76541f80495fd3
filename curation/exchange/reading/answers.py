"""What passes between the server and the child that reads a file: the task, and the answer.

An answer is a file of JSON lines: what came of it, then the rows of a table, a list each.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import msgspec

from curation.exchange.source import Limits, Refusal, Refused, Table, TableRow
from storage.errors import AssayError, BadInput, Unavailable

_log = logging.getLogger(__name__)


class ReadTask(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is to read. Sent as ASCII: a path may hold bytes that are no UTF-8."""

    path: str
    name: str
    work: str
    """An empty folder for unpacking."""
    result: str
    """The file for the answer."""
    limits: Limits

    def sent(self) -> str:
        """The task as an argument of the child."""
        return json.dumps(msgspec.to_builtins(self))


def received(argument: str) -> ReadTask:
    """The task that a child was sent."""
    return msgspec.convert(json.loads(argument), ReadTask)


class Good(msgspec.Struct, frozen=True, tag_field="answer", tag="table"):
    """The file is a table, whose rows follow."""

    columns: tuple[str, ...]
    kind: str
    sha256: str
    notes: tuple[str, ...]
    layout: str


class Faulty(msgspec.Struct, frozen=True, tag_field="answer", tag="refused"):
    """Lines of the file cannot be taken."""

    refusals: tuple[Refusal, ...]
    count: int


class Unreadable(msgspec.Struct, frozen=True, tag_field="answer", tag="bad"):
    """The file as a whole cannot be taken."""

    why: str


class Failed(msgspec.Struct, frozen=True, tag_field="answer", tag="failed"):
    """The reader failed; nothing of the file's text stands here."""

    error: str
    frames: list[str]


Answer = Good | Faulty | Unreadable | Failed


def write(out: TextIO, answer: Answer) -> None:
    """Write an answer without rows."""
    out.write(msgspec.json.encode(answer).decode() + "\n")


def write_table(out: TextIO, table: Table) -> None:
    """Write the answer for a good file."""
    write(out, Good(table.columns, table.kind, table.sha256, table.notes, table.layout))
    for row in table.rows:
        cells = [row.line, *(row.values.get(column) for column in table.columns)]
        out.write(json.dumps(cells, ensure_ascii=False) + "\n")


def read(result: Path, name: str) -> Table:
    """The table of an answer about the file called `name`.

    Raises:
        Refused: with the faulty lines.
        BadInput: the file as a whole cannot be read.
        Unavailable: the reader failed.
    """
    with result.open(encoding="utf-8", newline="\n") as lines:
        answer: Answer = msgspec.json.decode(next(lines), type=Answer)
        if isinstance(answer, Good):
            return _table(answer, lines)
    raise _error(answer, name)


def _error(answer: Faulty | Unreadable | Failed, name: str) -> AssayError:
    if isinstance(answer, Faulty):
        return Refused(name, answer.refusals, answer.count)
    if isinstance(answer, Unreadable):
        return BadInput(answer.why)
    _log.error("the file reader failed at %s", answer.frames)
    return Unavailable(
        f"{name} could not be read because the reader failed ({answer.error}); "
        "nothing was imported, please report this."
    )


def _table(head: Good, lines: Iterator[str]) -> Table:
    rows = []
    for text in lines:
        line, *cells = json.loads(text)
        pairs = zip(head.columns, cells, strict=True)
        rows.append(TableRow(line, {name: cell for name, cell in pairs if cell is not None}))
    return Table(head.columns, rows, head.kind, head.sha256, head.notes, head.layout)
