"""Near-duplicates in a file: exactly what comparing every row with every other would find."""

import json
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from typer.testing import CliRunner

from curation.__main__ import app
from curation.overlap.near import jaccard_join, shingles
from storage.settings import ROOT
from tests.support.patience import until

Found = dict[tuple[int, int], float]
Row = dict[str, Any]
ODD = "aAzZ09_ \t\n.,'-\x00\x1c\x85éÉßİıΣσςāä̈ﬁª²½٣๓请问银行。？ｆ　👍\u200b\u2028"  # noqa: RUF001 - look-alikes are the point
PIECES = ["a", "b", "cc", "é", "银", "d9", "ÀÁ", "x_y"]
TEXTS = st.one_of(
    st.text(st.sampled_from(ODD), max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join),
    st.text(max_size=30),
)


def cut(text: str, shingle: str) -> set[Any]:
    """The set of a row as the documentation has it, one row at a time."""
    if shingle == "word3":
        parts: Sequence[str] = re.findall(r"\w+", text)
        size = 3
    else:
        parts, size = " ".join(text.split()), 5
    runs = {tuple(parts[at : at + size]) for at in range(max(1, len(parts) - size + 1))}
    return runs if parts else set()


def by_hand(texts: Sequence[str], threshold: float, shingle: str = "word3") -> Found:
    """Every row against every other."""
    sets = [cut(text, shingle) for text in texts]
    found = {}
    for (a, one), (b, other) in combinations(enumerate(sets), 2):
        if one and other and len(one & other) / len(one | other) >= threshold:
            found[a, b] = len(one & other) / len(one | other)
    return found


def joined(texts: Iterable[str], threshold: float, shingle: str = "word3") -> Found:
    """The same by the engine; a pair reported twice fails."""
    collapsed = (text if shingle == "word3" else " ".join(text.split()) for text in texts)
    made = {"word3": shingles.terms, "char5": shingles.characters}[shingle](collapsed)
    rows = list(jaccard_join.row_pairs(jaccard_join.sets(made, threshold), threshold))
    found = {(a, b): similarity for a, b, similarity in rows}
    assert len(found) == len(rows)
    return found


def edited(seed: int, count: int, words: int, longest: int) -> list[str]:
    """Rows of which most differ in a word or two from an earlier one."""
    dice = random.Random(seed)
    rows: list[list[str]] = []
    for _ in range(count):
        if rows and dice.random() < 0.6:
            row = list(dice.choice(rows))
            if row and dice.random() < 0.8:
                row[dice.randrange(len(row))] = str(dice.randrange(words))
        else:
            row = [str(dice.randrange(words)) for _ in range(dice.randint(0, longest))]
        rows.append(row)
    return [" ".join(row) for row in rows]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(TEXTS, max_size=12),
    st.sampled_from([0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9, 1.0]),
    st.sampled_from(["word3", "char5"]),
)
def test_any_texts_give_what_comparing_all_gives(
    texts: list[str], threshold: float, shingle: str
) -> None:
    texts = [text.lower() for text in texts + texts[:2] + [text + "x" for text in texts[:3]]]
    assert joined(texts, threshold, shingle) == by_hand(texts, threshold, shingle)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([3, 30, 300]), st.sampled_from([5, 12, 60]))
def test_rows_made_of_each_other_give_what_comparing_all_gives(
    seed: int, words: int, longest: int
) -> None:
    texts = edited(seed, 80, words, longest)
    threshold = random.Random(seed).choice([0.5, 0.7, 0.8, 0.95])
    assert joined(texts, threshold) == by_hand(texts, threshold)


def test_work_in_many_blocks_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = edited(3, 400, 40, 40)
    wanted = by_hand(texts, 0.6)
    assert len(wanted) > 200
    monkeypatch.setattr(jaccard_join, "_AT_ONCE", 64)
    monkeypatch.setattr(jaccard_join, "_TABLE_STEP", 128)
    monkeypatch.setattr(shingles, "_CHUNK", 100)
    assert joined(texts, 0.6) == wanted


