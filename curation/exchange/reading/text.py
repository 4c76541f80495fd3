"""Read CSV and JSON Lines: the encoding is proven first, then every line is checked."""

import csv
import re
from codecs import (
    BOM_UTF8,
    BOM_UTF16_BE,
    BOM_UTF16_LE,
    BOM_UTF32_BE,
    BOM_UTF32_LE,
    getincrementaldecoder,
)
from collections.abc import Iterator
from typing import TextIO

from curation import strict_json
from curation.exchange.reading.rows import Gathering, as_row
from curation.exchange.source import Source, Table, hashed
from storage.errors import BadInput

_CHUNK = 1 << 20
_SAMPLE_CHARACTERS = 200_000
_SAMPLE_RECORDS = 100
_BREAK = re.compile(r"\r\n|\n|\r")
_DELIMITERS = ",;\t|"
_NAMES = {
    "cp1252": "Windows-1252",
    "cp1250": "Windows-1250",
    "cp1251": "Windows-1251",
    "latin_1": "ISO-8859-1",
    "utf_16": "UTF-16",
    "utf_16_le": "UTF-16",
    "utf_16_be": "UTF-16",
    "shift_jis": "Shift-JIS",
    "cp932": "Shift-JIS",
    "gb18030": "GB 18030",
    "big5": "Big5",
    "euc_kr": "EUC-KR",
    "cp1253": "Windows-1253",
    "koi8_r": "KOI8-R",
}


def read_text(source: Source) -> Table:
    """The rows of a text file: JSON Lines where it begins with an object, else CSV."""
    encoding = _encoding(source)
    _scan(source, encoding)
    with source.path.open(encoding=encoding, newline="") as file:
        start = file.read(4096).lstrip()
    if not start:
        source.refuse("is empty; choose a file with a header and rows")
    if re.match(r"<(!doctype|html|\?xml)", start, re.IGNORECASE):
        source.refuse("is a web page or XML, not a table; export it as CSV or JSONL")
    if re.match(r"\{\s*?[\r\n]", start):
        source.refuse(
            "spreads a JSON object over several lines; save it as JSONL, one on each line"
        )
    if re.match(r'\[\s*[\[{"\]]', start):
        source.refuse("is one JSON list; save it as JSONL, with one object on each line")
    with source.path.open(encoding=encoding, newline="") as file:
        return _read_jsonl(source, file) if start.startswith("{") else _read_csv(source, file)


def _encoding(source: Source) -> str:
    with source.path.open("rb") as file:
        start = file.read(4)
    if start.startswith((BOM_UTF32_LE, BOM_UTF32_BE)):
        source.refuse("is UTF-32 text; save it as UTF-8 and import it again")
    if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig" if start.startswith(BOM_UTF8) else "utf-8"


