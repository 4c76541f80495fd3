"""The commands: each is listed once, starts, and its help reads."""

import subprocess
import sys
from importlib import import_module

import pytest
import typer

from curation.__main__ import app as curation
from storage.settings import ROOT

LISTED = typer.main.get_group(curation)
MODULES = sorted({p.stem for p in (ROOT / "curation/commands").glob("*.py")} - {"__init__"})


def test_every_command_of_every_module_is_listed() -> None:
    made = [
        name
        for module in MODULES
        for name in typer.main.get_group(import_module(f"curation.commands.{module}").app).commands
    ]
    assert len(made) == len(set(made))
    assert sorted(made) == sorted(LISTED.list_commands(None))  # type: ignore[arg-type]


@pytest.mark.parametrize("command", [[], ["scrub"], ["ready"]])
def test_help_reads(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "curation", *command, "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Usage:" in done.stdout


def test_an_unknown_command_is_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "curation", "bogus"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "No such command" in done.stderr
    assert "Traceback" not in done.stderr
