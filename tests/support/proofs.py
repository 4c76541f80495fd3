"""The numbered tests T01 to T30: what each counted, kept for the page "How Assay is tested"."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

NUMBERS = tuple(f"T{number:02}" for number in range(1, 31))
_NUMBER = re.compile(r"T\d\d")

Proof = Callable[..., None]


def pytest_configure(config: pytest.Config) -> None:
    """Let a test bear its number as a marker."""
    for number in NUMBERS:
        config.addinivalue_line("markers", f"{number}: realises test {number} of docs/tested.md")


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Proof:
    """Report what a numbered test counted, as `proof(interleavings=1234, lost=0)`.

    The record goes to the folder that `ASSAY_REPORTS` names; without one, nowhere.
    """
    numbers = [mark.name for mark in request.node.iter_markers() if _NUMBER.fullmatch(mark.name)]
    assert numbers, f"{request.node.nodeid} reports a proof and bears no number T01 to T30."

    def report(**counts: float) -> None:
        if folder := os.environ.get("ASSAY_REPORTS"):
            for number in numbers:
                _write(Path(folder), number, request.node.nodeid, counts)

    return report


def _write(folder: Path, number: str, test: str, counts: dict[str, float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record = {"id": number, "source": test, "counts": counts}
    name = re.sub(r"\W+", "-", test.split("::", 1)[-1]).strip("-")
    (folder / f"{number}-{name}.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
