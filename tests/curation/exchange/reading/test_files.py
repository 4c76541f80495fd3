"""Files of every kind that Assay reads, each read through the child process."""

import csv
import io
import json
import time
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.exchange import files
from curation.exchange.source import Table, TableRow, Value

ROWS = [
    {"prompt": "Where is my card?", "response": '{"team": "cards"}', "topic": "cards"},
    {"prompt": "Zwei Zeilen,\nund ein Komma", "response": '{"team": "loans"}', "topic": ""},
]
CHAT = [
    {"role": "system", "content": "Route it."},
    {"role": "user", "content": "Where is my card?"},
    {"role": "assistant", "content": '{"team": "cards"}'},
]


def saved(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def as_csv(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_arrow(path: Path, rows: list[dict[str, object]]) -> None:
    table = pa.Table.from_pylist(rows)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def dataset_folder(folder: Path, rows: list[dict[str, object]]) -> Path:
    folder.mkdir(parents=True)
    as_arrow(folder / "data-00000-of-00001.arrow", rows)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def values(table: Table) -> list[dict[str, Value]]:
    return [row.values for row in table.rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_csv_is_read_whatever_its_separator(tmp_path: Path, delimiter: str) -> None:
    path = saved(tmp_path, "rows.txt", as_csv(ROWS, delimiter).encode())
    table = files.read(path, "rows.txt")
    assert table.kind == "CSV"
    assert values(table) == ROWS
    assert [row.line for row in table.rows] == [2, 3]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_say_what_they_are(tmp_path: Path, encoding: str) -> None:
    path = saved(tmp_path, "a.csv", "prompt,response\nGrüße €,ok\n".encode(encoding))
    assert values(files.read(path, "a.csv")) == [{"prompt": "Grüße €", "response": "ok"}]


def test_lines_are_those_of_the_file_not_of_the_records(tmp_path: Path) -> None:
    text = 'prompt,response\r\n"one\r\ntwo",a\r\n\r\n,,\r\nthree,b\r\n'.replace(",,", ",")
    table = files.read(saved(tmp_path, "a.csv", text.encode()), "a.csv")
    assert [(row.line, row.values["prompt"]) for row in table.rows] == [
        (2, "one\r\ntwo"),
        (6, "three"),
    ]


def test_cells_that_look_like_formulas_stay_as_they_are(tmp_path: Path) -> None:
    cells = ["=1+1", "+49 30", "-5", "@home", "\t=x", "'=quoted"]
    rows = [{"prompt": cell, "response": "x"} for cell in cells]
    table = files.read(saved(tmp_path, "a.csv", as_csv(rows).encode()), "a.csv")
    assert [row.values["prompt"] for row in table.rows] == cells


def test_excel_writes_its_separator_in_the_first_line(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.csv", b"sep=;\nprompt;response\na;b\n")
    table = files.read(path, "a.csv")
    assert table.rows == [TableRow(3, {"prompt": "a", "response": "b"})]


def test_jsonl_flat_and_chat(tmp_path: Path) -> None:
    lines = [
        {"prompt": "a", "response": {"team": "cards"}, "id": 7, "topic": None},
        {"messages": CHAT},
    ]
    text = "\n\n".join(json.dumps(line) for line in lines)
    table = files.read(saved(tmp_path, "a.csv", text.encode()), "a.csv")
    assert table.kind == "JSONL"
    assert table.columns == ("prompt", "response", "id", "topic", "messages")
    assert table.rows == [
        TableRow(1, {"prompt": "a", "response": '{"team": "cards"}', "id": "7", "topic": ""}),
        TableRow(3, {"messages": CHAT}),
    ]
    assert table.notes == ("Cells with lists or objects, taken as their JSON text: 1.",)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "rows.bin"
    pq.write_table(pa.Table.from_pylist([{**row, "n": 3, "chat": CHAT} for row in ROWS]), path)
    table = files.read(path, "rows.bin")
    assert table.kind == "Parquet"
    assert values(table) == [{**row, "n": "3", "chat": CHAT} for row in ROWS]
    assert [row.line for row in table.rows] == [1, 2]


def test_xlsx_takes_the_first_sheet_and_calculates_nothing(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["prompt", "response", "n", None])
    sheet.append(["hello", "=1+1", 7.0])
    sheet.append([])
    sheet.append(["last"])
    book.create_sheet("other").append(["x"])
    book.save(tmp_path / "a.xlsx")
    table = files.read(tmp_path / "a.xlsx", "a.xlsx")
    assert table.columns == ("prompt", "response", "n")
    assert table.rows == [
        TableRow(2, {"prompt": "hello", "response": "=1+1", "n": "7"}),
        TableRow(4, {"prompt": "last", "response": "", "n": ""}),
    ]
    assert table.notes == (
        "Sheets left out, as only the first is read: 1.",
        "Formulas, not calculated but taken as text: 1.",
    )


@pytest.mark.usefixtures("model_code")
def test_a_dataset_that_the_library_itself_saved(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "saved"
    datasets.Dataset.from_list(ROWS).save_to_disk(str(path))
    table = files.read(path, "saved")
    assert table.kind == "saved dataset"
    assert values(table) == ROWS


def test_a_dataset_with_splits_folder_and_zip(tmp_path: Path) -> None:
    folder = tmp_path / "both"
    for split, row in zip(("train", "test"), ROWS, strict=True):
        dataset_folder(folder / split, [{**row}])
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path))
    expected = [{"split": "train", **ROWS[0]}, {"split": "test", **ROWS[1]}]
    for path in (folder, tmp_path / "both.zip"):
        table = files.read(path, path.name)
        assert values(table) == expected
        assert table.notes == ('Splits read together, named in the column "split": train, test.',)


def test_nothing_temporary_is_left(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    files.read(saved(tmp_path, "a.csv", b"prompt,response\na,b\n"), "a.csv", work=work)
    assert list(work.iterdir()) == []


def test_ten_thousand_rows(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"Message {i}, " + "word " * 30, "response": '{"team": "cards"}'}
        for i in range(10_000)
    ]
    path = saved(tmp_path, "a.csv", as_csv(rows).encode())
    start = time.perf_counter()
    table = files.read(path, "a.csv")
    seconds = time.perf_counter() - start
    print(f"10,000 CSV rows, {path.stat().st_size / 1e6:.1f} MB: {seconds:.2f} s")
    assert len(table.rows) == 10_000
