"""The data folder is for its owner alone, whoever made it and however it was left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage import private
from storage.private import OTHERS
from storage.settings import ROOT


def _command(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as someone starts it whose new files all may read."""
    return subprocess.run(
        ["/bin/sh", "-c", 'umask 022; exec "$0" "$@"', sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "ASSAY_DATA": str(data)},
        capture_output=True,
        text=True,
        check=True,
    )


def _open_to_others(folder: Path) -> list[Path]:
    return [place for place in (folder, *folder.rglob("*")) if place.stat().st_mode & OTHERS]


def test_a_command_writes_for_its_owner_and_closes_what_was_open(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert _command(data, "storage", "upgrade").stderr == ""
    _command(data, "storage", "backup", str(data / "backup.db"))
    assert _open_to_others(data) == []
    for place in (data, *data.rglob("*")):
        place.chmod(0o755)
    told = _command(data, "storage", "people", "--json")
    assert f"Others on this computer could read {data}." in told.stderr
    assert told.stdout.strip() == "[]"
    assert _open_to_others(data) == []


def test_files_in_a_closed_folder_are_looked_at_by_the_server_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    file = tmp_path / "copied.db"
    file.touch()
    file.chmod(0o644)
    assert private.close(tmp_path) == ""
    assert "could read" in private.close(tmp_path, all_files=True)
    assert not file.stat().st_mode & OTHERS
    assert private.close(tmp_path, all_files=True) == ""


def test_where_permissions_do_not_hold_the_person_hears_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch(0o644)
    (tmp_path / "file").chmod(0o644)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)  # as on a Windows drive
    assert "keeps no permissions" in private.close(tmp_path, all_files=True)
