"""Exports: every format goes out and comes back unchanged, and damage to one is found."""

import hashlib
import io
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import Engine

from curation.exchange import columns, files, incoming
from curation.exchange.reading.child import parse
from curation.exchange.source import Source
from curation.review import claims, decisions
from curation.versions import archive, canonical, packages, tags, verify_version
from curation.versions.layout import ExportRow
from curation.versions.layouts import LAYOUTS
from storage.blank import trim
from storage.engine import reading, writing
from storage.errors import BadInput, RuleBroken
from storage.types import Origin, Project, Split, Version
from tests.curation.versions.test_layouts import PAYLOADS, STARTS
from tests.support import copies, curated, stories

TEXTS = [name for name in LAYOUTS if name in verify_version.READERS]
NASTY = [
    "=1+1",
    "'=1+1",
    "'",
    "''x",
    "@x",
    "a\r\nb",
    "a\rb",
    "\ufeffa",
    "a\u2028b\u2029c\x85d",
    "👩‍👩‍👧 😀",
    "\u202e\u05e9\u05dc\u05d5\u05dd",
    "e\u0301 \u1e9b\u0323",
    " a ",
    "\ta",
    "a\n",
    "\u3000a",
    "\u00a0a",
    '"',
    '""',
    "a,b;c\td|e",
    "\\n",
    "\\u2028",
    "_x000D_",
    "x" * 40_000,
    "\x01\x7f",
    "[]",
    "null",
    "0123",
    "1e5",
    "TRUE",
    "2024-01-01",
    '[{"role": "user", "content": "x"}]',
    "\ue000\ufdd0",
    "NaN",
    "<b>&amp;",
]
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXT = (st.sampled_from(NASTY) | st.text(CHARACTERS, min_size=1, max_size=60)).filter(
    lambda text: bool(trim(text))
)
ROWS = st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=6)


@pytest.fixture
def story(engine: Engine) -> tuple[Engine, Project, Version]:
    """A frozen version in which a person corrected three outputs, scanned as they arrived."""
    return engine, *copies.once(engine, lambda: _story(engine), "packages")


def _story(engine: Engine) -> tuple[Project, Version]:
    desk = stories.project(engine)
    fresh = stories.waiting(engine, desk, stories.messages(30), Origin.DRAFT)
    curated.scanned(engine, desk, {fresh[2].id: [("prompt", "Ticket", "PERSON")]})
    ana = curated.ana(engine)
    with writing(engine) as session:
        for card in claims.lease(session, ana, desk.id, limit=100, now=curated.LONG_AGO):
            corrected = card.pair.id in {fresh[0].id, fresh[1].id, fresh[2].id}
            words = stories.FRAUD
            decisions.decide(session, ana, stories.op(card, response=words if corrected else None))
    return desk, curated.frozen(engine, desk)


def built(
    engine: Engine, version: Version, layout: str = "chat", splits: Sequence[Split] = tuple(Split)
) -> packages.Package:
    """The export of a version."""
    with reading(engine) as session:
        return packages.build(session, version.id, layout, splits)


def manifest(package: packages.Package) -> dict[str, object]:
    """The manifest of an export."""
    found: dict[str, object] = json.loads(package.files["manifest.json"])
    return found


def wrapped(layout: str, rows: Sequence[ExportRow], system: str) -> bytes:
    """Any rows as the zip of an export, without a version in a database."""
    written = LAYOUTS[layout].write({Split.TRAIN: rows}, system)
    lines, index = [], b""
    for row in rows:
        full = {
            "content_sha256": verify_version.content_sha256(row.prompt, row.response),
            "origin": row.origin,
            "pair_id": row.pair_id,
            "prompt": row.prompt,
            "response": row.response,
            "split": "train",
        }
        lines.append(verify_version.line(full))
        leaf = verify_version.leaf(lines[-1])
        told = {"leaf": leaf.hex(), "origin": row.origin, "pair_id": row.pair_id, "split": "train"}
        index += verify_version.compact(told).encode() + b"\n"
    inside = {**written.files, "index.jsonl": index}
    whole = {
        "format": layout,
        "data": written.data,
        "exported": {"train": len(rows)},
        "version": {
            "number": 1,
            "sha256": hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest(),
            "merkle_root": verify_version.root([verify_version.leaf(line) for line in lines]),
        },
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest()}
            for name, content in inside.items()
        },
    }
    return verify_version.zipped({**inside, "manifest.json": verify_version.manifest_bytes(whole)})


