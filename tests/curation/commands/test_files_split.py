"""`split` and `leakage` on files: whole, sure of their shares, calm when rows come, strict."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from curation.__main__ import app
from storage.settings import ROOT
from tests.support import leaks, stories

PARTS = ("train", "validation", "test")
Lines = dict[str, list[bytes]]


def run(*words: str | Path, code: int = 0) -> str:
    """What a command says on stderr."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stderr


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def some(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows with an id, a team in a JSON output, and a file they come from for every fifth."""
    return [
        {"id": n, "prompt": prompt, "response": response, "file": f"f{n // 15}" if n % 5 else None}
        for n, (prompt, response) in enumerate(stories.messages(count, start), start)
    ]


def parts_of(folder: Path) -> Lines:
    return {part: (folder / f"{part}.jsonl").read_bytes().splitlines() for part in PARTS}


def placed(folder: Path) -> dict[Any, str]:
    """The part of each row by id."""
    return {
        json.loads(line)["id"]: part for part, lines in parts_of(folder).items() for line in lines
    }


def test_every_line_goes_out_as_it_is_once_in_about_its_shares(tmp_path: Path) -> None:
    rows = [json.dumps(row, indent=None) for row in some(300)]
    rows[3] = rows[3].replace('"prompt": ', '"prompt" :\t')
    rows[5] = rows[5].replace("Ticket", "T\\u00efcket Ω")
    content = "\r\n".join(rows[:100]) + "\n\n" + "\n".join(rows[100:])
    source = tmp_path / "in.jsonl"
    source.write_bytes(content.encode())
    told = run("split", source, "--out", tmp_path / "out", "--stratify", "response.team")
    parts = {part: (tmp_path / f"out/{part}.jsonl").read_bytes() for part in PARTS}
    lines = [line for one in parts.values() for line in one.split(b"\n") if line]
    assert sorted(lines) == sorted(line for line in content.encode().split(b"\n") if line)
    report = json.loads((tmp_path / "out/split.json").read_text("utf-8"))
    for part, share in zip(PARTS, (0.64, 0.16, 0.2), strict=True):
        assert abs(report["achieved"][part] - share) <= 0.01
        for stratum in report["strata"].values():
            assert abs(stratum["rows"][part] - share * 75) <= 2
    assert sorted(report["strata"]) == sorted(stories.TEAMS)
    assert report["cannot"] == []
    assert "300 rows in" in told
    assert "rows/s" in told


def test_sources_and_near_duplicates_stay_together_and_nothing_leaks(tmp_path: Path) -> None:
    rows, dice = some(200), random.Random(3)
    rows += [
        {"id": 1_000 + n, "prompt": edit(rows[n]["prompt"], dice), "response": "{}", "file": None}
        for n, edit in enumerate((*leaks.EDITS,) * 10)
    ]
    source = write(tmp_path / "in.jsonl", rows)
    run("split", source, "--out", tmp_path, "--group", "file")
    where = placed(tmp_path)
    for name in {row["file"] for row in rows if row["file"]}:
        assert len({where[row["id"]] for row in rows if row["file"] == name}) == 1
    for part in ("validation", "test"):
        run(
            "leakage",
            tmp_path / "train.jsonl",
            tmp_path / f"{part}.jsonl",
            "--source",
            "file",
            "--out",
            tmp_path / "leaks.jsonl",
            "--fail",
        )
        assert (tmp_path / "leaks.jsonl").read_bytes() == b""


def test_neither_the_order_nor_the_process_changes_a_split(tmp_path: Path) -> None:
    rows = some(120)
    first = write(tmp_path / "a.jsonl", rows)
    random.Random(1).shuffle(rows)
    other = write(tmp_path / "b.jsonl", rows)
    run("split", first, "--out", tmp_path / "a", "--stratify", "response.team")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "curation",
            "split",
            other,
            "--out",
            tmp_path / "b",
            "--stratify",
            "response.team",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": "5"},
    )
    assert placed(tmp_path / "a") == placed(tmp_path / "b")
    run("split", first, "--out", tmp_path / "c", "--seed", "8")
    assert placed(tmp_path / "c") != placed(tmp_path / "a")


def test_with_a_tenth_more_rows_few_move_and_none_with_keep(tmp_path: Path) -> None:
    before = write(tmp_path / "a.jsonl", some(400))
    after = write(tmp_path / "b.jsonl", [*some(40, 400), *some(400)])
    asked = ("--stratify", "response.team")
    run("split", before, "--out", tmp_path / "a", *asked)
    run("split", after, "--out", tmp_path / "b", *asked)
    run("split", after, "--out", tmp_path / "c", *asked, "--keep", tmp_path / "a")
    old, new, kept = (placed(tmp_path / name) for name in "abc")
    assert sum(new[row] != part for row, part in old.items()) <= 0.04 * len(old)
    assert all(kept[row] == part for row, part in old.items())
    counts = Counter(kept.values())
    assert abs(counts["test"] - 0.2 * 440) <= 4.4


def test_what_cannot_be_met_is_said_and_why(tmp_path: Path) -> None:
    rows = [{"id": n, "text": hashlib.sha256(bytes([n])).hexdigest()} for n in range(40)]
    rows += [{"id": f"x{n}", "prompt": "The same.", "response": ""} for n in range(60)]
    told = run("split", write(tmp_path / "in.jsonl", rows), "--out", tmp_path)
    report = json.loads((tmp_path / "split.json").read_text("utf-8"))
    assert (report["groups"]["largest"], report["groups"]["count"]) == (60, 1)
    run("split", tmp_path / "in.jsonl", "--out", tmp_path, "--shares", "0.3,0.3,0.4")
    report = json.loads((tmp_path / "split.json").read_text("utf-8"))
    assert "kept whole, up to 60 of them" in report["cannot"][0]
    assert "Traceback" not in told


def test_rows_without_the_field_are_a_stratum_and_no_rows_are_no_rows(tmp_path: Path) -> None:
    rows = [*some(30), *({"id": f"n{n}", "text": f"{n * 7919}"} for n in range(30))]
    run(
        "split",
        write(tmp_path / "in.jsonl", rows),
        "--out",
        tmp_path,
        "--stratify",
        "response.team,file",
    )
    report = json.loads((tmp_path / "split.json").read_text("utf-8"))
    assert sum(report["strata"]["(missing) · (missing)"]["rows"].values()) == 30
    run("split", write(tmp_path / "none.jsonl", []), "--out", tmp_path, "--stratify", "label")
    assert parts_of(tmp_path) == {part: [] for part in PARTS}


@pytest.mark.parametrize(
    ("content", "words", "why"),
    [
        (b'{"id": 1}\n{"id": 1}\n', [], "in.jsonl, line 2 has an id that stands further up"),
        (b'{"id": 1}\n[1]\n', [], "in.jsonl, line 2 is not a JSON object"),
        (b'{"id": NaN}\n', [], "in.jsonl, line 1: NaN is not a JSON number"),
        (b'{"a": "\xff"}\n', [], "in.jsonl, line 1 is not UTF-8"),
        (b'{"a": 1}\n', ["--stratify", "b"], 'No row of in.jsonl has the field "b".'),
        (b'{"a": 1}\n', ["--group", "b"], 'No row of in.jsonl has the field "b".'),
        (b'{"a": 1}\n', ["--text", "b"], 'in.jsonl, line 1 has nothing under "b".'),
        (b'{"a": 1}\n', ["--shares", "0.5,0.5,0.5"], "must be above 0 and make 1"),
        (b'{"a": 1}\n', ["--threshold", "0.2"], "A threshold of 0.2 cannot be used"),
    ],
)
def test_a_bad_file_or_wish_is_refused_in_a_sentence_and_nothing_written(
    tmp_path: Path, content: bytes, words: list[str], why: str
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(content)
    told = run("split", source, "--out", tmp_path / "out", *words, code=1)
    assert why in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_file_is_never_overwritten_by_its_own_part(tmp_path: Path) -> None:
    source = write(tmp_path / "train.jsonl", some(3))
    assert "would be overwritten" in run("split", source, "--out", tmp_path, code=1)
    told = run("leakage", source, source, "--out", source, code=1)
    assert "one of the files to read" in told
    assert len(source.read_bytes().splitlines()) == 3


def test_planted_leaks_are_found_and_called_by_their_kind(tmp_path: Path) -> None:
    texts = [prompt for prompt, _ in stories.messages(330)]
    texts = [f"{text} Could you look into it before {n} o'clock?" for n, text in enumerate(texts)]
    planted = leaks.planted(texts[120:], texts[:120], 60, seed=11)
    out = tmp_path / "leaks.jsonl"
    told = run(
        "leakage",
        write(tmp_path / "train.jsonl", planted.train),
        write(tmp_path / "test.jsonl", planted.test),
        "--out",
        out,
    )
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    found = {(line["train"], line["test"]): line["how"] for line in lines}
    for kind, how in (("exact", "exact"), ("case", "normalised")):
        assert [found.get(pair) for pair in planted.leaks[kind]] == [how] * 60
    near = [pair in found for kind in ("characters", "words") for pair in planted.leaks[kind]]
    print(f"near-duplicate recall: {sum(near)} of {len(near)}")
    assert sum(near) >= 0.95 * len(near)
    assert "leaks (60 exact" in told
    assert all(0.8 <= line["similarity"] <= 1 for line in lines)


def test_sources_leak_and_fail_exits_with_one(tmp_path: Path) -> None:
    one = write(tmp_path / "a.jsonl", [{"id": "a", "text": "one thing", "doc": 7}])
    two = write(tmp_path / "b.jsonl", [{"id": 1, "text": "quite another matter", "doc": 7}])
    out = tmp_path / "leaks.jsonl"
    run("leakage", one, two, "--out", out, "--fail")
    assert out.read_bytes() == b""
    run("leakage", one, two, "--out", out, "--fail", "--source", "doc", code=1)
    line = json.loads(out.read_text("utf-8"))
    assert (line["train"], line["test"], line["how"]) == ("a", 1, "source")
    told = run("leakage", one, two, "--out", out, "--source", "dok", code=1)
    assert 'has the field "dok"' in told
    nameless = write(tmp_path / "c.jsonl", [{"text": "x"}])
    assert 'line 1 has no "id"' in run("leakage", nameless, two, "--out", out, code=1)
    wordless = write(tmp_path / "d.jsonl", [{"id": 1, "output": "x"}])
    assert "name it with --text" in run("leakage", wordless, two, "--out", out, code=1)


def test_both_start_without_the_database() -> None:
    script = (
        "import sys, curation.commands.on_files_split, curation.exchange.reading.file_split;"
        "sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
