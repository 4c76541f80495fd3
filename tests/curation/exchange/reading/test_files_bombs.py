"""Files that unpack to far more than they weigh: refused quickly, at no cost to this process."""

import gzip
import io
import json
import os
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.exchange import files
from storage.errors import BadInput
from tests.support.proofs import Proof

psutil = pytest.importorskip("psutil")

MB = 1_000_000


def refused(path: Path, label: str) -> str:
    """The sentence, after a check of the memory that this process grew by."""
    process = psutil.Process(os.getpid())
    before = peak = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        with pytest.raises(BadInput) as refusal:
            files.read(path, label)
    finally:
        done.set()
        watcher.join()
    seconds, grown = time.perf_counter() - start, (peak - before) / MB
    size = path.stat().st_size / MB
    print(f"{label}: {size:.2f} MB, {seconds:.1f} s, parent grew by {grown:.1f} MB")
    assert grown < 100
    return str(refusal.value)


def fifty_gigabytes(path: Path) -> None:
    """50 million rows that share one thousand-character value through a dictionary."""
    rows = 1_000_000
    indices = pa.array(np.zeros(rows, dtype=np.int32))
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 1_000]))
    table = pa.table({"prompt": column, "response": column})
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(50):
            writer.write_table(table)


def one_huge_cell(path: Path) -> None:
    table = pa.table({"prompt": ["x" * 80 * MB], "response": ["y"]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)


def two_billion_nulls(path: Path) -> None:
    nulls = pa.ListArray.from_arrays(
        pa.array([0, 2_000_000_000], pa.int32()), pa.nulls(2_000_000_000)
    )
    batch = pa.record_batch({"prompt": nulls})
    path.mkdir()
    with (
        pa.OSFile(str(path / "a.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, batch.schema) as out,
    ):
        out.write_batch(batch)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "a.arrow"}]}))


def sheet(path: Path, body: Callable[[zipfile.ZipFile], None], part: str) -> None:
    """A small workbook with one of its parts replaced by what `body` writes."""
    small = path.with_suffix(".small")
    book = openpyxl.Workbook()
    book.active.append(["prompt", "response"])
    book.save(small)
    with zipfile.ZipFile(small) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name != part:
                new.writestr(name, old.read(name))
        body(new)


def big_sheet(path: Path) -> None:
    def body(new: zipfile.ZipFile) -> None:
        with new.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as out:
            out.write(b"<worksheet><sheetData>")
            row = b'<row><c t="inlineStr"><is><t>' + b"x" * 1_000 + b"</t></is></c></row>"
            for _ in range(300):
                out.write(row * 1_000)

    sheet(path, body, "xl/worksheets/sheet1.xml")


def lying_sheet(path: Path) -> None:
    """The same, with the zip's directory claiming that the part is small."""
    big_sheet(path)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"xl/worksheets/sheet1.xml"))
    data[entry + 24 : entry + 28] = (900_000).to_bytes(4, "little")
    path.write_bytes(bytes(data))


def wide_claim(path: Path) -> None:
    def body(new: zipfile.ZipFile) -> None:
        new.writestr(
            "xl/worksheets/sheet1.xml",
            '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
            '<dimension ref="A1:XFD1048576"/><sheetData><row r="1048576">'
            '<c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row></sheetData></worksheet>',
        )

    sheet(path, body, "xl/worksheets/sheet1.xml")


def many_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(201):
            archive.writestr(f"xl/workbook.xml{i or ''}", "x")


def shared_strings(path: Path) -> None:
    def body(new: zipfile.ZipFile) -> None:
        with new.open("xl/sharedStrings.xml", "w", force_zip64=True) as out:
            out.write(b"<sst>")
            for _ in range(300):
                out.write((b"<si><t>" + b"x" * 1_000 + b"</t></si>") * 1_000)

    sheet(path, body, "xl/sharedStrings.xml")


