"""Write rows for other tools: chat JSON Lines for training, CSV for people with a spreadsheet.

JSON Lines is byte-exact. CSV is for reading: a cell that a spreadsheet could take for a formula
gets one apostrophe in front, and the column `assay_escaped` lists the columns where that was done
in the row. Importing such a file takes exactly those apostrophes away again and no other.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from curation import strict_json
from curation.files import Value
from storage.errors import BadInput

ESCAPED = "assay_escaped"

# White space, quotes, control and zero-width characters in front do not stop every spreadsheet, nor
# do the full-width signs and the minus sign U+2212. Tab and line ends are escaped whatever follows.
_FORMULA = re.compile(
    r"[\t\r\n]|[\s\"'\u2018\u2019\uff02\uff07\x00-\x1f\u200b-\u200f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212]"
)
_BREAKS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"}


class Spoken(Protocol):
    """Anything with the two texts of a pair."""

    @property
    def prompt(self) -> str: ...

    @property
    def response(self) -> str: ...


def to_chat_jsonl(rows: Iterable[Spoken], system: str) -> bytes:
    """One chat a line: system (left out when ""), user, assistant. UTF-8, "\\n", byte-stable.

    The three characters outside ASCII that some readers take for a line end are written escaped.
    """
    return "".join(_chat_line(row, system) for row in rows).encode()


def _chat_line(row: Spoken, system: str) -> str:
    messages = [{"role": "system", "content": system}] if system else []
    messages += [
        {"role": "user", "content": row.prompt},
        {"role": "assistant", "content": row.response},
    ]
    line = json.dumps({"messages": messages}, ensure_ascii=False, separators=(",", ":"))
    for character, escape in _BREAKS.items():
        line = line.replace(character, escape)
    return line + "\n"


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV that a spreadsheet shows and never calculates: UTF-8 with its mark, every cell quoted.

    Raises:
        ValueError: a column is called like the one that is added, or a row has another length.
    """
    if ESCAPED in columns:
        raise ValueError(f"{ESCAPED} is the column that is added")
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow([*map(_escaped, columns), ESCAPED])
    for row in rows:
        named = zip(columns, row, strict=True)
        risky = [_escaped(name) for name, cell in named if _FORMULA.match(cell)]
        marks = json.dumps(risky, ensure_ascii=False) if risky else ""
        writer.writerow([*map(_escaped, row), marks])
    return text.getvalue().encode("utf-8-sig")


def _escaped(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unescape(values: dict[str, Value]) -> dict[str, Value]:
    """A row of a CSV that `to_csv` wrote, as it was before; any other row unchanged."""
    marks = values.get(ESCAPED)
    if not isinstance(marks, str) or not marks:
        return values
    try:
        risky = strict_json.loads(marks)
    except BadInput:
        return values
    return {name: _bare(cell, name, risky) for name, cell in values.items()}


def _bare(cell: Value, name: str, risky: object) -> Value:
    marked = isinstance(risky, list) and name in risky
    return cell[1:] if marked and isinstance(cell, str) and cell[:1] == "'" else cell