def back(content: bytes, folder: Path) -> list[tuple[str, str]]:
    """The pairs that importing a zip gives."""
    path, work = folder / "export.zip", folder / "work"
    path.write_bytes(content)
    work.mkdir()
    table = parse(Source(path, "export.zip", work=work))
    preview = incoming.apply(table, columns.suggest(table), "")
    return [(row.prompt, row.response) for row in preview.take("export.zip")]


@pytest.mark.parametrize("layout", list(LAYOUTS))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, system=TEXT | st.just(""))
def test_every_format_comes_back_character_by_character(
    tmp_path_factory: pytest.TempPathFactory,
    layout: str,
    rows: list[tuple[str, str, str]],
    system: str,
) -> None:
    made = [ExportRow(i, "gold", *row) for i, row in enumerate(rows, 1)]
    try:
        LAYOUTS[layout].check({Split.TRAIN: made}, system)
    except BadInput:
        assert layout == "xlsx"
        return
    content = wrapped(layout, made, system)
    assert content == wrapped(layout, made, system)
    verify_version.check(verify_version.read(saved(tmp_path_factory.mktemp("v"), content)))
    assert back(content, tmp_path_factory.mktemp("b")) == [(p, r) for p, r, _ in rows]


def saved(folder: Path, content: bytes) -> Path:
    """The bytes as a file."""
    path = folder / "export.zip"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_an_export_is_whole_the_same_each_time_and_read_in_the_child(
    story: tuple[Engine, Project, Version], tmp_path: Path, layout: str
) -> None:
    engine, _, version = story
    package = built(engine, version, layout)
    assert package.zipped() == built(engine, version, layout).zipped()
    done = verify_version.verify(saved(tmp_path, package.zipped()), version.sha256)
    assert f"sha256 {version.sha256}" in done
    if layout in TEXTS and layout != "preference":
        assert "together they give the sha256 of the version" in done
    table = files.read(tmp_path / "export.zip", "export.zip")
    assert (table.kind, table.layout, len(table.rows)) == ("Assay export", layout, package.rows)
    told = any("held out for testing" in note for note in table.notes)
    assert told == bool(manifest(package)["exported"]["test"])  # type: ignore[index]
    folder = packages.write(package, tmp_path, zipped=False)
    assert len(files.read(folder, "folder").rows) == package.rows


