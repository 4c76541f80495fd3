"""The database itself refuses, whatever program writes to it: plain SQL, no verb in between."""

import importlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Engine

from curation.gate import audit, decision
from curation.review import claims, conflicts
from storage import people, projects, settings
from storage.engine import driver, reading, writing
from storage.types import Choice, Role
from tests.support import curated, stories, tuned
from training.proving import blind

GUARDS = importlib.import_module("storage.migrations.versions.0002_guards")
Refused = driver().IntegrityError


@pytest.fixture
def sql(engine: Engine) -> Iterator[Any]:
    """A plain connection to the same file, as any other program would open it."""
    assert engine.url.database
    connection = driver().connect(settings.current().database, isolation_level=None, timeout=5)
    connection.execute("PRAGMA foreign_keys = ON")
    with closing(connection):
        yield connection


def _one(sql: Any, query: str, *values: object) -> Any:  # noqa: ANN401 - a value of any kind
    return sql.execute(query, values).fetchone()[0]


def _next_version(sql: Any) -> int:  # noqa: ANN401 - a DBAPI connection has no type
    """An empty second version, made without asking any verb."""
    sql.execute(
        "INSERT INTO version (project_id, number, sha256, seed, counts, manifest, created_by,"
        " created_at) SELECT project_id, 2, sha256, 1, '{}', '{}', created_by, created_at"
        " FROM version WHERE id = 1"
    )
    return int(_one(sql, "SELECT max(id) FROM version"))


def _freeze_row(sql: Any, version: int, pair: int, split: str = "train", **other: str) -> None:  # noqa: ANN401
    """One version row as the pair stands, but for what is given."""
    prompt, response, sha256 = sql.execute(
        "SELECT prompt, response, content_sha256 FROM pair WHERE id = ?", (pair,)
    ).fetchone()
    sql.execute(
        "INSERT INTO version_row (version_id, pair_id, split, prompt, response, content_sha256,"
        " origin, group_id) VALUES (?, ?, ?, ?, ?, ?, 'import', 1)",
        (
            version,
            pair,
            split,
            other.get("prompt", prompt),
            other.get("response", response),
            other.get("content_sha256", sha256),
        ),
    )


@pytest.fixture
def half(engine: Engine, sql: Any) -> tuple[Any, int, int, int]:  # noqa: ANN401
    """Plain SQL, an empty version, an approved row that may train, and a waiting row."""
    story = tuned.frozen(engine, 12)
    fresh = stories.waiting(engine, story.project, stories.messages(1, start=100))[0]
    good = int(_one(sql, "SELECT min(id) FROM pair WHERE status = 'approved' AND NOT held_out"))
    return sql, _next_version(sql), good, fresh.id


def test_an_approved_row_enters_with_its_text_and_no_other(
    half: tuple[Any, int, int, int],
) -> None:
    sql, version, good, _waiting = half
    for field in ("prompt", "response", "content_sha256"):
        with pytest.raises(Refused, match="a person must approve this text"):
            _freeze_row(sql, version, good, **{field: "other words"})
    _freeze_row(sql, version, good)


def test_a_row_that_nobody_approved_never_enters(half: tuple[Any, int, int, int]) -> None:
    sql, version, good, waiting = half
    with pytest.raises(Refused, match="a person must approve this text"):
        _freeze_row(sql, version, waiting)
    sql.execute("UPDATE pair SET status = 'approved' WHERE id = ?", (waiting,))
    with pytest.raises(Refused, match="a person must approve this text"):
        _freeze_row(sql, version, waiting)
    approval = _one(sql, "SELECT approval_id FROM pair WHERE id = ?", good)
    sql.execute("UPDATE pair SET approval_id = ? WHERE id = ?", (approval, waiting))
    with pytest.raises(Refused, match="a person must approve this text"):
        _freeze_row(sql, version, waiting)


def test_a_machine_cannot_approve(half: tuple[Any, int, int, int]) -> None:
    sql, version, good, _waiting = half
    sql.execute(
        "UPDATE user SET kind = 'machine' WHERE id ="
        " (SELECT user_id FROM decision JOIN pair ON approval_id = decision.id WHERE pair.id = ?)",
        (good,),
    )
    with pytest.raises(Refused, match="a person must approve this text"):
        _freeze_row(sql, version, good)


def test_a_row_edited_after_its_approval_needs_a_new_one(
    half: tuple[Any, int, int, int],
) -> None:
    sql, version, good, _waiting = half
    sql.execute("UPDATE pair SET response = '{}', content_sha256 = 'x' WHERE id = ?", (good,))
    with pytest.raises(Refused, match="a person must approve this text"):
        _freeze_row(sql, version, good)


def test_a_held_out_row_never_trains_and_stays_held_out(
    half: tuple[Any, int, int, int], engine: Engine
) -> None:
    sql, version, _good, _waiting = half
    desk_id = _one(sql, "SELECT project_id FROM version WHERE id = ?", version)
    with reading(engine) as session:
        desk = projects.get(session, desk_id)
    fresh = stories.messages(1, start=200)
    held = curated.approved(engine, desk, fresh, held_out=True)[0].id
    for split in ("train", "validation"):
        with pytest.raises(Refused, match="a held-out row never trains"):
            _freeze_row(sql, version, held, split)
    with pytest.raises(Refused, match="a held-out row stays held out"):
        sql.execute("UPDATE pair SET held_out = 0 WHERE id = ?", (held,))
    _freeze_row(sql, version, held, "test")