def billion_laughs(path: Path) -> None:
    def body(new: zipfile.ZipFile) -> None:
        entities = "".join(
            f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "laugh"}">' for n in range(10)
        )
        new.writestr(
            "xl/worksheets/sheet1.xml",
            f"<!DOCTYPE worksheet [{entities}]><worksheet><sheetData><row><c t='inlineStr'><is><t>"
            "&e9;</t></is></c></row></sheetData></worksheet>",
        )

    sheet(path, body, "xl/worksheets/sheet1.xml")


def zip_of_zips(path: Path) -> None:
    """Eight layers of eight copies each: sixteen million files of zeros."""
    content = bytes(MB)
    for layer in range(8):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for copy in range(8):
                archive.writestr(f"{layer}-{copy}.{'zip' if layer else 'csv'}", content)
        content = packed.getvalue()
    path.write_bytes(content)


def packed_dataset(path: Path) -> None:
    """A dataset of 2 GB of zeros that is 2 MB as a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("d/state.json", '{"_data_files": [{"filename": "a.arrow"}]}')
        with archive.open("d/a.arrow", "w", force_zip64=True) as out:
            for _ in range(200):
                out.write(bytes(10 * MB))


def gzipped(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as out:
        for _ in range(100):
            out.write(bytes(10 * MB))


def one_gigabyte_line(path: Path) -> None:
    with path.open("wb") as out:
        out.write(b"prompt,response\n")
        out.truncate(1_000 * MB)


def one_long_line(path: Path) -> None:
    path.write_bytes(b"prompt,response\n" + b"x" * 49 * MB)


def ten_million_columns(path: Path) -> None:
    path.write_bytes(b"a," * 10 * MB + b"\n1\n")


def twelve_million_rows(path: Path) -> None:
    path.write_bytes(b"prompt,response\n" + b"a,b\n" * 12 * MB)


def deep_json(path: Path) -> None:
    path.write_bytes(b'{"prompt": ' + b"[" * 40 * MB)


def long_number(path: Path) -> None:
    path.write_bytes(b'{"prompt": ' + b"7" * 40 * MB + b"}\n")


def a_million_keys(path: Path) -> None:
    keys = ",".join(f'"{number}":1' for number in range(MB))
    path.write_text(f"{{{keys}}}\n")


def wide_parquet(path: Path) -> None:
    column = pa.array(["x"])
    table = pa.table({f"c{number}": column for number in range(20_000)})
    pq.write_table(table, path, write_statistics=False)


BOMBS: list[tuple[Callable[[Path], None], str]] = [
    (fifty_gigabytes, "bomb holds more than 64 MB of text; split it and import the parts."),
    (one_huge_cell, "bomb holds more than 64 MB of text; split it and import the parts."),
    (two_billion_nulls, "bomb holds lists of more than 1,000,000 values; leave that column out."),
    (big_sheet, "unpacks to"),
    (lying_sheet, "damaged"),
    (wide_claim, "bomb has more than 10,000 blank rows in a row; delete them."),
    (many_members, "bomb holds 201 parts and the limit is 200; export it again."),
    (shared_strings, "unpacks to"),
    (billion_laughs, "damaged"),
    (zip_of_zips, "a zip of something else"),
    (packed_dataset, "unpacks to 2,000 MB and the limit is 250 MB"),
    (gzipped, "compressed with gzip"),
    (one_gigabyte_line, "1,000 MB and the limit is 50 MB"),
    (one_long_line, "line 2 of more than 4 million characters"),
    (ten_million_columns, "line 1 of more than 4 million characters"),
    (twelve_million_rows, "more than 200,000 rows"),
    (deep_json, "line 1 of more than 4 million characters"),
    (long_number, "line 1 of more than 4 million characters"),
    (a_million_keys, "line 1 of more than 4 million characters"),
    (wide_parquet, "more than 1,000 columns"),
]


@pytest.mark.T15
@pytest.mark.parametrize(("write", "words"), BOMBS, ids=[b[0].__name__ for b in BOMBS])
def test_bombs(tmp_path: Path, write: Callable[[Path], None], words: str, proof: Proof) -> None:
    path = tmp_path / write.__name__
    write(path)
    said = refused(path, "bomb")
    print(said)
    assert words in said
    proof(files=1, refused=1)
