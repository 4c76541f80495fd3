"""Write an Excel workbook whose cells are all text, the same bytes wherever it is made."""

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from curation.versions import verify_version
from curation.versions.layout import COLUMNS, TABLE, Layout, Parts, Written, cells
from curation.versions.layouts_csv import count_escapes, escaped, marked_rows
from storage.errors import BadInput

_LONGEST = 32_767
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
"""What XML cannot hold, reads back as a line feed, or Excel takes for an escape of its own."""
_MODIFIED = re.compile(rb"(<dcterms:(created|modified)[^>]*>)[^<]*")
_THEN = datetime(1980, 1, 1)  # noqa: DTZ001 - a workbook's dates have no zone


def _write(parts: Parts, system: str) -> Written:
    """One workbook a split."""
    written = Written()
    for split, rows in parts.items():
        table = [cells(row, system) for row in rows]
        written.add(f"data/{split.value}.xlsx", split, _book(table))
        count_escapes(written, table)
    return written


def _check(parts: Parts, system: str) -> None:
    """Refuse a row that cannot stand in a workbook as it is.

    Raises:
        BadInput: it is too long, or holds characters that a workbook does not keep.
    """
    for rows in parts.values():
        for row in rows:
            _check_cells(row.pair_id, cells(row, system))


def _check_cells(pair_id: int, texts: Sequence[str]) -> None:
    if any(len(escaped(text)) > _LONGEST for text in texts):
        raise BadInput(
            f"Pair {pair_id} has more than {_LONGEST:,} characters, which no Excel cell holds. "
            "Choose another format."
        )
    if any(_UNFIT.search(text) for text in texts):
        raise BadInput(
            f"Pair {pair_id} has a carriage return or control character, which a workbook does "
            "not keep. Choose another format."
        )


def _book(table: Sequence[Sequence[str]]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    book.properties.created = book.properties.modified = _THEN
    sheet = book.create_sheet("rows")
    for row in marked_rows(COLUMNS, table):
        sheet.append([_text(sheet, cell) for cell in row])
    packed = io.BytesIO()
    book.save(packed)
    with zipfile.ZipFile(packed) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    then = rb"\g<1>1980-01-01T00:00:00Z"
    members["docProps/core.xml"] = _MODIFIED.sub(then, members["docProps/core.xml"])
    return verify_version.zipped(members)


def _text(sheet: Any, text: str) -> Any:  # noqa: ANN401 - openpyxl is not typed
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, value="")
    cell.value = text
    cell.data_type = "s"  # never a formula, a number or a date
    return cell


XLSX = Layout(
    name="xlsx",
    title="Excel workbook",
    fits="spreadsheets",
    loses="As CSV; and a row that a workbook cannot hold (carriage returns, control characters, "
    "over 32,767 characters) is refused.",
    write=_write,
    columns=TABLE,
    check=_check,
)