def test_the_verifier_runs_alone_beside_the_files(
    story: tuple[Engine, Project, Version], tmp_path: Path
) -> None:
    engine, _, version = story
    folder = packages.write(built(engine, version), tmp_path, zipped=False)
    alone = [sys.executable, "-I", "-S", "verify.py", "--sha256", version.sha256]
    done = subprocess.run(alone, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Intact.")
    (folder / "data" / "train.jsonl").write_bytes(b"")
    done = subprocess.run(alone, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, "data/train.jsonl" in done.stderr) == (1, True)


@pytest.mark.parametrize(("layout", "count"), [("chat", 500), ("csv", 250), ("parquet", 250)])
def test_any_bit_that_flips_in_an_export_is_found(
    story: tuple[Engine, Project, Version], tmp_path: Path, layout: str, count: int
) -> None:
    engine, _, version = story
    content = built(engine, version, layout).zipped()
    path, dice, missed = tmp_path / "export.zip", random.Random(7), []
    for _ in range(count):
        bit = dice.randrange(len(content) * 8)
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            verify_version.verify(path)
        except verify_version.DamagedError:
            continue
        missed.append(bit)
    assert missed == []


def test_a_row_that_was_swapped_for_another_is_found_even_if_all_file_hashes_are_new(
    story: tuple[Engine, Project, Version],
) -> None:
    engine, _, version = story
    inside = dict(built(engine, version).files)
    inside["data/train.jsonl"] = inside["data/train.jsonl"].replace(b"Ticket", b"Ticked", 1)
    known = json.loads(inside["manifest.json"])
    known["files"]["data/train.jsonl"]["sha256"] = hashlib.sha256(
        inside["data/train.jsonl"]
    ).hexdigest()
    inside["manifest.json"] = verify_version.manifest_bytes(known)
    with pytest.raises(verify_version.DamagedError, match=r"row 1 of data/train\.jsonl is not"):
        verify_version.check(inside)


def test_a_damaged_export_is_not_imported(
    story: tuple[Engine, Project, Version], tmp_path: Path
) -> None:
    engine, _, version = story
    inside = dict(built(engine, version).files)
    inside["data/train.jsonl"] = inside["data/train.jsonl"].replace(b"Ticket", b"Ticked", 1)
    path = saved(tmp_path, verify_version.zipped(inside))
    with pytest.raises(BadInput, match=r"damaged export: data/train\.jsonl is not the file"):
        files.read(path, "export.zip")


def test_test_rows_stay_at_home_unless_they_are_asked_for(
    story: tuple[Engine, Project, Version],
) -> None:
    engine, _, version = story
    with reading(engine) as session:
        held = [row.prompt for row in archive.rows(session, version.id, Split.TEST)]
        package = packages.build(session, version.id, "chat")
    everything = b"".join(package.files.values()).decode()
    assert held
    assert not any(prompt in everything for prompt in held)
    assert manifest(package)["exported"] == {
        split: version.counts[split] for split in ("train", "validation")
    }
    with reading(engine) as session, pytest.raises(BadInput, match="at least one split"):
        packages.build(session, version.id, "chat", [])


def test_preference_pairs_come_from_corrections_whose_first_text_was_clean(
    story: tuple[Engine, Project, Version],
) -> None:
    engine, _, version = story
    package = built(engine, version, "preference")
    lines = b"".join(c for n, c in package.files.items() if n.startswith("data/")).splitlines()
    first = {row[0]: row[1] for row in stories.messages(30)}
    for line in map(json.loads, lines):
        asked = line["prompt"][-1]["content"]
        assert line["chosen"] == [{"role": "assistant", "content": stories.FRAUD}]
        assert line["rejected"] == [{"role": "assistant", "content": first[asked]}]
    assert package.rows == len(lines) == 2
    assert "2 of 30 pairs make a preference pair" in package.left_out
    assert "in 1 the first output was never scanned" in package.left_out


def test_a_version_without_corrections_says_why_there_is_no_preference_pair(
    engine: Engine,
) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 20)
    version = curated.frozen(engine, desk)
    with pytest.raises(RuleBroken, match="0 of 20 pairs make a preference pair"):
        built(engine, version, "preference")


def test_no_cell_of_a_workbook_is_a_formula() -> None:
    texts = [text for text in PAYLOADS if "\r" not in text]
    rows = [ExportRow(i, "gold", text, text) for i, text in enumerate(texts, 1)]
    LAYOUTS["xlsx"].check({Split.TRAIN: rows}, "=system")
    written = LAYOUTS["xlsx"].write({Split.TRAIN: rows}, "=system")
    book = openpyxl.load_workbook(io.BytesIO(written.files["data/train.xlsx"]))
    filled = [cell for row in book.active.iter_rows() for cell in row if cell.value]
    assert {cell.data_type for cell in filled} <= {"s", "inlineStr"}
    assert not any(str(cell.value)[:1] in STARTS for cell in filled)
    marks = [row[-1].value for row in book.active.iter_rows(min_row=2)]
    assert sum(written.escapes.values()) == sum(len(json.loads(mark)) for mark in marks)


