"""Three hundred names made to leave the data folder, at each place that takes a name: whatever
answers, nothing is written outside.
"""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from curation.exchange.reading import child
from curation.exchange.source import DEFAULT, Source, display_name
from curation.versions import packages
from storage import settings
from storage.backups import manifest
from storage.engine import reading
from storage.errors import AssayError, NotFound
from storage.types import Split
from tests.support import stories, tuned
from tests.support.proofs import Proof
from tests.support.traversal import names, watched
from training import asks
from training.lifecycle import incoming
from training.work import jobs

Place = Callable[[str, Path], object]
"""Somewhere that takes a name; the folder is its own, fresh, and everything stays in it."""


def _zip(path: Path, **members: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.split("\0")[0] or ".", content)  # as zipfile cuts names
    return path


def _parsed(path: Path, name: str, folder: Path) -> None:
    work = folder / "work"
    work.mkdir()
    child.parse(Source(path, display_name(name), DEFAULT, work))


def upload(name: str, folder: Path) -> None:
    """A file's own name, as a browser gives it."""
    (folder / "upload").write_text("prompt,response\nWhere?,Here\n")
    _parsed(folder / "upload", name, folder)


def dataset_zip(name: str, folder: Path) -> None:
    """A member of a zipped dataset."""
    members: dict[str, str | bytes] = {
        "state.json": '{"_data_files": [{"filename": "a.arrow"}]}',
        f"{name}.arrow": b"x",
    }
    _parsed(_zip(folder / "d.zip", **members), "d.zip", folder)


def dataset_folder(name: str, folder: Path) -> None:
    """What the description of a dataset names."""
    (folder / "d").mkdir()
    (folder / "d/state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    _parsed(folder / "d", "d", folder)


def adapter_zip(name: str, folder: Path) -> None:
    """A member of a zipped adapter."""
    target = folder / "adapter"
    target.mkdir()
    wanted = dict.fromkeys(("adapter_config.json", "adapter_model.safetensors"), "{}")
    incoming.unpack(_zip(folder / "a.zip", **wanted, **{name: "x"}), target)


def adapter_folder_in_zip(name: str, folder: Path) -> None:
    """The folder in which a zipped adapter lies."""
    target = folder / "adapter"
    target.mkdir()
    wanted = ("adapter_config.json", "adapter_model.safetensors")
    inside = name.replace("\0", "0")
    incoming.unpack(_zip(folder / "a.zip", **{f"{inside}/{file}": "{}" for file in wanted}), target)


def restore(name: str, folder: Path) -> None:
    """A file that the manifest of a backup names."""
    entry = {"sha256": "0" * 64, "size": 1, "modified": 1}
    head = {"at": "2026-01-01T00:00:00+00:00", "purpose": "asked", "revision": "1", "events": 1}
    record = {**head, "head": "0", "files": {"assay.db": entry, name: entry}}
    (folder / manifest.NAME).write_text(json.dumps(record))
    named = [folder / file for file in manifest.read(folder).files]
    assert all(folder in file.resolve().parents for file in named)


PLACES = (upload, dataset_zip, dataset_folder, adapter_zip, adapter_folder_in_zip, restore)


def _outside(place: Place, tmp_path: Path, chosen: list[str]) -> tuple[set[str], int]:
    """What was written outside, and how many names were refused with a sentence."""
    refused = 0
    root = tmp_path / "root"
    with watched(root) as outside:
        for number, name in enumerate(chosen):
            folder = root / str(number)
            folder.mkdir(parents=True)
            try:
                place(name, folder)
            except AssayError:
                refused += 1
    return outside, refused


@pytest.mark.T20
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_no_name_leaves_the_folder(place: Place, tmp_path: Path, proof: Proof) -> None:
    chosen = names()
    outside, refused = _outside(place, tmp_path, chosen)
    assert outside == set()
    proof(names=len(chosen), refused=refused, outside=len(outside))


@pytest.mark.T20
def test_no_run_is_looked_for_outside(engine: Engine, proof: Proof) -> None:
    lead, chosen = stories.person(engine, "lena"), names()
    with watched(settings.current().data) as outside, reading(engine) as session:
        for name in chosen:
            with pytest.raises(NotFound):
                jobs.get(session, name)
            with pytest.raises(NotFound):
                asks.cancel(session, lead, name, settings.current())
    assert outside == set()
    proof(names=len(chosen), refused=len(chosen), outside=0)


@pytest.mark.T20
def test_an_export_is_written_where_it_is_asked_for(
    engine: Engine, tmp_path: Path, proof: Proof
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    story = tuned.frozen(engine, name="../../canary")
    with reading(engine) as session, watched(tmp_path) as outside:
        package = packages.build(session, story.version.id, "chat", tuple(Split))
        for zipped in (True, False):
            packages.write(package, root, zipped=zipped)
    assert outside == set()
    assert "/" not in package.name
    proof(names=1, outside=0)