def _scan(source: Source, encoding: str) -> None:
    """Decode the file once, a megabyte at a time, up to the first line that is not text."""
    decoder = getincrementaldecoder(encoding)()
    line, open_characters = 1, 0
    with source.path.open("rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            try:
                text = decoder.decode(chunk)
            except UnicodeDecodeError as error:
                _refuse_encoding(source, line + _breaks_before(error))
            line, open_characters = _scan_lines(source, text, line, open_characters)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        _refuse_encoding(source, line)


def _breaks_before(error: UnicodeDecodeError) -> int:
    return bytes(error.object[: error.start]).count(b"\n")


def _scan_lines(source: Source, text: str, line: int, open_characters: int) -> tuple[int, int]:
    """Line number and length so far of the line that is open at the end of `text`."""
    if "\0" in text:
        number = line + text[: text.index("\0")].count("\n")
        source.refuse(
            f"holds a NUL character on line {number}, so it is no text file; export it again"
        )
    for piece_number, piece in enumerate(text.split("\n")):
        open_characters = len(piece) + (0 if piece_number else open_characters)
        if open_characters > source.limits.line_characters:
            most = source.limits.line_characters / 1e6
            number = line + piece_number
            source.refuse(
                f"has a line {number} of more than {most:g} million characters; break it up"
            )
    return line + text.count("\n"), open_characters


def _refuse_encoding(source: Source, line: int) -> None:
    """Name the likely encoding. A guess from letters: it may take one for a close relative."""
    from charset_normalizer import from_bytes

    with source.path.open("rb") as file:
        guess = from_bytes(file.read(_CHUNK // 4), cp_isolation=list(_NAMES)).best()
    looks = f"; it looks like {_common(guess.could_be_from_charset)}" if guess else ""
    source.refuse(f"is not UTF-8 text (line {line}){looks}; save it as UTF-8 and import it again")


def _common(charsets: list[str]) -> str:
    """The most usual of the encodings under which these bytes say the same."""
    return next((name for key, name in _NAMES.items() if key in charsets), charsets[0])


def _read_jsonl(source: Source, file: TextIO) -> Table:
    gathering = Gathering(source)
    for line, text in enumerate(file, 1):
        if text.strip():
            _take_object(gathering, line, text.strip("\r\n"))
    return gathering.table("JSONL", hashed(source))


def _take_object(gathering: Gathering, line: int, text: str) -> None:
    try:
        value = strict_json.loads(text)
    except BadInput as fault:
        gathering.refuse(line, _clause(str(fault)))
        return
    if isinstance(value, dict):
        gathering.add(line, value)
    else:
        gathering.refuse(line, "it is not a JSON object {...}")


def _clause(sentence: str) -> str:
    """A sentence as it reads after "line 7: "."""
    plain = sentence.removesuffix(".")
    keep = plain[:3] in ("NaN", "Inf") or plain.startswith("-Inf")
    return plain if keep else plain[:1].lower() + plain[1:]


def _read_csv(source: Source, file: TextIO) -> Table:
    csv.field_size_limit(source.limits.line_characters)
    skipped, delimiter = _dialect(file)
    records = _records(source, file, delimiter, skipped)
    gathering = Gathering(source)
    names: list[str] = []
    for line, cells in records:
        if isinstance(cells, str):
            gathering.refuse(line, cells)
        elif not any(cell.strip() for cell in cells):
            continue
        elif not names:
            names = cells
            gathering.header(names)
        elif len(cells) != len(names):
            gathering.refuse(line, _ragged(len(cells), len(names)))
        else:
            gathering.add(line, as_row(names, cells))
    return gathering.table("CSV", hashed(source))


def _ragged(has: int, header: int) -> str:
    cells = "1 cell" if has == 1 else f"{has} cells"
    return f"it has {cells} where the header has {header}; quote any cell that holds the separator"


def _records(
    source: Source, file: TextIO, delimiter: str, skipped: int
) -> Iterator[tuple[int, list[str] | str]]:
    """Physical line where a record starts, with its cells or with what is wrong with it.

    After a wrong quotation mark nothing can be told for sure, so reading ends there.
    """
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    while True:
        line = skipped + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, _quotation(str(error))
            return
        if len(cells) > source.limits.columns:
            source.refuse(
                f"has more than {source.limits.columns:,} columns on line {line}; "
                "keep only those needed"
            )
        yield line, cells


def _quotation(error: str) -> str:
    if "expected after" in error:
        return 'a quotation mark inside a quoted cell is not doubled ("" for one)'
    return "a quotation mark opened in the record that starts here is never closed"


def _dialect(file: TextIO) -> tuple[int, str]:
    """Lines to skip before the header and the separator; leaves `file` at the header."""
    first = file.readline()
    named = re.fullmatch(r"sep=(.)\s*", first)
    if named:
        return 1, named[1]
    file.seek(0)
    sample = file.read(_SAMPLE_CHARACTERS)
    file.seek(0)
    return 0, max(_DELIMITERS, key=lambda delimiter: _fit(sample, delimiter))


def _fit(sample: str, delimiter: str) -> tuple[bool, float, int]:
    """How well a separator explains the sample: header split, share of records alike, columns."""
    counts: list[int] = []
    try:
        # A break inside a quoted cell is kept by handing the reader whole lines with their ends.
        for cells in csv.reader(_lines(sample), delimiter=delimiter):
            if any(cells):
                counts.append(len(cells))
            if len(counts) > _SAMPLE_RECORDS:
                break
    except csv.Error:
        return False, 0.0, 0
    if not counts or counts[0] < 2:
        return False, 0.0, 0
    body = counts[1:-1] or counts[1:] or counts
    return True, sum(c == counts[0] for c in body) / len(body), counts[0]


def _lines(sample: str) -> Iterator[str]:
    start = 0
    for line_end in _BREAK.finditer(sample):
        yield sample[start : line_end.end()]
        start = line_end.end()
    if start < len(sample):
        yield sample[start:]