def test_sets_with_equal_sums_are_not_taken_for_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = edited(5, 60, 8, 12)
    wanted = by_hand(texts, 0.5)
    real = jaccard_join._collapsed
    monkeypatch.setattr(
        jaccard_join,
        "_collapsed",
        lambda keys, sizes, sums, rows: real(keys, sizes, sums * 0, rows),
    )
    assert joined(texts, 0.5) == wanted


def test_a_shingle_in_more_rows_than_two_bytes_count_is_not_taken_for_rare() -> None:
    flat = np.full(2**16 + 1, 2**63, np.uint64)
    assert set(jaccard_join._Ranks.of([flat]).of_hashes(flat).tolist()) == {15}


def test_words_longer_than_what_is_hashed_at_once() -> None:
    long = "x" * 200
    texts = [f"{long}{end} b c d" for end in ("1", "2", "1")] + [f"1{long} b c d"]
    assert joined(texts, 0.5) == by_hand(texts, 0.5) == {(0, 2): 1.0}


def test_groups_are_rows_that_hang_together() -> None:
    texts = edited(9, 200, 50, 30)
    found = jaccard_join.sets(shingles.terms(texts))
    together = jaccard_join.Together(found)
    pairs = list(jaccard_join.row_pairs(found, 0.7, together))
    groups = together.groups()
    place = {row: at for at, group in enumerate(groups) for row in group}
    assert set(place) == {row for a, b, _ in pairs for row in (a, b)}
    assert all(place[a] == place[b] for a, b, _ in pairs)
    for at, group in enumerate(groups):
        assert sum(place[a] == at for a, _, _ in pairs) >= len(group) - 1


# --- the command


def written(path: Path, rows: Iterable[Row]) -> Path:
    """The rows as a file."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def lines(path: Path) -> list[Any]:
    """What a file of JSON lines holds."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(*arguments: str | Path) -> tuple[int, str]:
    """Exit status of the command and what it said."""
    done = CliRunner().invoke(app, ["duplicates", *map(str, arguments)])
    return done.exit_code, done.stderr


ROWS: list[Row] = [
    {"id": 1, "prompt": "Where is my card?", "response": "It is on its way to you."},
    {"id": "1", "prompt": "where IS my card", "response": "It is on its way to you!", "x": [1]},
    {"id": "ä", "prompt": "请问我的银行卡什么时候到", "response": "明天"},
    {"id": 4, "prompt": "请问我的银行卡什么时候到?", "response": "明天"},
    {"id": 5, "prompt": "", "response": ""},
    {"id": 6, "prompt": " ", "response": ""},
]


@pytest.mark.parametrize("shingle", ["word3", "char5"])
def test_ids_stay_as_they_are_and_pairs_are_exact(tmp_path: Path, shingle: str) -> None:
    source, out, groups = written(tmp_path / "in.jsonl", ROWS), tmp_path / "o", tmp_path / "g"
    assert (
        run(source, "--out", out, "--threshold", "0.5", "--shingle", shingle, "--groups", groups)[0]
        == 0
    )
    texts = [f"{row['prompt']}\n{row['response']}".lower() for row in ROWS]
    wanted = [
        {"a": ROWS[a]["id"], "b": ROWS[b]["id"], "similarity": similarity}
        for (a, b), similarity in by_hand(texts, 0.5, shingle).items()
    ]
    assert sorted(lines(out), key=str) == sorted(wanted, key=str)
    assert {"a": 1, "b": "1", "similarity": 1.0} in wanted or shingle == "char5"
    assert lines(groups) == [{"ids": [1, "1"]}, {"ids": ["ä", 4]}]


