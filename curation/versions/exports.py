"""How rows are written for other tools: lines of JSON, and tables for people with a spreadsheet.

JSON Lines is byte-exact. Tables are for reading: a cell that a spreadsheet could take for a formula
gets one apostrophe in front, and the column `assay_escaped` lists the columns where that was done
in the row. Importing such a file takes exactly those apostrophes away again and no other.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence

from curation.exchange.files import Value
from curation.exchange.reading import strict_json
from storage.errors import BadInput

ESCAPED = "assay_escaped"

# White space, quotes, control and zero-width characters in front do not stop every spreadsheet, nor
# do the full-width signs and the minus sign U+2212. Tab and line ends are escaped whatever follows.
_FORMULA = re.compile(
    r"[\t\r\n]|[\s\"'\u2018\u2019\uff02\uff07\x00-\x1f\u200b-\u200f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212]"
)
_BREAKS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"}


def line(value: object) -> str:
    """One object as a line of JSON Lines: compact, characters as they are, "\\n" at its end.

    The three characters outside ASCII that some readers take for a line end are written escaped.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, escape in _BREAKS.items():
        text = text.replace(character, escape)
    return text + "\n"


def breaks(text: str) -> int:
    """How many characters of a text `line` writes escaped though JSON need not."""
    return sum(text.count(character) for character in _BREAKS)


def risky(cell: str) -> bool:
    """Whether a spreadsheet could take a cell for a formula."""
    return bool(_FORMULA.match(cell))


def escaped(cell: str) -> str:
    """The cell with an apostrophe in front where a spreadsheet could take it for a formula."""
    return f"'{cell}" if risky(cell) else cell


def marked_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """The header and the rows, escaped, with a last column that names what was escaped.

    Raises:
        ValueError: a column is called like the one that is added, or a row has another length.
    """
    if ESCAPED in columns:
        raise ValueError(f"{ESCAPED} is the column that is added")
    yield [*map(escaped, columns), ESCAPED]
    for row in rows:
        named = zip(columns, row, strict=True)
        marked = [escaped(name) for name, cell in named if risky(cell)]
        marks = json.dumps(marked, ensure_ascii=False) if marked else ""
        yield [*map(escaped, row), marks]


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV that a spreadsheet shows and never calculates: UTF-8 with its mark, every cell quoted.

    Raises:
        ValueError: a column is called like the one that is added, or a row has another length.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows(marked_rows(columns, rows))
    return text.getvalue().encode("utf-8-sig")


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
