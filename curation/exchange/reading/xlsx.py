"""Read the first sheet of an Excel workbook as text; a formula stays the text it is typed as."""

from collections.abc import Iterator
from datetime import datetime, time
from typing import Any
from zipfile import ZipFile

from curation.exchange.reading.rows import Gathering, as_row
from curation.exchange.reading.zips import BROKEN
from curation.exchange.source import Source, Table, hashed

_FORMULA_NOTE = "Formulas, not calculated but taken as text"
_BLANK_RUN = 10_000
"""Blank rows after which nothing more is expected."""

# openpyxl meets broken XML with whatever Python raises there; defusedxml refuses entities with a
# ValueError.
_BROKEN = (*BROKEN, ArithmeticError, AttributeError, LookupError, SyntaxError, TypeError)


def read_xlsx(source: Source, archive: ZipFile) -> Table:
    """The rows of the first visible sheet."""
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    archive.close()
    try:
        with source.path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=False, keep_links=False)
            return _read(source, book)
    except (InvalidFileException, *_BROKEN):
        source.refuse("is a damaged Excel workbook; open it in Excel and save it again as .xlsx")


def _read(source: Source, book: Any) -> Table:  # noqa: ANN401 - openpyxl is not typed
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if not sheets:
        source.refuse("has no visible sheet; unhide the one to import")
    gathering = Gathering(source)
    names: list[str] = []
    for line, cells in _filled(sheets[0], source):
        texts = [_plain(cell, gathering) for cell in cells]
        if not names:
            names = [str(text) for text in texts]
            gathering.header(names)
        elif len(texts) > len(names):
            gathering.refuse(line, f"it has {len(texts)} cells where the header has {len(names)}")
        else:
            gathering.add(line, as_row(names, texts + [""] * (len(names) - len(texts))))
    others = len(sheets) - 1
    notes = (f"Sheets left out, as only the first is read: {others}.",) if others else ()
    return gathering.table("XLSX", hashed(source), notes)


def _filled(sheet: Any, source: Source) -> Iterator[tuple[int, list[Any]]]:  # noqa: ANN401
    """Number and cells of each row that is not blank, cut after the last filled cell."""
    sheet.reset_dimensions()  # what the sheet says of its size is not to be trusted
    blank = 0
    for row in sheet.iter_rows():
        cells = list(row)
        while cells and cells[-1].value in (None, ""):
            cells.pop()
        if len(cells) > source.limits.columns:
            source.refuse(
                f"has more than {source.limits.columns:,} columns; keep only those needed"
            )
        blank = 0 if cells else blank + 1
        if blank > _BLANK_RUN:
            source.refuse(f"has more than {_BLANK_RUN:,} blank rows in a row; delete them")
        if cells:
            yield _number(cells), cells


def _number(cells: list[Any]) -> int:
    return next(int(cell.row) for cell in reversed(cells) if cell.value is not None)


def _plain(cell: Any, gathering: Gathering) -> object:  # noqa: ANN401
    value = cell.value
    if cell.data_type == "f":
        gathering.note(_FORMULA_NOTE)
        return str(getattr(value, "text", None) or value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time(0):
        return value.date().isoformat()
    return value
