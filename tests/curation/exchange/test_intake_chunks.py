"""A large import in chunks: unseen until it is whole, and nothing of it where it never is."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, exists, func, select, text, update
from sqlalchemy.orm import aliased
from streamlit.testing.v1 import AppTest

from curation.exchange import intake
from curation.exchange.incoming import Incoming
from curation.exchange.intake import Intake
from curation.overlap import overlaps
from storage import events, half, imports, pairs, settings, unseen
from storage.engine import driver, reading, writing
from storage.errors import NotAllowed, NotFound, RuleBroken
from storage.tables import DecisionRow, LinkRow, PairRow, RevisionRow
from storage.types import LinkKind, Origin, PairStatus, Project, Role, User
from tests.support import curated, stories
from tests.support.ui import OpenPage

SHA = "a" * 64
MARK = "ZEBRAWORT"
COUNT = 700
Refused = driver().IntegrityError


class Stopped(Exception):
    """Someone cancels, the disk is full, the process ends."""


def _rows(count: int = COUNT, era: str | None = None) -> list[Incoming]:
    return [
        Incoming(line, f"{MARK} {prompt}", response, era, None, None)
        for line, (prompt, response) in enumerate(stories.messages(count, start=1_000), start=1)
    ]


@pytest.fixture
def desk(engine: Engine) -> Project:
    """A project with a test pair, which the file repeats, and pairs that wait for review."""
    desk = stories.project(engine)
    prompt, response = stories.messages(1, start=1_000)[0]
    stories.waiting(engine, desk, [(f"{MARK[::-1]} {prompt}", response)], held_out=True)
    stories.waiting(engine, desk, stories.messages(12))
    return desk


@pytest.fixture
def lea(engine: Engine) -> User:
    """An expert."""
    return stories.person(engine, "lea", Role.EXPERT)


def _counted(engine: Engine) -> dict[str, int]:
    """Rows in the tables, counted past what hides some of them."""
    with engine.connect() as connection:
        return {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608
            for table in ("pair", "revision", "link", "import", "event")
        }


def _cut_off(engine: Engine, actor: User, desk: Project, sha256: str = SHA) -> imports.HalfImport:
    """An import whose process was killed after two chunks; one of its pairs was linked already."""
    rows = _rows(60)

    def pair(pair_id: int, row: Incoming) -> pairs.NewPair:
        return pairs.NewPair(
            id=pair_id,
            prompt=row.prompt,
            response=row.response,
            content_sha256="0" * 64,
            origin=Origin.IMPORT,
            author_id=None,
            era_id=None,
            topic=MARK,
            held_out=False,
            source={"file": MARK, "line": row.line},
            source_key=f"{sha256}:{row.line}",
        )

    with writing(engine) as session:
        going = imports.begin(
            session, actor, desk.id, lambda last: pair(last, rows[-1]), count=60, sha256=sha256
        )
    with writing(engine) as session:
        imports.add(
            session,
            going,
            [pair(at, row) for at, row in zip(going.ids[:40], rows[:40], strict=True)],
        )
        session.add(
            LinkRow(
                project_id=desk.id,
                a=1,
                b=going.first_id,
                a_sha256="0" * 64,
                b_sha256="0" * 64,
                kind=LinkKind.LEAK,
                similarity=1.0,
                state="open",
            )
        )
    return going


def test_a_file_in_chunks_does_what_a_small_one_does(
    engine: Engine, desk: Project, lea: User
) -> None:
    rows = _rows(80)
    imported = intake.take_in_chunks(engine, lea, Intake(desk.id, "a.csv", SHA), rows)
    other = stories.project(engine, "Other")
    prompt, response = stories.messages(1, start=1_000)[0]
    stories.waiting(engine, other, [(f"{MARK[::-1]} {prompt}", response)], held_out=True)
    with writing(engine) as session:
        at_once = intake.take(session, lea, other.id, tuple(rows), name="a.csv", sha256=SHA)
    assert len(imported.added) == len(at_once.added) == 80
    assert imported.invalid == at_once.invalid == 0
    with reading(engine) as session:
        one, two = (
            [
                (pair.prompt, pair.response, pair.source, pair.status, pair.topic, pair.version)
                for pair in pairs.listing(session, project.id)
                if pair.id in ids
            ]
            for project, ids in ((desk, imported.added), (other, at_once.added))
        )
        assert one == two
        assert len(one) == 80
        leaks = [
            [(leak.line, leak.how) for leak in result.repeating] for result in (imported, at_once)
        ]
        assert leaks[0] == leaks[1]
        assert [line for line, _ in leaks[0]] == [1]
        linked = overlaps.current(session, desk.id, (LinkKind.LEAK,))
        assert [(link.a, link.b) for link in linked] == [(1, imported.added[0])]
        happened = [e for e in events.latest(session, desk.id) if e.verb == "import"]
    assert [e.detail["added"] for e in happened] == [80]
    again = intake.take_in_chunks(engine, lea, Intake(desk.id, "a.csv", SHA), rows)
    assert (len(again.added), again.existing) == (0, 80)


def test_what_ends_an_import_at_any_chunk_leaves_nothing_of_it(
    engine: Engine, desk: Project, lea: User
) -> None:
    """A cancel, an error or Ctrl-C between any two transactions; then the file goes in."""
    rows, before = _rows(), _counted(engine)
    calls = 0
    for stop in range(100):
        count = iter(range(100))

        def step(_done: int, _total: int, count: Iterator[int] = count, stop: int = stop) -> None:
            if next(count) == stop:
                raise Stopped

        try:
            imported = intake.take_in_chunks(
                engine, lea, Intake(desk.id, "a.csv", SHA), rows, step=step
            )
        except Stopped:
            calls += 1
            assert _counted(engine) == before
        else:
            break
    assert calls >= 4
    assert len(imported.added) == COUNT


def test_no_query_sees_pairs_of_a_half_import(engine: Engine, desk: Project, lea: User) -> None:
    _cut_off(engine, lea, desk, "b" * 64)
    going = _cut_off(engine, lea, desk)
    hidden, other = going.first_id, aliased(PairRow)
    with writing(engine) as session:
        assert len(pairs.listing(session, desk.id)) == 13
        assert pairs.counts(session, desk.id)[PairStatus.WAITING] == 13
        with pytest.raises(NotFound):
            pairs.get(session, hidden)
        for query in (
            select(PairRow.id).where(PairRow.id == hidden),
            select(other.id).where(other.id == hidden),
            select(func.count())
            .select_from(PairRow)
            .where(PairRow.id == hidden)
            .having(func.count() > 0),
            select(RevisionRow.id)
            .join(PairRow, PairRow.id == RevisionRow.pair_id)
            .where(RevisionRow.pair_id == hidden),
            select(RevisionRow.id).where(
                RevisionRow.pair_id == hidden,
                exists(select(PairRow.id).where(PairRow.id == RevisionRow.pair_id)),
            ),
            select(RevisionRow.id).where(
                RevisionRow.pair_id.in_(select(PairRow.id).where(PairRow.id == hidden))
            ),
            select(LinkRow.id),
        ):
            assert session.execute(query).all() == [], str(query)
        assert overlaps.current(session, desk.id, tuple(LinkKind)) == []
        session.execute(update(PairRow).values(flagged=True))
        session.execute(delete(DecisionRow).where(DecisionRow.id < 0))
    with engine.connect() as connection:
        flagged = connection.execute(text("SELECT count(*) FROM pair WHERE flagged")).scalar_one()
    assert flagged == 13


LISTING = tuple(
    f"pages/{name}/page.py"
    for name in (
        "operate/home",
        "label/review",
        "label/browse",
        "curate/duplicates",
        "curate/scrub",
        "curate/audit",
        "curate/eras",
        "curate/ready",
        "curate/versions",
    )
)
"""The pages that list or count pairs."""


def _drawn(page: AppTest) -> str:
    assert not page.exception
    tables = [frame.value.to_dict() for frame in page.dataframe]
    return f"{page.main}{page.sidebar}{tables}"


def test_no_page_shows_pairs_of_a_half_import(
    engine: Engine, desk: Project, lea: User, open_page: OpenPage
) -> None:
    before = {path: _drawn(open_page(path, "ana")) for path in LISTING}
    _cut_off(engine, lea, desk)
    for path in LISTING:
        page = _drawn(open_page(path, "ana"))
        assert MARK not in page, path
        assert page == before[path], path


def test_who_writes_a_pair_meanwhile_gets_an_id_after_those_set_aside(
    engine: Engine, desk: Project, lea: User
) -> None:
    going = _cut_off(engine, lea, desk)
    (fresh,) = stories.waiting(engine, desk, stories.messages(1, start=500))
    assert fresh.id > going.last_id
    with reading(engine) as session:
        assert pairs.get(session, fresh.id).prompt == fresh.prompt


def test_a_cut_off_import_is_swept_and_the_file_goes_in_again(
    engine: Engine, desk: Project, lea: User
) -> None:
    before = _counted(engine)
    going = _cut_off(engine, lea, desk)
    rows = _rows(60)
    with pytest.raises(RuleBroken, match="being imported into the project already"):
        intake.take_in_chunks(engine, lea, Intake(desk.id, "a.csv", SHA), rows)
    imports.sweep(engine, going)
    assert _counted(engine) == before
    with pytest.raises(RuleBroken, match="cleared"), writing(engine) as session:
        imports.renew(session, going)  # its process wakes up
    intake.take_in_chunks(engine, lea, Intake(desk.id, "a.csv", SHA), rows)
    with reading(engine) as session:
        assert len(pairs.listing(session, desk.id)) == 73


def test_an_import_whose_time_has_passed_makes_way(
    engine: Engine, desk: Project, lea: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(half, "ALIVE", -half.ALIVE)
    _cut_off(engine, lea, desk)
    monkeypatch.undo()
    intake.take_in_chunks(engine, lea, Intake(desk.id, "a.csv", SHA), _rows(60))
    with reading(engine) as session:
        assert len(pairs.listing(session, desk.id)) == 73
        assert imports.unfinished(session) == []


def test_an_import_is_whole_only_with_all_its_pairs(
    engine: Engine, desk: Project, lea: User
) -> None:
    going = _cut_off(engine, lea, desk)
    with pytest.raises(RuleBroken, match="missing"), writing(engine) as session:
        imports.complete(session, going)


def test_the_database_deletes_pairs_of_a_half_import_only(
    engine: Engine, desk: Project, lea: User
) -> None:
    """Whatever program writes to it: plain SQL, no verb in between."""
    intake.take_in_chunks(engine, lea, Intake(desk.id, "b.csv", "b" * 64), _rows(30))
    with closing(driver().connect(settings.current().database, isolation_level=None)) as sql:
        for query, why in (
            ("DELETE FROM pair WHERE source_key LIKE 'b%'", "never deleted"),
            ("DELETE FROM revision WHERE pair_id = (SELECT max(id) FROM pair)", "insert-only"),
            ("DELETE FROM pair WHERE id = 2", "never deleted"),
            ("UPDATE import SET whole_at = NULL", "stays so"),
            ("DELETE FROM import", "never deleted"),
            (
                "INSERT INTO import (project_id, user_id, sha256, first_id, last_id, alive_until,"
                " created_at) VALUES (1, 1, 'x', 1, 5, '2026-01-01', '2026-01-01')",
                "ids that no pair has",
            ),
        ):
            with pytest.raises(Refused, match=why):
                sql.execute(query)
    _cut_off(engine, lea, desk)
    with (
        closing(driver().connect(settings.current().database, isolation_level=None)) as sql,
        pytest.raises(Refused, match="keeps its ids"),
    ):
        sql.execute("UPDATE import SET first_id = 1 WHERE whole_at IS NULL")


@pytest.fixture
def transactions(engine: Engine) -> Iterator[list[Counter[str]]]:
    """Of each transaction that wrote something, how many rows went into which table."""
    listed: list[Counter[str]] = []
    going: Counter[str] = Counter()

    def count(_c: Any, _cursor: Any, statement: str, params: Any, _x: Any, many: bool) -> None:  # noqa: ANN401
        verb, _, rest = statement.partition(" INTO ")
        if verb == "INSERT":
            going[rest.split()[0].strip('"')] += len(params) if many else 1

    def commit(_connection: Any) -> None:  # noqa: ANN401
        if going:
            listed.append(Counter(going))
        going.clear()

    event.listen(engine, "before_cursor_execute", count)
    event.listen(engine, "commit", commit)
    yield listed
    event.remove(engine, "before_cursor_execute", count)
    event.remove(engine, "commit", commit)


def test_others_write_between_any_two_chunks(
    engine: Engine, desk: Project, lea: User, transactions: list[Counter[str]]
) -> None:
    """The lock is free between chunks, each of which is short; another program asks for it at once
    and does not wait. How long a press takes beside an import: `python -m benchmarks.imports`.
    """
    curated.ana(engine)
    with closing(
        driver().connect(settings.current().database, isolation_level=None, timeout=0)
    ) as elsewhere:

        def step(_done: int, _total: int) -> None:
            elsewhere.execute("BEGIN IMMEDIATE")
            elsewhere.execute("ROLLBACK")

        transactions.clear()
        intake.take_in_chunks(engine, lea, Intake(desk.id, "a.csv", SHA), _rows(), step=step)
    assert sum(going["pair"] for going in transactions) == COUNT
    assert max(going["pair"] for going in transactions) <= 250
    assert transactions[-1] == Counter(event=1), "what makes it whole writes no pair"


def test_nothing_is_asked_of_a_statement_while_no_import_is_under_way(
    engine: Engine, desk: Project
) -> None:
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    with reading(engine) as session:
        for _ in range(5):
            pairs.counts(session, desk.id)
    event.remove(engine, "before_cursor_execute", note)
    assert sum("FROM import" in statement for statement in statements) == 1
    assert not any("BETWEEN" in statement for statement in statements)
    assert unseen.__doc__


def test_who_may_not_import_writes_nothing(engine: Engine, desk: Project) -> None:
    rita, before = stories.person(engine, "rita", Role.REVIEWER), _counted(engine)
    with pytest.raises(NotAllowed):
        intake.take_in_chunks(engine, rita, Intake(desk.id, "a.csv", SHA), _rows(60))
    assert _counted(engine) == before


def test_a_file_that_is_compared_in_parts_has_the_same_leaks(
    engine: Engine, desk: Project, lea: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_COMPARED", 7)
    rows, before = _rows(40), _counted(engine)
    steps: list[tuple[int, int]] = []
    comparing: list[int] = []

    def step(done: int, total: int) -> None:
        steps.append((done, total))
        if _counted(engine) == before:
            comparing.append(done)

    imported = intake.take_in_chunks(engine, lea, Intake(desk.id, "a.csv", SHA), rows, step=step)
    assert len(set(comparing)) == 6, "each part moves the bar"
    assert len(comparing) > 12, "and within a part it can be cancelled"
    assert steps == sorted(steps), "what is done never falls"
    assert steps[-1] == (40, 40)
    assert [(leak.line, leak.test_id) for leak in imported.repeating] == [(1, 1)]
