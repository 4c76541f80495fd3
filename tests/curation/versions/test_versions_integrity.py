"""A version is the same wherever it is built, and a single changed bit is found."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from curation.versions import archive, canonical, cards, tags, verification, verify_version
from storage.engine import open_engine, reading, writing
from storage.errors import Unavailable
from storage.settings import ROOT
from storage.types import Origin, Project, Split, VersionRow
from tests.support import curated, stories

ROWS, FLIPS = 2000, 1000
_BUILD = """
import json, random, sys
sys.path.insert(0, sys.argv[1])
from curation.versions import canonical
from tests.curation.versions.test_versions_integrity import rows
made = rows(int(sys.argv[2]))
random.Random(int(sys.argv[3])).shuffle(made)
print(json.dumps([canonical.sha256(made), canonical.merkle_root(made)]))
"""


def rows(count: int) -> list[VersionRow]:
    """Rows with all kinds of text, the same in every process."""
    dice = random.Random(7)
    words = [
        "Grüße",
        "e\u0301",
        "\u2028",
        "😀",
        "\u05d0\u05d1",
        "=1+1",
        "line\r\n",
        '"\\',
        "\ufeff",
    ]
    made = []
    for number in range(1, count + 1):
        prompt = " ".join(dice.choices(words, k=5)) + str(number)
        response = json.dumps({"team": dice.choice(words)}, ensure_ascii=False)
        name = verify_version.content_sha256(prompt, response)
        split = dice.choice(list(Split))
        made.append(VersionRow(number, split, prompt, response, name, Origin.IMPORT, number))
    return made


@pytest.mark.parametrize(
    ("seed", "environment"),
    [
        ("1", {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Tokyo"}),
        ("2", {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "0"}),
    ],
)
def test_another_process_with_another_order_gives_the_same_hashes(
    seed: str, environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(ROOT), str(ROWS), seed],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    made = rows(ROWS)
    assert json.loads(done.stdout) == [canonical.sha256(made), canonical.merkle_root(made)]


def test_the_canonical_line_is_the_one_that_is_documented() -> None:
    row = VersionRow(3, Split.TEST, "e\u0301 \u2028", '"', "ab", Origin.GOLD, 3)
    assert (
        canonical.canonical([row])
        == (
            '{"content_sha256":"ab","origin":"gold","pair_id":3,"prompt":"e\u0301 \u2028",'
            '"response":"\\"","split":"test"}\n'
        ).encode()
    )


def test_the_hash_is_that_of_the_first_release() -> None:
    """Computed by Assay 0.1.0 on the same rows: its versions prove themselves today."""
    known = "fe3fb7121ac056008fbe5d23602c02c757a03d269d363d6707834ef3408f59df"
    assert canonical.sha256(rows(50)) == known


def test_the_tree_is_that_of_rfc_6962() -> None:
    """The vectors of the certificate transparency project."""
    data = [
        b"",
        b"\x00",
        b"\x10",
        b" !",
        b"01",
        b"@ABC",
        b"PQRSTUVW",
        b"`abcdefghijklmno",
    ]
    leaves = [verify_version.leaf(one) for one in data]
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for count, root in roots.items():
        assert verify_version.root(leaves[:count]) == root
    for count in range(1, 9):
        for index in range(count):
            way = verify_version.path(leaves[:count], index)
            assert verify_version.climb(leaves[index], way) == verify_version.root(leaves[:count])


@pytest.fixture
def frozen(engine: Engine) -> tuple[Engine, Project]:
    """A project with two versions, rows in other scripts among them."""
    desk = stories.project(engine)
    curated.approved(engine, desk, stories.messages(24))
    curated.frozen(engine, desk)
    curated.approved(engine, desk, [("Grüße, e\u0301 \u202e x", stories.CARDS)])
    curated.frozen(engine, desk, seed=8)
    return engine, desk


def test_a_row_is_proven_to_be_in_a_version_without_the_others(
    frozen: tuple[Engine, Project], tmp_path: Path
) -> None:
    engine, desk = frozen
    with reading(engine) as session:
        newest = archive.listing(session, desk.id)[0]
        proof = json.loads(cards.to_json(archive.inclusion(session, newest.id, 3)))
        root = archive.opened(session, newest.id).merkle_root
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(proof), encoding="utf-8")
    assert verify_version.verify(path, merkle_root=root)[0].startswith("pair 3 is in the version")
    proof["row"]["split"] = "train" if proof["row"]["split"] != "train" else "test"
    path.write_text(json.dumps(proof), encoding="utf-8")
    with pytest.raises(verify_version.DamagedError, match="not in the version of this Merkle root"):
        verify_version.verify(path)


_TABLES = {
    "version": "id, project_id, number, sha256, seed, counts, manifest, created_by, created_at",
    "version_row": "version_id, pair_id, split, prompt, response, content_sha256, origin, group_id",
    "version_proof": "version_id, merkle_root, facts, seal",
    "event": "id, at, actor_id, project_id, verb, noun, noun_id, detail, prev, hash",
}


def _flipped(value: Any, dice: random.Random) -> Any:  # noqa: ANN401 - a cell of any kind
    if isinstance(value, int):
        return value ^ (1 << dice.randrange(16))
    data = bytearray(value.encode())
    bit = dice.randrange(len(data) * 8)
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


Cell = tuple[str, int, str, Any]


def cells(raw: sqlite3.Connection) -> list[Cell]:
    """Every cell that is not empty: table, row id, column, value."""
    found = []
    for table, columns in _TABLES.items():
        for rowid, *values in raw.execute(f"SELECT rowid, {columns} FROM {table}"):  # noqa: S608
            for name, value in zip(columns.split(", "), values, strict=True):
                if value is not None and value != "":
                    found.append((table, rowid, name, value))
    return found


@dataclass(frozen=True)
class Flip:
    """One cell with one bit changed."""

    table: str
    rowid: int
    column: str
    value: Any
    changed: Any

    @property
    def key(self) -> str:
        """What finds the row once its cell is changed."""
        moved = self.column in ("id", "version_id") and self.table != "version_row"
        return self.column if moved else "rowid"


def flip(raw: sqlite3.Connection, cells: list[Cell], dice: random.Random) -> Flip:
    """Change one bit of one cell; the database may refuse some (a key, an unknown word)."""
    while True:
        table, rowid, column, value = dice.choice(cells)
        done = Flip(table, rowid, column, value, _flipped(value, dice))
        kind = "?" if isinstance(done.changed, int) else "CAST(? AS TEXT)"
        try:
            raw.execute(
                f"UPDATE {table} SET {column} = {kind} WHERE rowid = ?",  # noqa: S608
                (done.changed, rowid),
            )
        except sqlite3.IntegrityError:
            continue
        return done


def unflip(raw: sqlite3.Connection, done: Flip) -> None:
    """Put the bit back."""
    raw.execute(
        f"UPDATE {done.table} SET {done.column} = ? WHERE {done.key} = ?",  # noqa: S608
        (done.value, done.changed if done.key == done.column else done.rowid),
    )


@contextmanager
def unguarded(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a database whose guards were taken away."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        names = raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in names:
            raw.execute(f"DROP TRIGGER {name}")
        yield raw


def test_any_bit_that_flips_in_what_is_frozen_or_logged_is_found(
    frozen: tuple[Engine, Project], tmp_path: Path
) -> None:
    engine, _ = frozen
    engine.dispose()
    copy = tmp_path / "copy.db"
    shutil.copy(str(engine.url.database), copy)
    other = open_engine(copy)
    with reading(other) as session:
        assert verification.everything(session).problems == ()
    dice, missed = random.Random(30), []
    with unguarded(copy) as raw:
        known = cells(raw)
        for _ in range(FLIPS):
            done = flip(raw, known, dice)
            with reading(other) as session:
                if not verification.everything(session).problems:
                    missed.append(done)
            unflip(raw, done)
    other.dispose()
    assert missed == []


def test_a_version_of_the_first_release_still_proves_itself(
    frozen: tuple[Engine, Project],
) -> None:
    """Assay 0.1.0 wrote no seal: its version is proven by rows and sha256 alone."""
    engine, desk = frozen
    with reading(engine) as session:
        known = archive.listing(session, desk.id)
    with unguarded(Path(str(engine.url.database))) as raw:
        raw.execute("DELETE FROM version_proof")
        with (
            reading(engine) as session,
            pytest.raises(Unavailable, match="no longer has the pairs"),
        ):
            archive.verify(session, known[0].id)
        raw.execute("DELETE FROM event WHERE verb = 'freeze'")  # 0.1.0 logged no seal
    with reading(engine) as session:
        opened = archive.opened(session, known[0].id)
    assert (opened.version, opened.seal, opened.facts) == (known[0], None, None)


def test_every_use_of_frozen_rows_goes_through_the_one_door() -> None:
    """Whatever reads the table itself would not prove the rows first."""
    readers = {
        str(path.relative_to(ROOT))
        for folder in ("curation", "training", "pages")
        for path in (ROOT / folder).rglob("*.py")
        if "MemberRow" in path.read_text(encoding="utf-8")
    }
    assert readers == {
        "curation/versions/archive.py",
        "curation/versions/changes.py",  # counts what differs, for a page that proves beside it
        "training/lifecycle/standing.py",  # looks for old wording; a promotion proves beside it
        "curation/versions/certificate.py",  # counts scans of member rows, reads no text
        "curation/versions/freezing.py",  # writes them
        "curation/versions/long_freezing.py",  # writes them, and proves them
        "curation/overlap/ledger.py",  # asks what was ever a test row
        "curation/review/decisions.py",  # asks whether a row is in any version
    }


@pytest.mark.parametrize("table", ["version_proof", "version_tag"])
def test_seals_and_names_are_never_changed_deleted_or_replaced(
    frozen: tuple[Engine, Project], table: str
) -> None:
    engine, desk = frozen
    with writing(engine) as session:
        newest = archive.listing(session, desk.id)[0]
        tags.tag(session, curated.ana(engine), newest.id, "pilot")
    with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as raw:
        before = raw.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
        column = raw.execute(f"PRAGMA table_info({table})").fetchall()[-1][1]
        for statement, why in (
            (f"UPDATE {table} SET {column} = {column}", "is insert-only"),  # noqa: S608
            (f"DELETE FROM {table}", "is insert-only"),  # noqa: S608
            (f"REPLACE INTO {table} SELECT * FROM {table}", "has this row already"),  # noqa: S608
        ):
            with pytest.raises(sqlite3.IntegrityError, match=why):
                raw.execute(statement)
        assert before
        assert raw.execute(f"SELECT * FROM {table}").fetchall() == before  # noqa: S608


def test_a_log_that_tells_of_another_version_is_a_problem(
    frozen: tuple[Engine, Project],
) -> None:
    """Rows, hashes and seal rewritten together are found by the log of the freezing."""
    engine, desk = frozen
    with reading(engine) as session:
        older, newer = sorted(archive.listing(session, desk.id), key=lambda one: one.number)
    with unguarded(Path(str(engine.url.database))) as raw:
        raw.execute("DELETE FROM version_row WHERE version_id = ?", (newer.id,))
        raw.execute("DELETE FROM version_proof WHERE version_id = ?", (newer.id,))
        raw.execute("DELETE FROM version WHERE id = ?", (newer.id,))
    with reading(engine) as session:
        assert verification.everything(session).problems == (
            f"Version with id {newer.id} is gone.",
        )
        assert archive.verify(session, older.id) == older
