"""CSV for people with a spreadsheet, and what its cells share with those of a workbook.

A cell that a spreadsheet could take for a formula gets one apostrophe in front, and the column
`assay_escaped` lists the columns where that was done in the row. Importing such a file takes
exactly those apostrophes away again and no other.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence

from curation.versions.layout import COLUMNS, TABLE, Layout, Parts, Written, cells
from curation.versions.verify_version import ESCAPED

# White space, quotes, control and zero-width characters in front do not stop every spreadsheet, nor
# do the full-width signs and the minus sign U+2212. Tab and line ends are escaped whatever follows.
_FORMULA = re.compile(
    r"[\t\r\n]|[\s\"'\u2018\u2019\uff02\uff07\x00-\x1f\u200b-\u200f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212]"
)
_ESCAPES = "cells with an apostrophe in front, so that no spreadsheet calculates them"


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


def count_escapes(written: Written, table: Sequence[Sequence[str]]) -> None:
    """Count the cells of a table that got an apostrophe in front."""
    written.escape(_ESCAPES, sum(risky(cell) for row in table for cell in row))


def _write(parts: Parts, system: str) -> Written:
    written = Written()
    for split, rows in parts.items():
        table = [cells(row, system) for row in rows]
        written.add(f"data/{split.value}.csv", split, to_csv(COLUMNS, table))
        count_escapes(written, table)
    return written


CSV = Layout(
    name="csv",
    title="CSV",
    fits="spreadsheets",
    loses="A cell that a spreadsheet could take for a formula gets an apostrophe in front, which "
    "only Assay's import takes away again. A spreadsheet that saves the file may change "
    "line ends and cut cells over 32,767 characters.",
    write=_write,
    columns=TABLE,
)
