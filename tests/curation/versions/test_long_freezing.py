"""Freezing in many short transactions: unseen until whole; cut off anywhere, nothing is left."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from curation.overlap import ledger
from curation.review import decisions
from curation.versions import archive, freezing, long_freezing
from curation.versions.long_freezing import FreezeOrder
from storage import chunks, half, pairs, steps
from storage.engine import open_engine, reading, writing
from storage.errors import NotAllowed, NotFound, RuleBroken
from storage.types import Project, Role, User
from tests.support import curated, stories


class Killed(BaseException):
    """The process ends here, and nothing of it runs any more."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many transactions for few rows."""
    monkeypatch.setattr(chunks.write, "__defaults__", (steps.quiet, 5))


@pytest.fixture
def desk(engine: Engine) -> Project:
    """A project with twenty approved pairs, compared."""
    made = stories.project(engine)
    curated.approved(engine, made, 20)
    curated.compared(engine, made)
    return made


@pytest.fixture
def lena(engine: Engine) -> User:
    return stories.person(engine, "lena", Role.LEAD)


def _stored(engine: Engine) -> list[int]:
    """Rows of version, its rows and its proof, freezings, and test pairs: past what hides some."""
    queries = ["version", "version_row", "version_proof", "freezing", "pair WHERE held_out"]
    with engine.connect() as connection:
        return [
            connection.execute(text(f"SELECT count(*) FROM {query}")).scalar_one()  # noqa: S608
            for query in queries
        ]


def test_it_makes_the_same_version_as_one_transaction(
    engine: Engine, desk: Project, lena: User
) -> None:
    with reading(engine) as session:
        plan = freezing.planned(session, desk.id, 7, "")
    version = long_freezing.freeze_in_chunks(engine, lena, FreezeOrder(desk.id))
    assert (version.sha256, version.number) == (plan.sha256, 1)
    with reading(engine) as session:
        assert archive.verify(session, version.id) == version
        assert [held.id for held in pairs.listing(session, desk.id, held_out=True)] == plan.tested
        with pytest.raises(RuleBroken, match="Nothing changed since version 1"):
            freezing.planned(session, desk.id, 7, "")


def test_nobody_sees_it_before_it_is_whole(engine: Engine, desk: Project, lena: User) -> None:
    looks: list[list[int]] = []

    def step(_done: int, _total: int) -> None:
        with reading(engine) as session:
            assert archive.listing(session, desk.id) == []
            assert archive.count(session, desk.id) == 0
            assert ledger.tested(session, desk.id) == []
            with pytest.raises(NotFound):
                archive.get(session, 1)
        looks.append(_stored(engine)[:2])

    long_freezing.freeze_in_chunks(engine, lena, FreezeOrder(desk.id), step=step)
    assert looks[0] == [0, 0], "while its pairs are compared"
    written = [rows for versions, rows in looks if versions]
    assert written[:2] == [0, 5], "before a chunk and after one"
    assert written[-1] == 20


def test_who_stops_it_while_pairs_are_compared_leaves_nothing(
    engine: Engine, desk: Project, lena: User
) -> None:
    """At each of the steps before the first write, of which there are some."""
    before, looks = _stored(engine), 0
    for stop in range(100):
        steps: list[tuple[int, int]] = []

        def step(
            done: int, total: int, steps: list[tuple[int, int]] = steps, at: int = stop
        ) -> None:
            steps.append((done, total))
            if len(steps) > at and _stored(engine) == before:
                raise Killed

        try:
            long_freezing.freeze_in_chunks(engine, lena, FreezeOrder(desk.id), step=step)
        except Killed:
            looks += 1
            assert _stored(engine) == before
        else:
            break
    assert looks >= 3
    assert steps == sorted(steps), "what is done never falls"
    assert {total for _, total in steps} == {20}
    assert steps[-1] == (20, 20)


def test_a_pair_that_goes_back_to_review_meanwhile_stops_it(
    engine: Engine, desk: Project, lena: User
) -> None:
    def step(done: int, total: int) -> None:
        if done == total:
            with writing(engine) as session:
                row = pairs.get(session, 7)
                decisions.reopen(session, curated.ana(engine), row.id, row.version, "look again")

    with pytest.raises(RuleBroken, match="Pair 7 changed while the version was being made"):
        long_freezing.freeze_in_chunks(engine, lena, FreezeOrder(desk.id), step=step)
    assert _stored(engine) == [0, 0, 0, 0, 0]


