"""Hundreds of damaged files: each is refused in one sentence or read whole, never half."""

import collections
import contextlib
import io
import json
import os
import random
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.exchange import files
from curation.exchange.reading.child import parse
from curation.exchange.source import Limits, Source
from storage import priority
from storage.errors import BadInput
from tests.support.patience import PATIENCE

CANARY = "Quetzalcoatl"
ROWS = [{"prompt": f"{CANARY} {i}", "response": f'{{"n": {i}}}', "note": "x"} for i in range(30)]
Maker = Callable[[random.Random], bytes]


def csv_bytes() -> bytes:
    lines = [",".join('"' + v.replace('"', '""') + '"' for v in row.values()) for row in ROWS]
    return ("prompt,response,note\n" + "\n".join(lines) + "\n").encode()


def jsonl_bytes() -> bytes:
    return "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def parquet_bytes() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


def xlsx_bytes() -> bytes:
    book = openpyxl.Workbook()
    book.active.append(list(ROWS[0]))
    for row in ROWS:
        book.active.append(list(row.values()))
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def dataset_bytes() -> bytes:
    table, arrow, packed = pa.Table.from_pylist(ROWS), io.BytesIO(), io.BytesIO()
    with pa.ipc.new_stream(arrow, table.schema) as writer:
        writer.write_table(table)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("d/state.json", '{"_data_files": [{"filename": "a.arrow"}]}')
        archive.writestr("d/a.arrow", arrow.getvalue())
    return packed.getvalue()


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def flip(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 30)):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    return bytes(damaged)


def splice(content: bytes, chance: random.Random) -> bytes:
    a, b = sorted(chance.randrange(len(content)) for _ in range(2))
    return content[:a] + content[b:] + content[a:b]