def test_a_row_that_was_a_test_row_once_never_trains(half: tuple[Any, int, int, int]) -> None:
    sql, version, _good, _waiting = half
    tested = int(_one(sql, "SELECT min(pair_id) FROM version_row WHERE split = 'test'"))
    sql.execute("DROP TRIGGER version_row_keeps_test_rows_out")
    for split in ("train", "validation"):
        with pytest.raises(Refused, match="a test row once never trains"):
            _freeze_row(sql, version, tested, split)
    _freeze_row(sql, version, tested, "test")


def test_pairs_are_never_deleted_nor_replaced(half: tuple[Any, int, int, int]) -> None:
    sql, _version, good, _waiting = half
    with pytest.raises(Refused, match="pairs are never deleted"):
        sql.execute("DELETE FROM pair WHERE id = ?", (good,))
    columns = ", ".join(row[1] for row in sql.execute("PRAGMA table_info(pair)"))
    with pytest.raises(Refused, match="pair has this row already"):
        sql.execute(f"INSERT OR REPLACE INTO pair ({columns}) SELECT {columns} FROM pair")  # noqa: S608


def _everything(engine: Engine) -> None:
    """A story that leaves a row in every insert-only table."""
    story, evaluation = tuned.compared(engine, 12)
    trial = tuned.planned(engine, story, evaluation, 2)
    tuned.prefer(engine, story.lead, trial)
    ben = stories.person(engine, "ben", Role.LEAD)
    curated.recorded(engine, story.project)
    stories.waiting(engine, story.project, stories.messages(1, start=200))
    with writing(engine) as session:
        late = stories.op(claims.lease(session, ben, story.project.id, now=curated.LONG_AGO)[0])
    shown = stories.card(engine, story.lead, story.project)
    stories.decide(engine, story.lead, stories.op(shown))
    stories.decide(engine, ben, late)
    with writing(engine) as session:
        blind.close(session, story.lead, trial.id)
        decision.sign(session, ben, story.project.id, "business")
        drawn = audit.draw(session, ben, story.project.id, 7)
        row = audit.next_row(session, ben, story.project.id)
        assert drawn.drawn
        assert row is not None
        audit.judge(session, ben, row.id, row.version, good=True)
        kept = conflicts.late(session, story.project.id)[0]
        conflicts.settle(session, ben, kept.id, take=False)


def test_what_was_decided_is_never_changed_deleted_or_replaced(
    engine: Engine,
    sql: Any,  # noqa: ANN401
) -> None:
    _everything(engine)
    for table in GUARDS.INSERT_ONLY:
        before = sql.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
        columns = [row[1] for row in sql.execute(f"PRAGMA table_info({table})")]
        assert before, f"the story leaves nothing in {table}"
        with pytest.raises(Refused, match=f"{table} is insert-only"):
            sql.execute(f"UPDATE {table} SET {columns[-1]} = {columns[-1]}")  # noqa: S608
        with pytest.raises(Refused, match=f"{table} is insert-only"):
            sql.execute(f"DELETE FROM {table}")  # noqa: S608
        with pytest.raises(Refused, match=f"{table} has this row already|closed"):
            sql.execute(f"REPLACE INTO {table} SELECT * FROM {table}")  # noqa: S608
        assert sql.execute(f"SELECT * FROM {table}").fetchall() == before  # noqa: S608


def test_the_list_of_insert_only_tables_and_their_keys_is_whole(
    engine: Engine,
    sql: Any,  # noqa: ANN401
) -> None:
    """Every unique key is guarded: REPLACE would otherwise remove a row by the one left out."""
    assert engine
    for table, keys in GUARDS.INSERT_ONLY.items():
        found = {
            ", ".join(row[2] for row in sql.execute(f"PRAGMA index_info('{index[1]}')"))
            for index in sql.execute(f"PRAGMA index_list({table})")
            if index[2]
        }
        primary = [row for row in sql.execute(f"PRAGMA table_info({table})") if row[5]]
        found.add(", ".join(row[1] for row in sorted(primary, key=lambda row: row[5])))
        assert found == set(keys), table


def test_a_vote_after_the_close_is_refused(engine: Engine, sql: Any) -> None:  # noqa: ANN401
    story, evaluation = tuned.compared(engine, 12)
    trial = tuned.planned(engine, story, evaluation, 2)
    tuned.prefer(engine, story.lead, trial)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    tuned.press(engine, ben, trial, Choice.TIE)
    with writing(engine) as session:
        blind.close(session, story.lead, trial.id)
        names = people.names(session)
    assert ben.id in names
    item = _one(sql, "SELECT min(id) FROM trial_item")
    with pytest.raises(Refused, match="this trial is closed"):
        sql.execute(
            "INSERT INTO vote (op, trial_id, item_id, user_id, choice, created_at)"
            " VALUES ('late', ?, ?, ?, 'left', '2026-01-01')",
            (trial.id, item, ben.id),
        )