def test_a_pair_decided_meanwhile_is_in_the_next_version(
    engine: Engine, desk: Project, lena: User
) -> None:
    def step(done: int, total: int) -> None:
        if done == total:
            curated.approved(engine, desk, stories.messages(1, start=900))

    first = long_freezing.freeze_in_chunks(engine, lena, FreezeOrder(desk.id), step=step)
    curated.compared(engine, desk)
    second = long_freezing.freeze_in_chunks(engine, lena, FreezeOrder(desk.id))
    assert [sum(version.counts.values()) for version in (first, second)] == [20, 21]


def test_two_at_once_are_not_begun(engine: Engine, desk: Project, lena: User) -> None:
    refused: list[str] = []

    def step(_done: int, _total: int) -> None:
        if not _stored(engine)[0]:
            return  # not begun yet
        with pytest.raises(RuleBroken, match="is being frozen already") as refusal:
            long_freezing.freeze_in_chunks(engine, lena, FreezeOrder(desk.id))
        refused.append(str(refusal.value))

    long_freezing.freeze_in_chunks(engine, lena, FreezeOrder(desk.id), step=step)
    assert refused
    assert _stored(engine)[:2] == [1, 20]


def test_who_may_not_freeze_is_refused_before_anything_is_written(
    engine: Engine, desk: Project
) -> None:
    rita = stories.person(engine, "rita", Role.REVIEWER)
    with pytest.raises(NotAllowed, match="rita may not freeze"):
        long_freezing.freeze_in_chunks(engine, rita, FreezeOrder(desk.id))
    assert _stored(engine) == [0, 0, 0, 0, 0]


@contextmanager
def _killed_at(engine: Engine, number: int) -> Iterator[list[str]]:
    """Nothing is written from the n-th write on, the end of a transaction being one."""
    writes: list[str] = []

    def write(what: str) -> None:
        if len(writes) >= number:
            raise Killed
        writes.append(what)

    def execute(*context: object) -> None:
        statement = str(context[2])
        if statement.split()[0] in {"INSERT", "UPDATE", "DELETE", "BEGIN"}:
            write(statement)

    def commit(_connection: object) -> None:
        write("COMMIT")

    event.listen(engine, "before_cursor_execute", execute)
    event.listen(engine, "commit", commit)
    try:
        yield writes
    finally:
        event.remove(engine, "before_cursor_execute", execute)
        event.remove(engine, "commit", commit)


@pytest.mark.T08
def test_killed_at_any_write_there_is_a_whole_version_or_none(
    engine: Engine,
    desk: Project,
    lena: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proof: Callable[..., None],
) -> None:
    monkeypatch.setattr(half, "ALIVE", timedelta(0))  # who comes next need not wait
    engine.dispose()
    kills, whole = 0, 0
    for number in range(200):
        path = tmp_path / f"{number}" / "assay.db"
        path.parent.mkdir()
        shutil.copy(str(engine.url.database), path)
        copied = open_engine(path)
        before = _stored(copied)
        with _killed_at(copied, number):
            try:
                long_freezing.freeze_in_chunks(copied, lena, FreezeOrder(desk.id))
            except (Killed, DBAPIError):
                kills += 1
                ended = False
            else:
                ended = True
        with reading(copied) as session:
            versions = archive.listing(session, desk.id)
            for version in versions:
                archive.verify(session, version.id)
        long_freezing.clear(copied, desk.id)
        whole += bool(versions)
        if versions:
            assert _stored(copied) == [1, 20, 1, 1, versions[0].counts["test"]]
        else:
            assert _stored(copied) == before == [0, 0, 0, 0, 0]
            long_freezing.freeze_in_chunks(copied, lena, FreezeOrder(desk.id))
        copied.dispose()
        if ended:
            break
    assert kills > whole > 1, "some before it was whole, and some after"
    proof(interleavings=kills, lost=0)


HARMS = (
    "DELETE FROM version WHERE id = 1",
    "DELETE FROM version_row WHERE version_id = 1",
    "UPDATE freezing SET whole_at = NULL",
    "UPDATE freezing SET version_id = 9",
    "DELETE FROM freezing",
    "INSERT INTO freezing (project_id, version_id, alive_until, created_at) "
    "VALUES (1, 1, '2020-01-01', '2020-01-01')",
)
"""Each would let a whole version be called half, and then be swept."""


def test_the_database_keeps_what_is_whole(engine: Engine, desk: Project, lena: User) -> None:
    long_freezing.freeze_in_chunks(engine, lena, FreezeOrder(desk.id))
    for harm in HARMS:
        with engine.begin() as connection:
            connection.execute(text("PRAGMA foreign_keys = OFF"))
            with pytest.raises(IntegrityError):
                connection.execute(text(harm))
    assert _stored(engine)[:4] == [1, 20, 1, 1]
