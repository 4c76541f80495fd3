"""Checkpoints as files: whole or not there, rotated after the new one verified, never trusted."""

import errno
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from msgspec import structs

from storage.errors import RuleBroken, Unavailable
from training.tuning import checkpoints

RUN = checkpoints.RunIdentity(
    rows_sha256="a", settings={"r": 8}, base_sha256="b", libraries={"torch": "2"}
)


def _write(directory: Path, *steps: int) -> None:
    for step in steps:
        with checkpoints.writing(directory, step, RUN) as folder:
            (folder / "adapter_model.safetensors").write_bytes(b"w" * (100 + step))
            (folder / "optimizer.pt").write_bytes(b"o" * 200)


def _newest(directory: Path) -> checkpoints.Checkpoint:
    found, _refused = checkpoints.newest(directory)
    assert found is not None
    return found


def test_the_last_two_are_kept_and_verify(tmp_path: Path) -> None:
    _write(tmp_path, 10, 20, 30)
    assert [one.step for one in checkpoints.recorded(tmp_path)] == [30, 20]
    folders = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert folders == ["checkpoint-20", "checkpoint-30"]
    assert checkpoints.verify(_newest(tmp_path)).run == RUN


def _cut(folder: Path) -> None:
    (folder / "optimizer.pt").write_bytes(b"o" * 199)


def _flip(folder: Path) -> None:
    (folder / "optimizer.pt").write_bytes(b"x" + b"o" * 199)


def _drop(folder: Path) -> None:
    (folder / "optimizer.pt").unlink()


def _add(folder: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(b"a pickle")


def _link(folder: Path) -> None:
    shutil.copy(folder / "optimizer.pt", folder.parent.parent / "elsewhere")
    (folder / "optimizer.pt").unlink()
    (folder / "optimizer.pt").symlink_to(folder.parent.parent / "elsewhere")


def _forge(folder: Path) -> None:
    """Another file, and a manifest that fits it: only the record beside the folder tells."""
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    _flip(folder)
    forged = hashlib.sha256((folder / "optimizer.pt").read_bytes()).hexdigest()
    manifest["files"]["optimizer.pt"]["sha256"] = forged
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))


def _no_manifest(folder: Path) -> None:
    (folder / "MANIFEST.json").unlink()


@pytest.mark.parametrize("harm", [_cut, _flip, _drop, _add, _link, _forge, _no_manifest, None])
def test_a_damaged_one_is_passed_over_for_the_one_before(tmp_path: Path, harm: object) -> None:
    _write(tmp_path, 10, 20)
    folder = tmp_path / "checkpoints" / "checkpoint-20"
    if callable(harm):
        harm(folder)
    else:
        shutil.rmtree(folder)
    found, refused = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.step == 10
    assert [one.step for one in refused] == [20]
    assert "checkpoint 20" in refused[0].why.lower()


def test_a_folder_that_nobody_recorded_is_no_checkpoint(tmp_path: Path) -> None:
    _write(tmp_path, 10)
    folder = tmp_path / "checkpoints"
    shutil.copytree(folder / "checkpoint-10", folder / "checkpoint-99")
    assert _newest(tmp_path).step == 10
    checkpoints.tidy(tmp_path, keep=True)
    assert [path.name for path in folder.iterdir()] == ["checkpoint-10"]


def test_a_write_that_fails_leaves_the_last_one_as_it_was(tmp_path: Path) -> None:
    _write(tmp_path, 10, 20)

    def breaks() -> None:
        with checkpoints.writing(tmp_path, 30, RUN) as folder:
            (folder / "half").write_bytes(b"x")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        breaks()
    assert [one.step for one in checkpoints.recorded(tmp_path)] == [20, 10]
    assert _newest(tmp_path).step == 20
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_too_little_room_is_known_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, 10)
    size = _newest(tmp_path).size
    usage = shutil.disk_usage(tmp_path)._replace(free=2 * size - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(OSError, match="0 MB are free and a checkpoint asks for 1 MB") as refused:
        _write(tmp_path, 20)
    assert refused.value.errno == errno.ENOSPC
    assert _newest(tmp_path).step == 10


def test_an_adopted_one_stands_on_its_own(tmp_path: Path) -> None:
    source, other = tmp_path / "source", tmp_path / "other"
    source.mkdir()
    other.mkdir()
    _write(source, 10)
    known = _newest(source)
    checkpoints.adopt(source, 10, known.sha256, other)
    shutil.rmtree(source)
    assert _newest(other).sha256 == known.sha256
    with pytest.raises(Unavailable, match="Checkpoint 10 is gone"):
        checkpoints.find(other, 10, "0" * 64)
    with pytest.raises(Unavailable, match="Checkpoint 20 is gone"):
        checkpoints.adopt(other, 20, known.sha256, source)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows_sha256": "x"}, "the pairs changed since"),
        ({"settings": {"r": 4}}, "the settings changed since"),
        ({"base_sha256": "x"}, "the base model changed since"),
        ({"libraries": {"torch": "3"}}, "the versions of the libraries changed since"),
        ({"rows_sha256": "x", "base_sha256": "x"}, "the pairs and the base model changed"),
    ],
)
def test_nothing_goes_on_where_what_it_depends_on_changed(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    _write(tmp_path, 10)
    checkpoints.check(_newest(tmp_path), RUN, RUN)
    with pytest.raises(RuleBroken, match=f"cannot go on from step 10: {words}"):
        checkpoints.check(_newest(tmp_path), RUN, structs.replace(RUN, **change))


def test_a_cancelled_run_keeps_nothing(tmp_path: Path) -> None:
    _write(tmp_path, 10)
    checkpoints.tidy(tmp_path, keep=False)
    assert list(tmp_path.iterdir()) == []
