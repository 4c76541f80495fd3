"""The marks of pairs as they are kept: each text is looked at once, whoever asks, however often."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, and_, exists, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from curation.health.marks import marks_of, task_key
from curation.health.measured import Marks, Task
from storage.engine import reading, writing
from storage.tables import PairMarkRow, PairRow
from storage.types import PairStatus

_AT_ONCE = 500
_SOME = {"yield_per": _AT_ONCE}
COLUMNS = tuple(PairMarkRow.__table__.c[field.name] for field in fields(Marks))
"""The marks in the order of their fields."""


@dataclass(frozen=True, slots=True)
class UnmarkedText:
    """The text of a pair that nothing is known of yet."""

    pair_id: int
    content_sha256: str
    prompt: str
    response: str


def of_pair(task: Task) -> ColumnElement[bool]:
    """The condition that joins a pair with the marks of its present text."""
    return and_(
        PairMarkRow.pair_id == PairRow.id,
        PairMarkRow.content_sha256 == PairRow.content_sha256,
        PairMarkRow.task == task_key(task),
    )


def read(values: Sequence[Any]) -> Marks:
    """The marks from the values of `COLUMNS`."""
    tokens, of_response, words, language, encoding, odd, *judged = values
    return Marks(tokens, of_response, words, language, _parted(encoding), _parted(odd), *judged)


@cache
def _parted(joined: str) -> tuple[str, ...]:
    return tuple(filter(None, joined.split(",")))


def due(session: Session, project_id: int, task: Task) -> int:
    """How many pairs, not rejected, have a text without marks."""
    query = _unmarked(project_id, task).with_only_columns(func.count()).order_by(None)
    return session.scalar(query) or 0


def unmarked(
    session: Session, project_id: int, task: Task, *, after: int = 0, limit: int | None = None
) -> Iterator[UnmarkedText]:
    """Pairs, not rejected, whose text has no marks, by id from one id on."""
    query = _unmarked(project_id, task).where(PairRow.id > after).limit(limit)
    for pair_id, sha256, prompt, response in session.execute(query, execution_options=_SOME):
        yield UnmarkedText(pair_id, sha256, prompt, response)


def _unmarked(project_id: int, task: Task) -> Select[int, str, str, str]:
    marked = exists().where(of_pair(task))
    return (
        select(PairRow.id, PairRow.content_sha256, PairRow.prompt, PairRow.response)
        .where(PairRow.project_id == project_id, PairRow.status != PairStatus.REJECTED, ~marked)
        .order_by(PairRow.id)
    )


def looked_at(texts: Iterable[UnmarkedText], task: Task) -> dict[int, Marks]:
    """What these texts show, by pair. Slow: some 20,000 texts a second."""
    return {text.pair_id: marks_of(text.prompt, text.response, task) for text in texts}


def store(
    session: Session, task: Task, texts: Iterable[UnmarkedText], by_pair: Mapping[int, Marks]
) -> None:
    """Keep the marks of texts in the place of those of earlier texts."""
    key = task_key(task)
    lines = [
        {column.name: getattr(by_pair[text.pair_id], column.name) for column in COLUMNS}
        | {
            "pair_id": text.pair_id,
            "content_sha256": text.content_sha256,
            "task": key,
            "encoding": ",".join(by_pair[text.pair_id].encoding),
            "odd": ",".join(by_pair[text.pair_id].odd),
        }
        for text in texts
    ]
    if lines:
        fresh = insert(PairMarkRow)
        changed = {name: fresh.excluded[name] for name in lines[0] if name != "pair_id"}
        session.execute(fresh.on_conflict_do_update(["pair_id"], set_=changed), lines)


def catch_up(engine: Engine, project_id: int, task: Task) -> Iterator[int]:
    """Look at every text that has no marks; yields how many were looked at, some 500 at a time.

    In transactions of its own, each of some milliseconds: nobody waits while texts are looked at.
    """
    after = 0
    while True:
        with reading(engine) as session:
            texts = list(unmarked(session, project_id, task, after=after, limit=_AT_ONCE))
        if not texts:
            return
        by_pair = looked_at(texts, task)
        with writing(engine) as session:
            store(session, task, texts, by_pair)
        after = texts[-1].pair_id
        yield len(texts)
