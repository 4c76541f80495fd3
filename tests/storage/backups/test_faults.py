"""Each operation on a file fails once, or the process dies before it: nothing half, nothing lost.

The work is done in processes below which `tests/support/faults.c` fails the n-th write, fsync,
rename or open, of SQLite and of Python alike.
"""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine

from curation.exchange import intake
from curation.exchange.incoming import Incoming
from curation.exchange.intake import Intake
from curation.versions import packages
from curation.versions.packages import Package
from storage import imports, migrate, pairs, people, settings
from storage.backups import copying, manifest, proof, restoring, whole
from storage.engine import RESTORING, open_engine, reading, writing
from storage.errors import Unavailable
from storage.settings import Settings
from storage.types import Role
from tests.support import faults, stories
from tests.support.proofs import Proof
from training.work import evidence

_EXPORTED = {"train.jsonl": b"{}\n" * 9, "card.json": b"{}", "inner/verify.py": b"pass"}


_ROWS = [
    Incoming(line, prompt, response, None, None, None)
    for line, (prompt, response) in enumerate(stories.messages(20), start=2)
]


def _people(database: Path) -> list[str]:
    engine = open_engine(database)
    try:
        migrate.check(engine)
        proof.prove(engine, database.name)
        with reading(engine) as session:
            return [user.name for user in people.everyone(session)]
    finally:
        engine.dispose()


def save(data: Path) -> None:
    """One press: a person joins, unless they have."""
    engine = open_engine(Settings(data).database)
    with writing(engine) as session:
        if not any(user.name == "new" for user in people.everyone(session)):
            people.join(session, "new", frozenset({Role.LEAD}))
    engine.dispose()


def save_holds(data: Path, through: bool) -> None:
    """What was acknowledged is there; what was not is there whole or not at all."""
    names = _people(Settings(data).database)
    assert set(names) in ({"ana", "lena"}, {"ana", "lena", "new"})
    assert "new" in names or not through


def backup(data: Path) -> None:
    """A backup of the database."""
    target = data / "backups" / "copy.db"
    if not target.exists():
        engine = open_engine(Settings(data).database)
        copying.database(engine, target)
        engine.dispose()


def backup_holds(data: Path, through: bool) -> None:
    """A file that has the name of a backup is a whole one; the database is as it was."""
    target = data / "backups" / "copy.db"
    assert target.exists() or not through
    for database in (Settings(data).database, *([target] if target.exists() else [])):
        assert _people(database) == ["ana", "lena"]


def whole_backup(data: Path) -> None:
    """A whole backup, unless there is one."""
    place = Settings(data)
    if not manifest.listing(place.backups):
        engine = open_engine(place.database)
        whole.make(engine, place, place.backups, "asked")
        engine.dispose()


def whole_backup_holds(data: Path, through: bool) -> None:
    """A folder that is listed is whole."""
    backups = manifest.listing(data / "backups")
    assert len(backups) == 1 or not through
    for backup in backups:
        assert len(whole.verify(backup.path).files) == 2
    assert _people(Settings(data).database) == ["ana", "lena"]


def export(data: Path) -> None:
    """An export of three files, unless it is there."""
    if not (data / "out" / "desk").exists():
        (data / "out").mkdir(exist_ok=True)
        packages.write(Package("desk", _EXPORTED, 3, ""), data / "out", zipped=False)


def export_holds(data: Path, through: bool) -> None:
    """Under the name of the export stand all of its files, or nothing stands there."""
    target = data / "out" / "desk"
    assert target.exists() or not through
    if target.exists():
        files = {str(path.relative_to(target)): path for path in target.rglob("*.*")}
        assert {name: path.read_bytes() for name, path in files.items()} == _EXPORTED


def result(data: Path) -> None:
    """A worker says how its job ended."""
    directory = data / "job"
    directory.mkdir(exist_ok=True)
    evidence.finish(directory, "finished", "Done.", {"numbers": list(range(2000))})


