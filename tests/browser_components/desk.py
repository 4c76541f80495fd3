"""A small review desk on SQLite that follows the rules the card predicts; it survives a kill."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation.review.ops import Answer, BallotOp, Op, Receipt, Submission
from storage.types import Action

_SCHEMA = """
drop table if exists row;
drop table if exists decision;
drop table if exists vote;
drop table if exists pair;
drop table if exists scratch;
create table row(id integer primary key, prompt text, response text, draft text,
  status text default 'waiting', version integer default 1, fence integer default 7,
  skipped integer default 0);
create table decision(n integer primary key autoincrement, op text unique, row integer,
  version integer, action text, reason text, prompt text, response text, target text,
  undone integer default 0);
create table vote(op text primary key, item text, choice text, target text);
create table pair(op text primary key, prompt text, response text);
create table scratch(id integer primary key check (id = 1), words text);
"""
BUSY = "Not saved yet. Longer work is saving just now."
_AFTER = {Action.APPROVE: "approved", Action.REJECT: "rejected", Action.FLAG: "flagged"}


@contextmanager
def _writing() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(os.environ["DESK"], timeout=10, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("pragma journal_mode=wal")
    connection.execute("begin immediate")
    try:
        yield connection
        connection.execute("commit")
    finally:
        connection.close()


def busy_file() -> Path:
    """While it is there, longer work holds the desk's database."""
    return Path(os.environ["DESK"] + ".busy")


def is_busy() -> bool:
    """Whether nothing can be saved now."""
    return busy_file().exists()


def lay_out(prompts: list[tuple[str, str]]) -> None:
    """Make the tables and put the rows on the desk."""
    with sqlite3.connect(os.environ["DESK"]) as connection:
        connection.executescript(_SCHEMA)
        connection.executemany(
            "insert into row(prompt, response, draft) values (?, ?, ?)",
            [(prompt, response, response) for prompt, response in prompts],
        )
    connection.close()


def rows(query: str) -> list[dict[str, Any]]:
    """What a test asks of the desk afterwards."""
    with _writing() as connection:
        return [dict(row) for row in connection.execute(query)]


def hand_out(have: list[int], want: list[int], many: int) -> list[dict[str, Any]]:
    """Waiting rows that the browser does not hold, first those it wants, last the skipped ones."""
    query = "select * from row where status = 'waiting' order by skipped, id"
    free = [row for row in rows(query) if row["id"] not in have]
    asked = [row for row in free if row["id"] in want]
    return asked + [row for row in free if row["id"] not in want][: max(0, many)]


def decide(ops: list[Op]) -> dict[str, Receipt]:
    """Apply a whole outbox in order, each op once."""
    time.sleep(float(os.environ.get("SLOW", "0")))
    with _writing() as connection:
        return {op.op: _decide(connection, op) for op in ops}


def _decide(connection: sqlite3.Connection, op: Op) -> Receipt:
    row = connection.execute("select * from row where id = ?", (op.row,)).fetchone()
    if connection.execute("select 1 from decision where op = ?", (op.op,)).fetchone():
        return Receipt(op.op, Answer.SAVED, "", row["version"], row["fence"])
    refusal = _refusal(connection, op, row)
    if refusal is not None:
        return refusal
    _apply(connection, op)
    connection.execute(
        "insert into decision(op, row, version, action, reason, prompt, response, target)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        (op.op, op.row, op.version, op.action, op.reason, op.prompt, op.response, op.target),
    )
    version = row["version"] + (op.action is not Action.SKIP)
    return Receipt(op.op, Answer.SAVED, "", version, row["fence"])


def _refusal(connection: sqlite3.Connection, op: Op, row: sqlite3.Row) -> Receipt | None:
    def answer(status: Answer, message: str) -> Receipt:
        return Receipt(op.op, status, message, row["version"], row["fence"])

    if op.action is Action.UNDO:
        query = "select 1 from decision where op = ? and undone = 0"
        known = connection.execute(query, (op.target,)).fetchone()
        return None if known else answer(Answer.REFUSED, "That decision is no longer there.")
    if row["fence"] != op.fence:
        return answer(Answer.LATE, f"Someone else had taken pair {op.row}; your decision is kept.")
    if row["version"] != op.version or row["status"] != "waiting":
        return answer(Answer.CONFLICT, f"Pair {op.row} changed since you saw it.")
    if op.action is Action.APPROVE and "refuse me" in (op.response or ""):
        return answer(Answer.REFUSED, f"Pair {op.row} does not fit the rules: say it differently.")
    return None


def _apply(connection: sqlite3.Connection, op: Op) -> None:
    if op.action is Action.SKIP:
        connection.execute("update row set skipped = skipped + 1 where id = ?", (op.row,))
        return
    if op.action is Action.UNDO:
        connection.execute("update decision set undone = 1 where op = ?", (op.target,))
    connection.execute(
        "update row set status = ?, version = version + 1, prompt = coalesce(?, prompt),"
        " response = coalesce(?, response) where id = ?",
        (_AFTER.get(op.action, "waiting"), op.prompt, op.response, op.row),
    )


def recent() -> list[dict[str, Any]]:
    """The last ten decisions that stand."""
    return rows(
        "select d.op, d.row id, d.action, substr(r.prompt, 1, 60) title, r.version, r.fence"
        " from decision d join row r on r.id = d.row where undone = 0 and action != 'undo'"
        " order by n desc limit 10"
    )


def vote(ops: list[BallotOp]) -> dict[str, Receipt]:
    """Keep each vote once."""
    time.sleep(float(os.environ.get("SLOW", "0")))
    with _writing() as connection:
        connection.executemany(
            "insert or ignore into vote values (?, ?, ?, ?)",
            [(op.op, op.item, op.choice, op.target) for op in ops],
        )
    return {op.op: Receipt(op.op, Answer.SAVED, "", None, None) for op in ops}


def standing_votes() -> dict[str, str]:
    """Item to choice, without what was withdrawn."""
    votes = rows("select * from vote")
    gone = {vote["target"] for vote in votes}
    return {v["item"]: v["choice"] for v in votes if v["op"] not in gone and not v["target"]}


def write_pair(pair: Submission) -> Receipt:
    """Save a gold pair once; a response that asks for it is refused."""
    time.sleep(float(os.environ.get("SLOW", "0")))
    if "refuse me" in pair.response:
        return Receipt(pair.op, Answer.REFUSED, "The output does not fit the rules.", None, None)
    with _writing() as connection:
        connection.execute(
            "insert or ignore into pair values (?, ?, ?)", (pair.op, pair.prompt, pair.response)
        )
        number = connection.execute("select count(*) from pair").fetchone()[0]
        connection.execute("delete from scratch")
    return Receipt(pair.op, Answer.SAVED, f"Saved as pair {number}.", None, None)


def keep_scratch(words: dict[str, Any]) -> None:
    """Remember what is being typed."""
    with _writing() as connection:
        connection.execute("insert or replace into scratch values (1, ?)", (json.dumps(words),))


def kept_scratch() -> dict[str, Any] | None:
    """What was being typed."""
    found = rows("select words from scratch")
    return json.loads(found[0]["words"]) if found else None
