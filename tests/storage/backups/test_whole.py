"""A whole backup: all of a data folder, incremental, proven, and restored with its files."""

import json
import re
import shutil
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from sqlalchemy import Engine
from typer.testing import CliRunner

from storage import events, folder, people, settings
from storage.__main__ import app as commands
from storage.backups import copying, manifest, restoring, schedule, staging, whole
from storage.engine import driver, open_engine, reading, writing
from storage.errors import AssayError, BadInput, NotAllowed, Unavailable
from storage.settings import ROOT, Settings
from storage.types import Action, Role
from tests.support import stories
from tests.support.patience import until
from tests.support.proofs import Proof


@pytest.fixture
def data(engine: Engine) -> Settings:
    """A data folder with the files of two jobs, one of which made an adapter."""
    stories.project(engine)
    here = settings.current()
    for name, content in {
        "a/adapter/adapter_model.safetensors": b"weights" * 1000,
        "a/adapter/adapter_config.json": b"{}",
        "a/result.json": b'{"state": "finished"}',
        "a/run.lock": b"",
        "a/checkpoints/checkpoint-1/weights": b"large",
        "b/events.jsonl": b"one\n",
    }.items():
        path = here.jobs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return here


def _made(engine: Engine, data: Settings) -> manifest.WholeBackup:
    return whole.make(engine, data, data.backups, "asked")


def test_it_holds_the_database_and_the_files_and_proves_itself(
    engine: Engine, data: Settings
) -> None:
    saved = _made(engine, data)
    assert set(saved.manifest.files) == {
        "assay.db",
        "jobs/a/adapter/adapter_model.safetensors",
        "jobs/a/adapter/adapter_config.json",
        "jobs/a/result.json",
        "jobs/b/events.jsonl",
    }
    assert whole.verify(saved.path) == saved.manifest
    with reading(engine) as session:
        assert saved.manifest.head == events.head(session)


def test_the_next_one_takes_only_what_is_new(engine: Engine, data: Settings) -> None:
    first = _made(engine, data)
    (data.jobs / "b/events.jsonl").write_bytes(b"one\ntwo\n")
    second = _made(engine, data)
    inodes = [
        {name: (saved.path / name).stat().st_ino for name in saved.manifest.files}
        for saved in (first, second)
    ]
    shared = {name for name in inodes[0] if inodes[0][name] == inodes[1][name]}
    assert shared == set(inodes[0]) - {"assay.db", "jobs/b/events.jsonl"}
    shutil.rmtree(first.path)
    assert whole.verify(second.path), "each is whole by itself"


@pytest.mark.parametrize("name", ["jobs/a/adapter/adapter_model.safetensors", "assay.db"])
def test_a_changed_or_missing_file_is_found(engine: Engine, data: Settings, name: str) -> None:
    saved = _made(engine, data)
    content = (saved.path / name).read_bytes()
    (saved.path / name).write_bytes(content[:-1] + b"x")
    with pytest.raises(BadInput, match=f"{name} in .* is missing or changed"):
        whole.verify(saved.path)
    (saved.path / name).unlink()
    with pytest.raises(BadInput, match="missing or changed"):
        whole.verify(saved.path)


def test_a_restore_brings_the_files_back_and_sets_changed_ones_aside(
    engine: Engine, data: Settings
) -> None:
    saved = _made(engine, data)
    stories.person(engine, "ben")
    engine.dispose()
    weights = data.jobs / "a/adapter/adapter_model.safetensors"
    weights.write_bytes(b"rotten")
    (data.jobs / "a/result.json").unlink()
    (data.jobs / "b/events.jsonl").write_bytes(b"one\nmore\n")
    restored = restoring.restore(data, saved.path)
    assert weights.read_bytes() == b"weights" * 1000
    assert (data.jobs / "a/result.json").exists()
    assert (data.jobs / "b/events.jsonl").read_bytes() == b"one\nmore\n", "newer, and left"
    (aside,) = data.data.glob("files-set-aside-*/jobs/a/adapter/adapter_model.safetensors")
    assert aside.read_bytes() == b"rotten"
    assert "2 files came back from the backup." in restored.sentences
    with reading(engine) as session:
        assert [user.name for user in people.everyone(session)] == ["lena"]