def noise(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + chance.randbytes(chance.randint(1, 200)) + content[at:]


def on_a_line(lines: Callable[[], bytes], faults: list[bytes]) -> Maker:
    """A file in which one line, at random, is replaced by one of `faults`."""

    def make(chance: random.Random) -> bytes:
        parts = lines().split(b"\n")
        parts[chance.randrange(1, len(parts) - 1)] = chance.choice(faults)
        return b"\n".join(parts)

    return make


JSON_FAULTS = [
    b'{"prompt": NaN}',
    b'{"prompt": -Infinity}',
    b'{"a": 1, "a": 2}',
    b'{"a":' + b"[" * 100_000,
    b'{"a": ' + b"7" * 5_000 + b"}",
    b'{"a": "\\udc00"}',
    b'{"a": "\\u0000"}',
    b"[]",
    b"null",
    b"{'a': 1}",
    b'{"a": 1,}',
    b"\xff\xfe",
    b'{"a": "' + b"x" * 70_000 + b'"}',
]
CSV_FAULTS = [b"one", b"a,b,c,d", b'"open,b,c', b'"a"b,c,d', b"a\0,b,c", b"\x96,b,c", b"x" * 70_000]
WHOLE = [
    b"",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff\x00",
    b"prompt\n",
    b"," * 1_500 + b"\n",
    b"a,a\n1,2\n",
    b"%PDF-1.7",
    b"\x1f\x8b\x08",
    b"<html>",
    b"[{}]",
    b"PK\x05\x06" + bytes(18),
    b"PAR1PAR1",
    "prompt,response\nа,б\n".encode("cp1251"),  # noqa: RUF001
    "prompt,response\na,b\n".encode("utf-32"),
]


def cases() -> Iterator[tuple[str, Maker]]:
    """A class of damage and what makes one file of it."""
    makers = (csv_bytes, jsonl_bytes, parquet_bytes, xlsx_bytes, dataset_bytes)
    for make in makers:
        content = make()
        for harm in (cut, flip, splice, noise):
            name = f"{make.__name__.removesuffix('_bytes')}, {harm.__name__}"
            yield name, lambda chance, content=content, harm=harm: harm(content, chance)  # type: ignore[misc]
    yield "jsonl, faulty line", on_a_line(jsonl_bytes, JSON_FAULTS)
    yield "csv, faulty line", on_a_line(csv_bytes, CSV_FAULTS)
    yield "whole file wrong", lambda chance: chance.choice(WHOLE)


def outcome(path: Path, work: Path) -> str:
    """ "read", "refused" or, where the sentence names a line, "refused on a line"."""
    work.mkdir()
    try:
        table = parse(Source(path, "upload.csv", work=work))
    except BadInput as refusal:
        said = str(refusal)
        assert said.startswith(("upload.csv ", "Nothing of upload.csv was imported: line "))
        assert said.endswith(".")
        assert "\n" not in said
        assert len(said) < 300
        assert CANARY not in said
        return "refused on a line" if re.search(r"\bline \d", said) else "refused"
    assert table.rows
    assert all(row.values.keys() <= set(table.columns) for row in table.rows)
    return "read"


def test_damaged_files(tmp_path: Path) -> None:
    chance = random.Random(14)
    counts: dict[str, collections.Counter[str]] = {}
    slowest = 0.0
    for name, make in cases():
        repeats = 280 if name.endswith("line") else 100 if name.startswith("whole") else 24
        counts[name] = collections.Counter()
        for i in range(repeats):
            path = tmp_path / "upload.csv"
            path.write_bytes(make(chance))
            start = time.perf_counter()
            counts[name][outcome(path, tmp_path / f"{name} {i}")] += 1
            slowest = max(slowest, time.perf_counter() - start)
    for name, count in counts.items():
        told = "  ".join(f"{said} {number:4}" for said, number in sorted(count.items()))
        print(f"{name:24} {told}")
    total = sum((c for c in counts.values()), collections.Counter[str]())
    print(f"{total.total()} files: {dict(total)}, slowest {slowest:.2f} s")
    assert total["refused on a line"] >= 500
    assert total["refused"] + total["refused on a line"] >= 900
    assert slowest < 5


@pytest.mark.parametrize("seed", range(10))
def test_damaged_files_through_the_child(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    made = list(cases())
    path = tmp_path / "upload.csv"
    path.write_bytes(made[seed * 2][1](chance))
    with contextlib.suppress(BadInput):
        files.read(path, "upload.csv", work=tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_child_that_dies_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "upload.csv"
    path.write_bytes(csv_bytes())
    with pytest.raises(BadInput) as refusal:
        files.read(path, "upload.csv", Limits(wall_seconds=0))
    assert str(refusal.value) == (
        "upload.csv took more than 0 s to read and was given up; split it."
    )


def test_a_long_read_lets_others_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    says = "import os, time; time.sleep(1); raise SystemExit(os.getpriority(os.PRIO_PROCESS, 0))"
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    for at_full_speed, niceness in ((PATIENCE, mine), (0, min(mine + priority.POLITE, 19))):
        monkeypatch.setattr(files, "_PROMPT_SECONDS", at_full_speed)
        child = subprocess.Popen([sys.executable, "-c", says], start_new_session=True)
        assert files._ends(child, Limits(wall_seconds=int(PATIENCE))) == niceness


def test_a_child_without_memory_or_time(tmp_path: Path) -> None:
    path = tmp_path / "upload.csv"
    path.write_bytes(b"prompt,response\n" + b"abc,def\n" * 190_000)
    with pytest.raises(BadInput, match=r"memory|stopped the reader"):
        files.read(path, "upload.csv", Limits(memory_bytes=40_000_000))
    path.write_bytes(b"prompt,response\n" + b"a,b\n" * 5_000_000)
    limits = Limits(cpu_seconds=1, rows=10_000_000)
    with pytest.raises(BadInput) as refusal:
        files.read(path, "upload.csv", limits)
    assert str(refusal.value) == "upload.csv takes more than 1 s to read; split it."
