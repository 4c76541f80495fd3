"""Migrations: from nothing and from the oldest schema with rows, whole or not at all."""

import multiprocessing
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from storage import folder, migrate, people, projects
from storage.backups import copying
from storage.engine import open_engine, reading, writing
from storage.errors import Unavailable
from storage.tables import Base
from storage.types import JobKind, Role
from tests.support.patience import PATIENCE
from training import kinds
from training.work import jobs


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Engine]:
    """A database that no migration has touched."""
    engine = open_engine(tmp_path / "assay.db")
    yield engine
    engine.dispose()


def _foreign_keys(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one())


def _schema(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(
            row[0]
            for row in connection.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
            )
        )


def _old_rows(engine: Engine) -> None:
    """Rows as the first schema has them, with one that points at the other."""
    migrate.upgrade(engine, "0001")
    now = datetime.now(UTC).isoformat()
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO user (name, roles, kind, created_at)"
                " VALUES ('ana', '[]', 'person', :n)"
            ),
            {"n": now},
        )
        connection.execute(
            text(
                "INSERT INTO project (name, task, system_message, guidelines, two_people, sample,"
                " created_at) VALUES ('Desk', 't', 's', '', 1, 0, :n)"
            ),
            {"n": now},
        )
        connection.execute(
            text(
                "INSERT INTO scratch (user_id, form, words, updated_at)"
                " VALUES (1, 'write-1', '{\"prompt\": \"unsent\"}', :n)"
            ),
            {"n": now},
        )


def test_from_nothing_to_the_tables_of_this_program(empty: Engine) -> None:
    migrate.upgrade(empty)
    migrate.check(empty)
    with empty.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    assert _foreign_keys(empty) == 1
    with writing(empty) as session:
        lead = people.join(session, "lena", frozenset({Role.LEAD}))
        projects.create(session, lead, "Desk", "Route.", "You route.")


def test_an_upgrade_twice_changes_nothing(empty: Engine) -> None:
    migrate.upgrade(empty)
    before = _schema(empty)
    migrate.upgrade(empty)
    assert _schema(empty) == before


def test_rows_of_the_oldest_schema_are_all_there_afterwards(empty: Engine) -> None:
    _old_rows(empty)
    before = migrate.counts(empty)
    migrate.upgrade(empty)
    assert before.items() <= migrate.counts(empty).items()
    assert before["user"] == before["project"] == before["scratch"] == 1
    assert _foreign_keys(empty) == 1
    with reading(empty) as session:
        assert session.execute(text("SELECT words FROM scratch")).scalar_one()
        assert session.execute(text("PRAGMA foreign_key_check")).all() == []