@pytest.mark.T20
@pytest.mark.parametrize(
    "name",
    ["../x", "jobs/../../x", "/etc/x", "jobs/..\\x", "other/x", "jobs", "C:x", "jobs/a\0b", ""],
)
def test_a_manifest_that_names_files_of_elsewhere_is_refused(
    engine: Engine, data: Settings, name: str, proof: Proof
) -> None:
    saved = _made(engine, data)
    listed = json.loads((saved.path / manifest.NAME).read_bytes())
    listed["files"][name] = listed["files"]["assay.db"]
    (saved.path / manifest.NAME).write_text(json.dumps(listed))
    engine.dispose()
    with pytest.raises(BadInput, match="names files of elsewhere"):
        restoring.restore(data, saved.path)
    proof(names=1, outside=0)


def test_a_backup_in_the_making_refuses_another_and_leaves_nothing(
    engine: Engine, data: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole, "_take", dies)
    with pytest.raises(Unavailable, match="is full"):
        _made(engine, data)
    assert [path.name for path in data.backups.iterdir() if path.is_dir()] == []
    monkeypatch.undo()
    with whole._alone(data.backups), pytest.raises(Unavailable, match="being made"):
        _made(engine, data)
    assert whole.verify(_made(engine, data).path)


def test_the_schedule_keeps_the_newest_and_those_that_were_asked_for(
    engine: Engine, data: Settings
) -> None:
    asked = _made(engine, data)
    ana = stories.person(engine, "ana", Role.ADMIN)
    with writing(engine) as session:
        schedule.change(session, ana, data, True, 2)
    for _ in range(4):
        schedule.run(engine, data)
    backups = manifest.listing(data.backups)
    assert [saved.manifest.purpose for saved in backups] == ["schedule", "schedule", "asked"]
    assert backups[-1].path == asked.path
    latest = schedule.last(data)
    assert latest is not None
    assert latest.verified


def test_it_is_due_a_day_after_the_last_and_an_hour_after_a_failed_one(
    engine: Engine, data: Settings
) -> None:
    now = datetime.now(UTC)
    assert not schedule.is_due(engine, data, now), "a folder of today"
    assert schedule.is_due(engine, data, now + timedelta(days=1, minutes=1))
    schedule.note(data, "done", verified=True)
    assert not schedule.is_due(engine, data, now + timedelta(hours=23))
    assert schedule.is_due(engine, data, now + timedelta(hours=25))
    assert schedule.is_due(engine, data, now - timedelta(days=1)), "the clock was set back"
    schedule.note(data, "full", verified=False)
    assert schedule.is_due(engine, data, now + timedelta(hours=2))


def test_a_failed_one_is_noted_with_its_cause(
    engine: Engine, data: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "SPARE", 10**18)
    with pytest.raises(Unavailable):
        schedule.run(engine, data)
    latest = schedule.last(data)
    assert latest is not None
    assert (latest.verified, "Free some space" in latest.sentence) == (False, True)


def test_only_an_admin_changes_the_schedule(engine: Engine, data: Settings) -> None:
    ben = stories.person(engine, "ben", Role.LEAD)
    with writing(engine) as session, pytest.raises(NotAllowed):
        schedule.change(session, ben, data, False, 7)
    ana = stories.person(engine, "ana", Role.ADMIN)
    with writing(engine) as session, pytest.raises(BadInput, match="Keep between"):
        schedule.change(session, ana, data, True, 0)


