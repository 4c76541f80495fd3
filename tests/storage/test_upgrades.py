"""Every schema that was released, upwards with rows in it, and stopped at each statement."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from storage import migrate
from storage.engine import open_engine
from tests.support.proofs import Proof

REVISIONS = migrate.revisions()[::-1]
_NOW = "2026-01-01T00:00:00"
_ROWS: tuple[tuple[str, dict[str, object]], ...] = (
    ("user", {"name": "ana", "roles": "[]", "kind": "person"}),
    ("project", {"name": "Desk", "task": "t", "system_message": "s", "guidelines": ""}),
    ("scratch", {"user_id": 1, "form": "write-1", "words": '{"prompt": "unsent"}'}),
    ("pair", {"project_id": 1, "origin": "import", "status": "approved", "source": "{}"}),
    ("revision", {"pair_id": 1, "number": 1}),
    ("decision", {"op": "a", "pair_id": 1, "user_id": 1, "action": "flag", "outcome": "applied"}),
    ("decision", {"op": "b", "pair_id": 1, "user_id": 1, "action": "undo", "outcome": "applied"}),
    ("job", {"id": "a", "project_id": 1, "kind": "scan", "state": "finished", "requested_by": 1}),
    ("event", {"verb": "join", "noun": "user", "detail": "{}"}),
)
"""What a cascade would take with it: rows that hang from one another."""


class Stopped(Exception):
    """The disk went away."""


def _insert(connection: Connection, table: str, values: dict[str, object]) -> None:
    """One row; what the schema asks for beyond `values` gets something of its type."""
    row = dict(values)
    columns = connection.exec_driver_sql(f'PRAGMA table_info("{table}")').fetchall()
    for _, name, kind, required, _, key in columns:
        if required and not key and name not in row:
            plain = {"INTEGER": 1, "BOOLEAN": 1, "JSON": "{}"}
            row[name] = _NOW if "DATE" in kind else plain.get(kind, "1")
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    insert = f'INSERT INTO "{table}" ({names}) VALUES ({marks})'  # noqa: S608 - names of ours
    connection.exec_driver_sql(insert, tuple(row.values()))


def _state(engine: Engine) -> tuple[Any, dict[str, int], Any]:
    with engine.connect() as connection:
        schema = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master ORDER BY name"
        ).fetchall()
        dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    return schema, migrate.counts(engine), dangling


@contextmanager
def _stopping(engine: Engine, at: int) -> Iterator[None]:
    """Stop after so many statements that change something."""
    left = iter(range(at))

    def stops(_c: object, _k: object, statement: str, *_: object) -> None:
        changes = not statement.lstrip().upper().startswith(("SELECT", "PRAGMA"))
        if changes and next(left, None) is None:
            raise Stopped

    event.listen(engine, "after_cursor_execute", stops)
    try:
        yield
    finally:
        event.remove(engine, "after_cursor_execute", stops)


def stopped_everywhere(folder: Path, step: int) -> int:
    """Stop each migration after every `step`-th of its statements; how often that was.

    Raises:
        AssertionError: something was half, or rows were lost.
    """
    engine = open_engine(folder / "assay.db")
    migrate.upgrade(engine, REVISIONS[0])
    with engine.begin() as connection:
        for table, values in _ROWS:
            _insert(connection, table, values)
    stops = 0
    for revision in REVISIONS[1:]:
        before = _state(engine)
        for at in itertools.count(step=step):
            try:
                with _stopping(engine, at):
                    migrate.upgrade(engine, revision, backup=False)
                break
            except Stopped:
                assert _state(engine) == before, f"half of {revision}, after statement {at}"
            stops += 1
        _schema, rows, dangling = _state(engine)
        assert before[1].items() <= rows.items(), revision
        assert dangling == [], revision
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        words = connection.exec_driver_sql("SELECT words FROM scratch").scalar_one()
    assert words == '{"prompt": "unsent"}'
    engine.dispose()
    return stops


@pytest.mark.T11
def test_an_upgrade_that_stops_after_any_statement_changed_nothing(
    tmp_path: Path, proof: Proof
) -> None:
    stops = stopped_everywhere(tmp_path, step=5)
    assert stops > 30
    proof(revisions=len(REVISIONS), stops=stops, half=0, lost=0)


@pytest.mark.T11
@pytest.mark.parametrize("start", REVISIONS)
def test_every_released_schema_comes_up_to_date_with_its_rows(tmp_path: Path, start: str) -> None:
    engine = open_engine(tmp_path / "assay.db")
    migrate.upgrade(engine, start)
    with engine.begin() as connection:
        for table, values in _ROWS:
            _insert(connection, table, values)
    _schema, rows, _dangling = _state(engine)
    migrate.upgrade(engine)
    migrate.check(engine)
    _schema, now, dangling = _state(engine)
    assert (rows.items() <= now.items(), dangling) == (True, [])
    assert len(list((tmp_path / "backups").glob("*.db"))) == (start != REVISIONS[-1])
    engine.dispose()
