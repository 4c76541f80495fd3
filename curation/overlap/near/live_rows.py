"""The rows of a project that a text nearly repeats, from an index caught up before each answer.

Each server process keeps the index of a project in memory and reads from the database only what
was revised since it last looked, whoever revised it. After a restart it is built anew from the
rows, at the first question: about 3 s for 100,000 rows of 570 characters, so of many rows beside
the question, which then has no answer yet. Nothing is kept on disk.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock, Thread

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from curation.overlap.duplicates import Near
from curation.overlap.near.live_index import LiveIndex
from storage.engine import reading
from storage.tables import PairRow, RevisionRow
from storage.types import PairStatus

_PROJECTS = 4
"""Indexes kept at once, about 1 KB a row; the one asked least recently goes first."""
_LIMIT = 200
"""Rows looked at, the most alike first, for one that was not rejected."""
_AT_ONCE = 20
_WAITED_FOR = 5_000
"""Rows up to which whoever asks first waits for the index."""
_FETCHED = 1_000
"""Rows that stand in memory at a time while an index is built."""

Mark = tuple[int, int, str]
"""A revision by its number, its pair and its text; a restored database has another one there."""


@dataclass(slots=True)
class _Caught:
    """An index, the newest revision that is in it, and those that were before."""

    index: LiveIndex = field(default_factory=LiveIndex)
    upto: Mark | None = None
    passed: deque[Mark] = field(default_factory=lambda: deque(maxlen=1_000))
    lock: Lock = field(default_factory=Lock)
    being_built: bool = False


_indexes: OrderedDict[tuple[str, int], _Caught] = OrderedDict()
_opening = Lock()


def alike(session: Session, project_id: int, prompt: str, minimum: float) -> Near | None:
    """The row, not rejected, whose input is most like this one, if any is alike enough.

    For a session that looks: what a transaction changed and then took back would stay in the
    index until the next revision. None too while the index of many rows is built.
    """
    index = _index(session, project_id)
    near = [] if index is None else index.alike(prompt, minimum, _LIMIT)
    return next(_alive(session, near), None)


def _alive(session: Session, near: list[Near]) -> Iterator[Near]:
    for start in range(0, len(near), _AT_ONCE):
        some = near[start : start + _AT_ONCE]
        query = select(PairRow.id).where(
            PairRow.id.in_([candidate.b for candidate in some]),
            PairRow.status != PairStatus.REJECTED,
        )
        alive = set(session.scalars(query))
        yield from (candidate for candidate in some if candidate.b in alive)


def _index(session: Session, project_id: int) -> LiveIndex | None:
    engine = session.get_bind().engine
    key = (str(engine.url), project_id)
    with _opening:
        caught = _indexes.setdefault(key, _Caught())
        _indexes.move_to_end(key)
        while len(_indexes) > _PROJECTS:
            _indexes.popitem(last=False)
    if caught.upto is None and _many(session, project_id):
        _build_beside(engine, project_id, caught)
        return None
    with caught.lock:
        _catch_up(session, project_id, caught)
        return caught.index


def _many(session: Session, project_id: int) -> bool:
    some = select(PairRow.id).where(PairRow.project_id == project_id).offset(_WAITED_FOR).limit(1)
    return session.scalar(some) is not None


def _build_beside(engine: Engine, project_id: int, caught: _Caught) -> None:
    """Build an index in a thread of its own, once however many ask."""
    with _opening:
        if caught.being_built:
            return
        caught.being_built = True

    def build() -> None:
        try:
            with caught.lock, reading(engine) as session:
                _catch_up(session, project_id, caught)
        finally:
            caught.being_built = False

    Thread(target=build, name=f"index-{project_id}", daemon=True).start()


def _catch_up(session: Session, project_id: int, caught: _Caught) -> None:
    newest = _mark(session, None)
    if newest == caught.upto or newest in caught.passed:
        return  # another thread, which looked later, was here first
    if caught.upto is not None and _mark(session, caught.upto[0]) != caught.upto:
        caught.index, caught.upto = LiveIndex(), None
        caught.passed.clear()
    query = select(PairRow.id, PairRow.prompt).where(PairRow.project_id == project_id)
    if caught.upto is not None:
        revised = select(RevisionRow.pair_id).where(RevisionRow.id > caught.upto[0])
        query = query.where(PairRow.id.in_(revised))
    rows = session.execute(query.execution_options(yield_per=_FETCHED))
    caught.index.put((row.id, row.prompt) for row in rows)
    if caught.upto is not None:
        caught.passed.append(caught.upto)
    caught.upto = newest


def _mark(session: Session, number: int | None) -> Mark | None:
    """The revision of this number, or the newest."""
    query = select(RevisionRow.id, RevisionRow.pair_id, RevisionRow.content_sha256)
    if number is not None:
        query = query.where(RevisionRow.id == number)
    row = session.execute(query.order_by(RevisionRow.id.desc()).limit(1)).first()
    return None if row is None else (row.id, row.pair_id, row.content_sha256)