def test_the_commands(data: Settings, tmp_path: Path) -> None:
    run = CliRunner().invoke
    made = run(commands, ["backup"])
    (saved,) = manifest.listing(data.backups)
    assert (made.exit_code, str(saved.path) in made.stdout) == (0, True)
    assert run(commands, ["backups"]).stdout.split() == [str(saved.path)]
    assert "holds: 5 files" in run(commands, ["check-backup", str(saved.path)]).stdout
    alone = run(commands, ["backup", str(tmp_path / "alone.db")])
    assert "without the files of adapters" in alone.stdout
    twice = run(commands, ["backup", str(tmp_path / "alone.db")])
    assert (twice.exit_code, "no backup is overwritten" in twice.stderr) == (1, True)
    (data.jobs / "a/result.json").unlink()
    only = run(commands, ["restore", str(saved.path), "--files-only"])
    assert "1 files came back" in only.stdout
    with closing(driver().connect(data.database)) as connection:
        assert connection.execute("SELECT count(*) FROM user").fetchone() == (1,)


@pytest.mark.T10
def test_the_documents_refuse_a_plain_copy_and_name_commands_that_exist(proof: Proof) -> None:
    pages = {
        path: path.read_text("utf-8") for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    }
    blocks = "\n".join(re.findall(r"```[a-z]*\n(.*?)```", "".join(pages.values()), re.DOTALL))
    assert not re.search(r"\bcp\b.*\.db\b", blocks)
    assert "**Never copy `assay.db` by hand" in pages[ROOT / "docs/backups.md"]
    listed = typer.main.get_group(commands).list_commands(None)  # type: ignore[arg-type]
    named = set(re.findall(r"python -m storage ([a-z][a-z-]+)", "".join(pages.values())))
    assert named <= set(listed)
    proof(pages=len(pages), commands=len(named))


@pytest.mark.T10
def test_backups_under_load_hold_all_that_was_acknowledged_before_them(
    engine: Engine, data: Settings, tmp_path: Path, proof: Proof
) -> None:
    """A person decides one pair after another while backups are made; each is restored."""
    desk = stories.project(engine, "Loaded")
    ana = stories.person(engine, "ana", Role.REVIEWER)
    stories.waiting(engine, desk, stories.messages(300))
    acknowledged, stop, errors = [0], threading.Event(), list[AssayError]()

    def decide() -> None:
        while not stop.is_set():
            try:
                card = stories.card(engine, ana, desk, limit=1)
                stories.decide(engine, ana, stories.op(card, Action.APPROVE))
                acknowledged[0] += 1
            except AssayError as error:
                errors.append(error)
                return

    writer = threading.Thread(target=decide)
    writer.start()
    made = []
    for _ in range(5):
        before = acknowledged[0]
        made.append((before, _made(engine, data)))
    stop.set()
    writer.join()
    assert errors == []
    assert acknowledged[0] > 0
    for number, (before, saved) in enumerate(made):
        target = Settings(tmp_path / f"restored-{number}")
        restored = restoring.restore(target, saved.path)
        assert (restored.proof.head, restored.proof.events) == (
            saved.manifest.head,
            saved.manifest.events,
        )
        copy = open_engine(target.database)
        with copy.connect() as connection:
            rows = connection.exec_driver_sql("SELECT count(*) FROM decision").scalar_one()
        copy.dispose()
        assert rows >= before
    proof(backups=len(made), restored=len(made), decisions=acknowledged[0], lost=0)


def test_copies_from_before_an_upgrade_are_listed_wherever_the_backups_are(
    engine: Engine, data: Settings, tmp_path: Path
) -> None:
    copy = data.data / "backups" / "before-upgrade-0001-20260101T000000Z.db"
    copying.database(engine, copy)
    elsewhere = replace(data, backup_folder=tmp_path / "other disk")
    backup = whole.make(engine, elsewhere, elsewhere.backups, "asked")
    assert staging.choices(elsewhere) == [backup.path, copy]


def test_the_server_makes_one_that_was_asked_for_in_a_process_of_its_own(
    engine: Engine, data: Settings
) -> None:
    ana = stories.person(engine, "ana", Role.ADMIN)
    with writing(engine) as session:
        schedule.ask(session, ana, data)
    stop = threading.Event()
    server = threading.Thread(target=schedule.forever, args=(engine, data, stop))
    server.start()
    until(lambda: schedule.last(data) is not None)
    stop.set()
    server.join()
    (backup,) = manifest.listing(data.backups)
    assert whole.verify(backup.path).purpose == "schedule"
    assert not schedule.is_requested(data)
