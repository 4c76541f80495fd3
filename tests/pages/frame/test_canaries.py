"""Words put through the product are found where texts belong, and nowhere else."""

import json
import logging
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage import pairs, settings
from storage.engine import reading
from storage.types import Pair, Project
from tests.support import curated, stories, tabs
from tests.support.canaries import (
    Canaries,
    broken_files,
    command,
    decide,
    fail_in_a_page,
    rows,
    search,
    send_odd_requests,
)
from tests.support.live import running
from tests.support.proofs import Proof


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, for this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.mark.T27
def test_no_word_of_a_pair_is_left_where_no_text_belongs(
    engine: Engine,
    temporary: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    proof: Proof,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "websockets")  # the test's own browser
    words, place = Canaries(), settings.current()
    desk = stories.project(engine)
    source = tmp_path / "pairs.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows(words, 40)))
    assert command(words, "import", str(source), "--as", "lena", "-p", desk.name) == 0
    for name, content in broken_files(words):
        (tmp_path / name).write_bytes(content)
        assert command(words, "import", str(tmp_path / name), "--as", "lena", "-p", desk.name) == 1
    decide(words, engine, desk)
    fail_in_a_page(words)
    curated.approve(engine, desk, _waiting(engine, desk))
    curated.frozen(engine, desk)
    with running(place.data) as live:
        send_odd_requests(words, live, tabs.signed_in(live, 1), rounds=3)
    exported = tmp_path / "exported"
    exported.mkdir()
    assert command(words, "export", str(exported), "-p", desk.name) == 0
    search(words, place, engine, [temporary])
    printed = capfd.readouterr()
    words.look("printed", (printed.out + printed.err + caplog.text).encode())
    assert words.found == {}
    assert (place.data / "server.log").stat().st_size > 0
    assert list(temporary.iterdir()) == []
    proof(words=words.count, found=0)


def _waiting(engine: Engine, desk: Project) -> list[Pair]:
    with reading(engine) as session:
        return [pair for pair in pairs.listing(session, desk.id) if pair.status == "waiting"]