@pytest.mark.parametrize("text", ["a\rb", "\x01", "_x000D_", "x" * 32_768])
def test_a_row_that_no_workbook_keeps_is_refused_by_its_number(text: str) -> None:
    with pytest.raises(BadInput, match=r"Pair 5 has .* Choose another format\."):
        LAYOUTS["xlsx"].check({Split.TRAIN: [ExportRow(5, "gold", text, "x")]}, "")


@pytest.mark.usefixtures("model_code")
def test_a_saved_dataset_is_read_by_datasets_itself(
    story: tuple[Engine, Project, Version], tmp_path: Path
) -> None:
    engine, _, version = story
    folder = packages.write(built(engine, version, "datasets"), tmp_path, zipped=False)
    alone = {"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    script = (
        "import sys, json, datasets; d = datasets.load_from_disk(sys.argv[1]); "
        "print(json.dumps([{k: len(v) for k, v in d.items()}, d['train'][0], "
        "str(d['train'].features['messages'])]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder / "data")],
        capture_output=True,
        text=True,
        check=True,
        env=alone,
    )
    counts, row, features = json.loads(done.stdout.splitlines()[-1])
    assert counts == version.counts
    assert [one["role"] for one in row["messages"]] == ["system", "user", "assistant"]
    assert "List" in features


def test_large_downloads_of_two_people_in_one_minute_are_never_mixed_up() -> None:
    """Streamlit names a large file by its length, its ends and its file name only."""
    from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

    storage = MemoryMediaFileStorage("/media")
    kept = {}
    for user in range(200):
        rows = [ExportRow(1, "gold", "a", "x" * 300_000 + f"{user:05}" + "y" * 900_000)]
        content = wrapped("chat", rows, "")
        name = f"version-1-chat-{hashlib.sha256(content).hexdigest()[:16]}.zip"
        kept[user] = (storage.load_and_get_id(content, "application/zip", None, name), content)  # type: ignore[arg-type]
    for file_id, content in kept.values():
        assert storage.get_file(file_id).content == content


def test_exports_of_different_content_never_have_one_name(
    story: tuple[Engine, Project, Version],
) -> None:
    engine, desk, version = story
    other = stories.project(engine, "Other")
    curated.approved(engine, other, stories.messages(30, start=900))
    second = curated.frozen(engine, other)
    names = {
        built(engine, one, layout, splits).name
        for one in (version, second)
        for layout in ("chat", "csv")
        for splits in (tuple(Split), packages.TO_TRAIN, (Split.TEST,))
    }
    assert len(names) == 12
    before = built(engine, version).name
    with writing(engine) as session:
        tags.tag(session, curated.ana(engine), version.id, "pilot")
    assert built(engine, version).name != before
    assert desk.id != other.id


def test_writing_is_whole_or_not_at_all(
    story: tuple[Engine, Project, Version], tmp_path: Path
) -> None:
    engine, _, version = story
    package = built(engine, version)
    packages.write(package, tmp_path, zipped=True)
    with pytest.raises(BadInput, match="is there already"):
        packages.write(package, tmp_path, zipped=True)
    with pytest.raises(BadInput, match="There is no folder"):
        packages.write(package, tmp_path / "missing", zipped=True)
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == [f"{package.name}.zip"]
    with zipfile.ZipFile(tmp_path / f"{package.name}.zip") as archive:
        assert set(archive.namelist()) == set(package.files)


def test_a_nul_goes_out_and_is_refused_on_the_way_in(tmp_path: Path) -> None:
    content = wrapped("chat", [ExportRow(1, "gold", "a\0b", "x")], "")
    verify_version.check(verify_version.read(saved(tmp_path, content)))
    with pytest.raises(BadInput, match="NUL"):
        back(content, tmp_path)


def test_the_canonical_order_does_not_depend_on_the_order_of_rows(
    story: tuple[Engine, Project, Version],
) -> None:
    engine, _, version = story
    with reading(engine) as session:
        rows = archive.rows(session, version.id)
    assert canonical.sha256(rows[::-1]) == version.sha256