def test_a_migration_that_fails_leaves_nothing_half(
    empty: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _old_rows(empty)
    before, rows = _schema(empty), migrate.counts(empty)
    whole = command.upgrade

    def breaks(config: object, revision: str) -> None:
        whole(config, revision)  # type: ignore[arg-type]
        raise RuntimeError("the disk went away")

    monkeypatch.setattr(migrate, "command", SimpleNamespace(upgrade=breaks))
    with pytest.raises(RuntimeError, match="disk"):
        migrate.upgrade(empty)
    assert (_schema(empty), migrate.counts(empty)) == (before, rows)
    assert _foreign_keys(empty) == 1
    with pytest.raises(Unavailable, match="not up to date"):
        migrate.check(empty)
    monkeypatch.undo()
    migrate.upgrade(empty)
    migrate.check(empty)


def _killed(path: str) -> None:
    """Upgrade, and die before the commit, as a power cut would have it."""
    engine = open_engine(Path(path))
    whole = command.upgrade

    def dies(config: object, revision: str) -> None:
        whole(config, revision)  # type: ignore[arg-type]
        os.kill(os.getpid(), 9)

    vars(migrate)["command"] = SimpleNamespace(upgrade=dies)
    migrate.upgrade(engine)


def test_a_process_killed_inside_a_migration_leaves_nothing_half(
    empty: Engine, tmp_path: Path
) -> None:
    _old_rows(empty)
    before, rows = _schema(empty), migrate.counts(empty)
    empty.dispose()
    child = multiprocessing.get_context("spawn").Process(
        target=_killed, args=(str(tmp_path / "assay.db"),)
    )
    child.start()
    child.join(timeout=PATIENCE)
    assert child.exitcode == -9
    assert (_schema(empty), migrate.counts(empty)) == (before, rows)
    migrate.upgrade(empty)
    assert rows.items() <= migrate.counts(empty).items()


def test_an_upgrade_that_would_lose_rows_is_refused(
    empty: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _old_rows(empty)

    def loses(config: object, _revision: str) -> None:
        connection = config.attributes["connection"]  # type: ignore[attr-defined]
        connection.exec_driver_sql("DELETE FROM scratch")

    monkeypatch.setattr(migrate, "command", SimpleNamespace(upgrade=loses))
    with pytest.raises(Unavailable, match="would lose rows of scratch"):
        migrate.upgrade(empty)
    assert migrate.counts(empty)["scratch"] == 1


def test_an_upgrade_that_would_leave_orphans_is_refused(
    empty: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _old_rows(empty)

    def orphans(config: object, _revision: str) -> None:
        connection = config.attributes["connection"]  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE scratch SET user_id = 99")

    monkeypatch.setattr(migrate, "command", SimpleNamespace(upgrade=orphans))
    with pytest.raises(Unavailable, match="without their parents"):
        migrate.upgrade(empty)
    with reading(empty) as session:
        assert session.execute(text("SELECT user_id FROM scratch")).scalar_one() == 1


def test_a_newer_database_is_refused_in_words(empty: Engine) -> None:
    migrate.upgrade(empty)
    with empty.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match="written by a newer Assay"):
        migrate.check(empty)


def test_comparisons_of_meanings_become_a_kind_of_their_own(empty: Engine) -> None:
    migrate.upgrade(empty, "0008")
    with empty.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO user (name, roles, kind, created_at)"
            " VALUES ('ana', '[]', 'person', '2026-01-01')"
        )
        connection.exec_driver_sql(
            "INSERT INTO project (name, task, system_message, guidelines, two_people, sample,"
            " created_at) VALUES ('Desk', 't', 's', '', 1, 0, '2026-01-01')"
        )
        for key, spec in (("a", "{}"), ("b", '{"work": "meaning", "least": 0.9}')):
            connection.exec_driver_sql(
                "INSERT INTO job (id, project_id, kind, state, requested_by, spec, created_at)"
                " VALUES (?, 1, 'scan', 'finished', 1, ?, '2026-01-01T00:00:00+00:00')",
                (key, spec),
            )
    migrate.upgrade(empty)
    with reading(empty) as session:
        found = {job.id: job for job in jobs.listing(session, 1)}
        specs = session.execute(text("SELECT spec FROM job ORDER BY id")).scalars().all()
    assert {key: job.kind for key, job in found.items()} == {
        "a": JobKind.SCAN,
        "b": JobKind.MEANING,
    }
    assert kinds.KINDS[found["b"].kind].title == "comparison of meanings"
    assert specs == ["{}", '{"work": "meaning", "least": 0.9}'], (
        "what was asked for stays as it was"
    )


def test_before_an_upgrade_the_database_is_copied_by_itself(empty: Engine, tmp_path: Path) -> None:
    _old_rows(empty)
    assert not (tmp_path / "backups").exists(), "nothing to keep of an empty database"
    migrate.upgrade(empty)
    (copy,) = (tmp_path / "backups").iterdir()
    assert copy.name.startswith("before-upgrade-0001-")
    engine = open_engine(copy)
    assert migrate.revision(engine) == "0001"
    assert migrate.counts(engine)["scratch"] == 1
    engine.dispose()
    migrate.upgrade(empty)
    assert len(list((tmp_path / "backups").glob("*.db"))) == 1, "nothing was upgraded"


def test_without_room_for_the_copy_nothing_is_upgraded(
    empty: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _old_rows(empty)
    monkeypatch.setattr(folder, "SPARE", 10**18)
    with pytest.raises(Unavailable, match="Free some space"):
        migrate.upgrade(empty)
    assert migrate.revision(empty) == "0001"
    assert list((tmp_path / "backups").iterdir()) == []


def test_the_newest_copies_stay_and_older_ones_go(tmp_path: Path) -> None:
    names = [f"before-upgrade-000{n % 3}-2026010{n}T000000Z.db" for n in range(1, 8)]
    for name in names:
        (tmp_path / name).touch()
    copying.prune(list(tmp_path.iterdir()), 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[2:])


def test_each_pair_gets_the_last_scan_of_its_present_text(empty: Engine) -> None:
    migrate.upgrade(empty, "0015")
    with empty.begin() as connection:
        run = connection.exec_driver_sql
        run(
            "INSERT INTO project (name, task, system_message, guidelines, two_people, sample,"
            " created_at) VALUES ('Desk', 't', 's', '', 1, 0, '2026-01-01')"
        )
        for pair in (1, 2):
            run(
                "INSERT INTO pair (id, project_id, prompt, response, status, origin, version,"
                " content_sha256, held_out, flagged, source, fence, created_at)"
                " VALUES (?, 1, 'p', 'r', 'waiting', 'import', 1, ?, 0, 0, '{}', 0, '2026-01-01')",
                (pair, f"text {pair}"),
            )
        for pair, text_of, config in ((1, 1, "a" * 64), (1, 1, "b" * 64), (2, 1, "b" * 64)):
            run(
                "INSERT INTO scan (pair_id, content_sha256, config_sha256, created_at)"
                " VALUES (?, ?, ?, '2026-01-01')",
                (pair, f"text {text_of}", config),
            )
    migrate.upgrade(empty)
    with reading(empty) as session:
        rows = session.execute(text("SELECT scan_id, scanned_with FROM pair ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [(2, "b" * 16), (None, None)]
