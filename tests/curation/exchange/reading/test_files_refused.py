"""Files that cannot be taken: each gets one sentence, and nothing of it is imported."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.exchange import files
from curation.exchange.reading.child import parse
from curation.exchange.source import DEFAULT, Limits, Refused, Source
from storage.errors import BadInput

GOOD = '{"prompt": "a", "response": "b"}'
HEAD = b"prompt,response\n"


def sentence(path: Path, name: str = "rows.csv") -> str:
    """What `files.read` says when it refuses, after a check that this is one plain sentence."""
    with pytest.raises(BadInput) as refusal:
        files.read(path, name)
    return str(refusal.value)


def said_in_process(path: Path, limits: Limits = DEFAULT) -> str:
    with pytest.raises(BadInput) as refusal:
        parse(Source(path, "rows.csv", limits, path.parent / "work"))
    return str(refusal.value)


def test_ragged_lines_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(HEAD + b"a,b\nonly one\n\n" + b"x,y,z\n" * 150)
    with pytest.raises(Refused) as refusal:
        files.read(path, "march.csv")
    assert str(refusal.value) == (
        "Nothing of march.csv was imported: line 3: it has 1 cell where the header has 2; "
        "quote any cell that holds the separator (150 more faulty below)."
    )
    assert refusal.value.count == 151
    assert len(refusal.value.refusals) == 100
    assert refusal.value.refusals[1].line == 5


def test_a_megabyte_in_one_cell_names_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(HEAD + b"a,b\n" + b"x" * 1_048_576 + b",y\n")
    assert sentence(path) == (
        'Nothing of rows.csv was imported: line 3: the cell under "prompt" holds 1,024 KB '
        "and the limit is 64 KB; shorten it."
    )


TEXTS: list[tuple[str, bytes, str]] = [
    ("empty", b"", "rows.csv is empty; choose a file with a header and rows."),
    ("only blank", b"\n  \n", "rows.csv is empty; choose a file with a header and rows."),
    (
        "only a header",
        HEAD,
        "rows.csv holds no rows; it needs a header and at least one row below it.",
    ),
    (
        "Windows-1252",
        HEAD + "Grüße aus Köln, schöne Grüße für „alle“ Häuser,ok\n".encode("cp1252"),
        "rows.csv is not UTF-8 text (line 2); it looks like Windows-1252; "
        "save it as UTF-8 and import it again.",
    ),
    (
        "UTF-32",
        "prompt,response\na,b\n".encode("utf-32"),
        "rows.csv is UTF-32 text; save it as UTF-8 and import it again.",
    ),
    (
        "NUL",
        HEAD + b"a\0b,c\n",
        "rows.csv holds a NUL character on line 2, so it is no text file; export it again.",
    ),
    (
        "same name twice",
        b"prompt, prompt \na,b\n",
        "rows.csv names column 2 like an earlier one; rename one of them.",
    ),
    (
        "no name",
        b"prompt,\na,b\n",
        "rows.csv has no name over column 2; name every column.",
    ),
    (
        "1,001 columns",
        b",".join(b"c%d" % i for i in range(1001)) + b"\n",
        "rows.csv has more than 1,000 columns on line 1; keep only those needed.",
    ),
    (
        "ten million columns",
        b"," * 10_000_000 + b"\n",
        "rows.csv has a line 1 of more than 4 million characters; break it up.",
    ),
    (
        "open quotation mark",
        HEAD + b'a,b\n"never closed,c\nd,e\n',
        "Nothing of rows.csv was imported: line 3: a quotation mark opened in the record "
        "that starts here is never closed.",
    ),
    (
        "quotation mark inside",
        HEAD + b'"a "very" b",c\n',
        "Nothing of rows.csv was imported: line 2: a quotation mark inside a quoted cell "
        'is not doubled ("" for one).',
    ),
    (
        "web page",
        b"<!DOCTYPE html><p>Sign in</p>",
        "rows.csv is a web page or XML, not a table; export it as CSV or JSONL.",
    ),
    (
        "JSON list",
        b'[{"prompt": "a"}]',
        "rows.csv is one JSON list; save it as JSONL, with one object on each line.",
    ),
    (
        "JSON on many lines",
        b'{\n  "prompt": "a"\n}\n',
        "rows.csv spreads a JSON object over several lines; save it as JSONL, one on each line.",
    ),
    (
        "gzip",
        gzip.compress(HEAD + b"a,b\n"),
        "rows.csv is compressed with gzip; unpack it and import what is inside.",
    ),
    (
        "old Excel",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "rows.csv is an old or password-protected Excel file; save it as .xlsx without a password.",
    ),
    (
        "Parquet cut short",
        b"PAR1" + b"x" * 50,
        "rows.csv is a damaged or cut-off Parquet file; export it again.",
    ),
    (
        "zip cut short",
        b"PK\x03\x04" + b"x" * 50,
        "rows.csv is a damaged or cut-off zip; export it again.",
    ),
]


@pytest.mark.parametrize(("content", "expected"), [t[1:] for t in TEXTS], ids=[t[0] for t in TEXTS])
def test_one_sentence_for_a_whole_file(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert said_in_process(path) == expected


LINES: list[tuple[str, str, str]] = [
    (
        "NaN",
        '{"prompt": NaN}',
        'NaN is not a JSON number; write null or a text such as "unknown"',
    ),
    (
        "repeated key",
        '{"approved": false, "approved": true}',
        'the key "approved" appears twice in one JSON object; keep one of them',
    ),
    ("depth 33", "{" + '"a":[' * 0 + '"a":' + "[" * 32 + "]" * 32 + "}", "nested"),
    ("depth 100,000", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}", "nested"),
    (
        "5,000 digits",
        '{"a": ' + "9" * 5_000 + "}",
        "a number in the JSON has more than 4300 digits",
    ),
    ("1e999", '{"a": 1e999}', "a number in the JSON is too large to hold"),
    (
        "half a pair",
        '{"prompt": "\\ud83d"}',
        "the JSON holds half of a surrogate pair (\\ud800 to \\udfff), which is no character",
    ),
    ("a list", "[1, 2]", "it is not a JSON object {...}"),
    ("cut short", '{"prompt": "a', "the text is not valid JSON: unterminated string starting"),
    ("two objects", GOOD + GOOD, "the JSON ends before character 33, but more text follows"),
    ("NUL", '{"prompt": "a\\u0000"}', 'the cell under "prompt" holds a NUL character; remove it'),
]


@pytest.mark.parametrize(("line", "why"), [t[1:] for t in LINES], ids=[t[0] for t in LINES])
def test_one_faulty_line_refuses_the_file(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{GOOD}\n{line}\n{GOOD}\n")
    expected = "the JSON is nested more than 32 levels deep" if why == "nested" else why
    said = said_in_process(path)
    assert said.startswith(f"Nothing of rows.csv was imported: line 2: {expected}")
    assert said.endswith(".")


def test_depth_100_000_through_the_child(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(GOOD + '\n{"a":' + "[" * 100_000 + "\n")
    assert sentence(path, "deep.jsonl") == (
        "Nothing of deep.jsonl was imported: line 2: the JSON is nested more than 32 levels deep."
    )


def test_a_gigabyte_line_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(HEAD + b"a,")
        file.truncate(1_000_000_000)
    assert sentence(path) == (
        "rows.csv is 1,000 MB and the limit is 50 MB; split it and import the parts."
    )


def test_a_long_line_is_refused_where_the_file_may_be_large(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(HEAD)
        file.writelines(b"x" * 1_000_000 for _ in range(60))
    limits = Limits(file_bytes=2_000_000_000)
    with pytest.raises(BadInput) as refusal:
        files.read(path, "rows.csv", limits)
    assert str(refusal.value) == (
        "rows.csv has a line 2 of more than 4 million characters; break it up."
    )


def write_bytes_column(path: Path) -> None:
    pq.write_table(pa.table({"prompt": ["a"], "image": [b"\x89PNG"]}), path)


def write_too_many_rows(path: Path) -> None:
    path.write_bytes(HEAD + b"a,b\n" * 200_001)


def write_too_much_text(path: Path) -> None:
    path.write_text("prompt,response\n" + "\n".join(f"{'x' * 600},b" for _ in range(20)))


def write_long_sheet_row(path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["prompt"])
    book.active.append(["a", "b"])
    book.save(path)


def write_sheet_with_entities(path: Path) -> None:
    write_long_sheet_row(path)
    parts = {}
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"].decode()
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    parts["xl/worksheets/sheet1.xml"] = (laughs + sheet).encode()
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)


def write_other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.zip", b"PK\x03\x04")


def write_escaping_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../state.json", "{}")


MADE: list[tuple[Callable[[Path], None], str]] = [
    (
        write_bytes_column,
        'rows.csv holds bytes, not text, in the column "image"; leave that column out.',
    ),
    (
        write_too_many_rows,
        "rows.csv has more than 200,000 rows; split it and import the parts.",
    ),
    (
        write_long_sheet_row,
        "Nothing of rows.csv was imported: line 2: it has 2 cells where the header has 1.",
    ),
    (
        write_sheet_with_entities,
        "rows.csv is a damaged Excel workbook; open it in Excel and save it again as .xlsx.",
    ),
    (write_other_zip, "rows.csv is a zip of something else; import the table inside it."),
    (
        write_escaping_zip,
        "rows.csv holds a part that points outside it; zip the dataset folder again.",
    ),
]


@pytest.mark.parametrize(("write", "expected"), MADE, ids=[m[0].__name__ for m in MADE])
def test_made_files(tmp_path: Path, write: Callable[[Path], None], expected: str) -> None:
    (tmp_path / "work").mkdir()
    path = tmp_path / "a.csv"
    write(path)
    assert said_in_process(path) == expected


def test_too_much_text_in_all(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_too_much_text(path)
    said = said_in_process(path, Limits(text_bytes=10_000))
    assert said == "rows.csv holds more than 0 MB of text; split it and import the parts."


def test_missing_file_and_wrong_folder(tmp_path: Path) -> None:
    assert sentence(tmp_path / "gone") == "rows.csv was not found; check the path."
    (tmp_path / "notes.md").write_text("x")
    assert sentence(tmp_path, "notes") == (
        "notes is not a saved Hugging Face dataset (it has no state.json); "
        "write one with dataset.save_to_disk(...)."
    )


def test_a_dataset_may_not_point_outside_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (tmp_path / "secret.arrow").write_bytes(b"x")
    state = {"_data_files": [{"filename": "../secret.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state))
    assert said_in_process(folder) == (
        "rows.csv names a file that is not in its own folder; save the dataset again."
    )
    (folder / "link").symlink_to("/etc/passwd")
    assert said_in_process(folder) == (
        "rows.csv is a folder that holds links; copy the files themselves into it."
    )


def test_a_name_is_repeated_short_and_visible(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    assert sentence(path, "a\u202egnp.csv\n").startswith("a⟦U+202E⟧gnp.csv is empty")