def test_an_empty_file_has_no_pairs(tmp_path: Path) -> None:
    source, out = written(tmp_path / "in.jsonl", []), tmp_path / "out.jsonl"
    code, said = run(source, "--out", out)
    assert (code, out.read_bytes()) == (0, b"")
    assert "0 rows, 0 pairs" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"id": 1, "prompt": "a", "response": "b"}\n{"id": 2,\n', "in.jsonl, line 2: "),
        (b'\n{"id": 1, "prompt": "a"}\n', 'line 2 has no text under "response"'),
        (b'{"id": 1, "prompt": 3, "response": "b"}\n', 'line 1 has no text under "prompt"'),
        (b'{"prompt": "a", "response": "b"}\n', 'line 1 has no "id"'),
        (b'{"id": true, "prompt": "a", "response": "b"}\n', 'line 1 has no "id"'),
        (b'{"id": 1.5, "prompt": "a", "response": "b"}\n', 'line 1 has no "id"'),
        (b'{"id": 1, "prompt": "\xff", "response": "b"}\n', "line 1 is not UTF-8"),
        (b'{"id": 1, "prompt": "\\ud800", "response": "b"}\n', "surrogate"),
        (b"[1]\n", "line 1 is not a JSON object"),
        (b'{"id": 1, "prompt": "a", "response": "b"}\n' * 2, "line 2 has an id that stands"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(
    tmp_path: Path, content: bytes, said: str
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(content)
    code, words = run(source, "--out", out)
    assert code == 1
    assert said in words
    assert words.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == [source]


def test_paths_and_thresholds_that_cannot_be_are_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "in.jsonl", ROWS)
    before = source.read_bytes()
    refused = {
        (source, "--out", source): "Two of the files are the same",
        (source, "--out", tmp_path / "o", "--groups", tmp_path / "o"): "Two of the files",
        (source, "--out", tmp_path / "no" / "o"): "cannot be written",
        (source, "--out", tmp_path): "cannot be written",
        (tmp_path / "none", "--out", tmp_path / "o"): "cannot be read",
        (source, "--out", tmp_path / "o", "--threshold", "0.49"): "cannot be used: give 0.5 to 1",
        (source, "--out", tmp_path / "o", "--method", "minhash", "--threshold", "0.7"): "0.8 to 1",
        (source, "--out", tmp_path / "o", "--threshold", "nan"): "cannot be used: give 0.5 to 1",
    }
    for arguments, said in refused.items():
        code, words = run(*arguments)
        assert (code, said in words) == (1, True), words
    assert source.read_bytes() == before
    assert list(tmp_path.iterdir()) == [source]


def test_minhash_finds_the_same_pairs_by_another_way(tmp_path: Path) -> None:
    texts = edited(seed=5, count=1_200, words=4_000, longest=40)
    rows = [{"id": n, "prompt": text, "response": ""} for n, text in enumerate(texts)]
    source, found = written(tmp_path / "in.jsonl", rows), {}
    for method in ("exact", "minhash"):
        out = tmp_path / f"{method}.jsonl"
        assert run(source, "--out", out, "--method", method)[0] == 0
        found[method] = set(out.read_text().splitlines())
    assert len(found["exact"]) > 400
    assert found["minhash"] <= found["exact"]
    assert len(found["minhash"]) >= 0.999 * len(found["exact"])


def test_killed_in_the_middle_it_leaves_the_file_of_before(tmp_path: Path) -> None:
    # 4,000 copies are eight million pairs: it is still writing when it is stopped.
    rows = ({"id": n, "prompt": "the same words", "response": "again"} for n in range(4_000))
    source, out = written(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    out.write_text("as it was")
    running = subprocess.Popen(
        [sys.executable, "-m", "curation", "duplicates", str(source), "--out", str(out)], cwd=ROOT
    )
    until(lambda: any(path.stat().st_size for path in tmp_path.glob(".out.jsonl.*")))
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert out.read_text() == "as it was"


def test_it_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    source = written(tmp_path / "in.jsonl", ROWS)
    arguments = ["duplicates", str(source), "--out", str(tmp_path / "out.jsonl")]
    script = (
        "import sys; from curation.__main__ import app; "
        f"app({arguments!r}, standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"sqlalchemy", "pandas", "scipy", "datasketch", "rich.progress", "numpy.ma"}
    assert heavy & set(done.stdout.split()) == set()
