"""The commands: each is listed once, starts, and its help reads."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from sqlalchemy import Engine

from curation.__main__ import app as curation
from storage.settings import ROOT
from tests.curation.versions.test_versions_integrity import unguarded
from tests.support import curated, stories
from training.__main__ import app as training

PACKAGES = {"curation": curation, "training": training}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_command_of_every_module_is_listed(package: str) -> None:
    shared = {"__init__", "following"}  # no commands of their own
    modules = {p.stem for p in (ROOT / package / "commands").glob("*.py")} - shared
    made = [
        name
        for module in sorted(modules)
        for name in typer.main.get_group(import_module(f"{package}.commands.{module}").app).commands
    ]
    listed = typer.main.get_group(PACKAGES[package])
    assert len(made) == len(set(made))
    assert sorted(made) == sorted(listed.list_commands(None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "command",
    [
        ["curation"],
        ["curation", "scrub"],
        ["curation", "ready"],
        ["training"],
        ["training", "launch"],
    ],
)
def test_help_reads(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage:" in done.stdout


def test_an_unknown_command_is_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "curation", "bogus"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "No such command" in done.stderr
    assert "Traceback" not in done.stderr


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "curation", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_version_is_named_compared_exported_and_proven(engine: Engine, tmp_path: Path) -> None:
    desk = stories.project(engine)
    curated.ana(engine)
    curated.approved(engine, desk, 20)
    curated.frozen(engine, desk)
    curated.approved(engine, desk, stories.messages(2, start=100))
    newest = curated.frozen(engine, desk)
    assert _run("tag", "pilot", "--as", "lena", "--version", "1").returncode == 0
    rows = json.loads(_run("diff", "pilot", "--json").stdout)
    assert sum(row["what"] == "added" for row in rows) == 2
    assert _run("card").stdout.startswith("# Desk, version 2\n")
    done = _run("export", str(tmp_path), "--format", "trl", "--split", "test", "--zip")
    assert newest.sha256 in done.stdout
    made = next(tmp_path.glob("*.zip"))
    assert _run("verify", str(made), "--sha256", newest.sha256).returncode == 0
    wrong = _run("verify", str(made), "--sha256", "0" * 64)
    assert (wrong.returncode, "not the one you gave" in wrong.stderr) == (1, True)
    proof = tmp_path / "proof.json"
    proof.write_text(_run("inclusion", "3").stdout)
    assert "pair 3 is in the version" in _run("verify", str(proof)).stdout
    assert "intact" in _run("verify").stdout
    with unguarded(Path(str(engine.url.database))) as raw:
        raw.execute("UPDATE event SET actor_id = 9 WHERE id = 3")
    broken = _run("verify")
    assert (broken.returncode, "broken at link 3" in broken.stdout) == (1, True)


def test_a_missing_version_or_export_is_one_sentence(engine: Engine, tmp_path: Path) -> None:
    stories.project(engine)
    for command in (["card"], ["verify", str(tmp_path / "none.zip")], ["export", str(tmp_path)]):
        done = _run(*command)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1