def result_holds(data: Path, through: bool) -> None:
    """There is the whole result, or none."""
    written = evidence.read_result(data / "job")
    assert written is not None or not through
    assert written is None or len(written["numbers"]) == 2000
    assert not (data / "job" / "result.json").exists() or written is not None


def publish(data: Path) -> None:
    """A folder of weights gets its name, as an adapter and a merged model do."""
    if not (data / "merged").exists():
        with evidence.new_folder(data / "merged", ".merging-") as folder:
            for name in ("config.json", "model.safetensors"):
                (folder / name).write_bytes(name.encode() * 1000)


def publish_holds(data: Path, through: bool) -> None:
    """Under its name stands all of it, or nothing."""
    target = data / "merged"
    assert target.exists() or not through
    names = {path.name for path in target.iterdir()} if target.exists() else set()
    assert names in (set(), {"config.json", "model.safetensors"})
    assert all((target / name).read_bytes() == name.encode() * 1000 for name in names)


def take(data: Path) -> None:
    """An import in chunks, unless its pairs are there; what a killed one left is swept first."""
    engine = open_engine(Settings(data).database)
    with reading(engine) as session:
        (lena, *_) = [user for user in people.everyone(session) if user.name == "lena"]
        left, present = imports.unfinished(session), pairs.any_in(session, 1)
    for going in left:
        imports.sweep(engine, going)
    if not present:
        intake.take_in_chunks(engine, lena, Intake(1, "desk.csv", "0" * 64), _ROWS)
    engine.dispose()


def take_holds(data: Path, through: bool) -> None:
    """All pairs of the file are there, or none that anybody sees."""
    engine = open_engine(Settings(data).database)
    with reading(engine) as session:
        count = len(pairs.listing(session, 1))
    engine.dispose()
    assert count == len(_ROWS) or (count == 0 and not through)
    assert _people(Settings(data).database) == ["ana", "lena"]


def restore(data: Path) -> None:
    """The older database, in which Lena is alone, comes back; one that was interrupted goes on."""
    with suppress(Unavailable):
        restoring.resume(Settings(data))
    if len(list(data.glob("assay-set-aside-*.db"))) == 0:
        restoring.restore(Settings(data), data / "older.db")


def restore_holds(data: Path, through: bool) -> None:
    """The one or the other is in place, whole; the one that left is beside it."""
    if any(data.glob(f"*{RESTORING}*")):
        assert not through
        restoring.resume(Settings(data))
    names = _people(Settings(data).database)
    assert names == ["lena"] or (names == ["ana", "lena"] and not through)
    aside = list(data.glob("assay-set-aside-*.db"))
    assert [_people(path) for path in aside] == ([["ana", "lena"]] if names == ["lena"] else [])


def killed(engine: Engine, place: Settings, folder: Path) -> Path:
    """A data folder of a killed server: its log holds that Ana joined, after a backup."""
    stories.project(engine)
    folder.mkdir()
    copying.database(engine, folder / "older.db")
    stories.person(engine, "ana")
    (folder / "jobs" / "a").mkdir(parents=True)
    (folder / "jobs" / "a" / "result.json").write_text("{}")
    for file in place.data.glob("assay.db*"):
        shutil.copy(file, folder)
    return folder


WORKS = ("save", "backup", "whole_backup", "export", "result", "publish", "take", "restore")


@pytest.mark.T08
def test_at_every_operation_it_holds(tmp_path: Path, engine: Engine, proof: Proof) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    before = killed(engine, settings.current(), tmp_path / "before")
    results = faults.loop(cases, before, __name__, WORKS, most=6)
    for work, result in results.items():
        assert result.cases >= 6, work
        assert result.killed > 0, work
    assert sum(result.refused for result in results.values()) >= len(WORKS)
    proof(
        works=len(results),
        cases=sum(result.cases for result in results.values()),
        killed=sum(result.killed for result in results.values()),
        refused=sum(result.refused for result in results.values()),
        lost=0,
    )
