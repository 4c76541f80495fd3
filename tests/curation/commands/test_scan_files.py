"""`python -m curation scan`: findings of a file, refusals, the cache, two processes."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from curation.__main__ import app
from curation.personal import scan_cache, scanning
from curation.personal.detect import Span
from curation.personal.pii import Config
from storage.errors import Unavailable

ROWS = (
    {"id": 1, "text": "Write to ana.lopez@cuvox.de"},
    {"id": "b", "text": "Hello there."},
    {"id": 3, "text": "\u200bA 23 year old at 221 Baker Street"},
    {"id": 4, "text": "word " * 50_000},
    {"id": 5, "text": "Write to ana.lopez@cuvox.de"},
)


def written(folder: Path, *lines: object) -> Path:
    file = folder / "rows.jsonl"
    text = "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines)
    file.write_text(text, encoding="utf-8")
    return file


def run(source: Path, *more: str) -> Result:
    out, cache = source.with_name("found.jsonl"), source.with_name("cache.db")
    call = ["scan", str(source), "--out", str(out), "--cache", str(cache), *more]
    return CliRunner().invoke(app, call)


def found(source: Path) -> list[dict[str, object]]:
    lines = source.with_name("found.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_findings_and_rows_set_aside(tmp_path: Path) -> None:
    source = written(tmp_path, *ROWS)
    done = run(source)
    assert done.exit_code == 0, done.output
    lines = found(source)
    mail = {"start": 9, "end": 27, "type": "EMAIL_ADDRESS", "score": 1.0}
    assert [one for one in lines if one["id"] in (1, 5)] == [{"id": 1, **mail}, {"id": 5, **mail}]
    texts = {one["id"]: str(one["text"]) for one in ROWS}
    third = {
        texts[3][int(str(one["start"])) : int(str(one["end"]))]: one["type"]
        for one in lines
        if one["id"] == 3
    }
    assert third == {"23": "AGE", "221 Baker Street": "STREET_ADDRESS"}
    assert ["quarantined" in one for one in lines if one["id"] == 4] == [True]
    assert "5 rows (0 known), 4 findings, 1 set aside" in done.stderr


def test_a_rescan_of_the_same_rows_loads_no_model_and_finds_the_same(tmp_path: Path) -> None:
    source = written(tmp_path, *(row for row in ROWS if row["id"] != 4))
    assert run(source).exit_code == 0
    first = source.with_name("found.jsonl").read_bytes()
    code = (
        "import sys; from curation.__main__ import app\n"
        "try: app()\n"
        "finally: print('spacy' in sys.modules or 'presidio_analyzer' in sys.modules)"
    )
    call = [sys.executable, "-c", code, "scan", str(source), "--out", str(tmp_path / "found.jsonl")]
    again = subprocess.run(
        [*call, "--cache", str(tmp_path / "cache.db")], capture_output=True, text=True, check=True
    )
    assert again.stdout.strip() == "False"
    assert "4 rows (3 known)" in again.stderr
    assert source.with_name("found.jsonl").read_bytes() == first


def test_the_cache_holds_no_text_and_is_its_owners(tmp_path: Path) -> None:
    source = written(tmp_path, *ROWS)
    assert run(source).exit_code == 0
    cache = tmp_path / "cache.db"
    assert b"lopez" not in cache.read_bytes()
    assert cache.stat().st_mode & 0o077 == 0
    with sqlite3.connect(cache) as database:
        assert database.execute("SELECT count(*) FROM scans").fetchone() == (3,)
    database.close()


def test_another_configuration_knows_nothing_of_the_first(tmp_path: Path) -> None:
    path, text = tmp_path / "cache.db", "Ana"
    mine, other = (scan_cache.key(Config(nationality=n).sha256, text) for n in (True, False))
    scan_cache.remember(path, {mine: [Span(0, 3, "PERSON", 0.5)]})
    assert scan_cache.lookup(path, [mine, other]) == {mine: [Span(0, 3, "PERSON", 0.5)]}


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    path.write_text("not a database, and long enough to be sure of it" * 20)
    with pytest.raises(Unavailable, match="delete it"):
        scan_cache.lookup(path, [b"x"])


def test_fresh_uses_no_cache(tmp_path: Path) -> None:
    source = written(tmp_path, ROWS[1])
    assert run(source, "--fresh").exit_code == 0
    assert not (tmp_path / "cache.db").exists()


def test_an_empty_file_gives_an_empty_file(tmp_path: Path) -> None:
    source = written(tmp_path)
    assert run(source).exit_code == 0
    assert source.with_name("found.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (({"id": 1, "text": "a"}, "{nothing"), "rows.jsonl, line 2"),
        (({"id": 1, "text": "a"}, {"id": 1, "text": "b"}), "line 2 has an id that stands further"),
        (({"id": 1},), 'line 1 has no text under "text"'),
        (({"text": "a"},), 'line 1 has no "id"'),
        (("[1]",), "line 1 is not a JSON object"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(
    tmp_path: Path, lines: tuple[object, ...], said: str
) -> None:
    source = written(tmp_path, *lines)
    done = run(source)
    assert done.exit_code == 1
    assert said in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["rows.jsonl"]


def test_the_output_is_not_the_input(tmp_path: Path) -> None:
    source = written(tmp_path, ROWS[0])
    done = CliRunner().invoke(app, ["scan", str(source), "--out", str(source), "--fresh"])
    assert done.exit_code == 1
    assert "same" in done.stderr
    assert json.loads(source.read_text()) == ROWS[0]


def test_two_processes_find_what_one_finds_in_the_same_order() -> None:
    texts = [f"Mail user{n}@cuvox.de, says Maria Lopez" for n in range(2 * scanning.PART + 5)]
    with scanning.scanners(Config(), 2) as two, scanning.scanners(Config()) as one:
        assert list(two(texts)) == list(one(texts))
