"""Policy eras: days that never overlap, a history that nobody changes, changes taken back."""

import importlib
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from curation.policy import belonging, eras
from curation.review import writing as gold
from storage import events, migrate, projects
from storage.engine import driver, open_engine, reading, writing
from storage.errors import BadInput, NotFound, RuleBroken
from storage.settings import current
from storage.tables import PairRow
from storage.types import Era, Project, Role, User
from tests.support import stories

GUARDS = importlib.import_module("storage.migrations.versions.0005_eras")
JAN, MAR, JUN = date(2024, 1, 1), date(2024, 3, 1), date(2024, 6, 1)


@pytest.fixture
def desk(engine: Engine) -> Project:
    """A project without eras."""
    return stories.project(engine)


@pytest.fixture
def lea(engine: Engine) -> User:
    """A lead."""
    return stories.person(engine, "lea", Role.LEAD)


def add(engine: Engine, lea: User, desk: Project, name: str, starts: date, **more: Any) -> Era:  # noqa: ANN401
    with writing(engine) as session:
        return eras.add(session, lea, desk.id, name, starts, **more)


def change(engine: Engine, lea: User, era: Era, seen: int = 1, **more: Any) -> Era:  # noqa: ANN401
    given = {"name": era.name, "starts_on": era.starts_on, **more}
    with writing(engine) as session:
        return eras.change(session, lea, era.id, revision=seen, **given)


def test_an_era_has_days_a_document_and_phrases(engine: Engine, lea: User, desk: Project) -> None:
    era = add(
        engine,
        lea,
        desk,
        " One  desk ",
        JAN,
        ends_on=MAR,
        document="Policy 7",
        url="https://x.example/7",
        phrases=["one desk", " ", "one desk"],
    )
    with reading(engine) as session:
        assert projects.eras(session, desk.id) == [era]
        assert (era.name, era.ends_on, era.phrases) == ("One desk", MAR, ("one desk",))
        (told,) = eras.history(session, era.id)
        assert (told.verb, told.by, told.era) == ("add", "lea", era)
        assert eras.named(session, desk.id, "ONE DESK") == era
        with pytest.raises(NotFound, match="There are: One desk"):
            eras.named(session, desk.id, "two")


@pytest.mark.parametrize(
    ("name", "starts", "ends", "why"),
    [
        ("new", MAR, JAN, "would end on 2024-01-01, before it starts"),
        ("new", JAN, None, "overlap the era old on 2024-01-01"),
        ("new", MAR, None, "overlap the era old on 2024-03-01"),
        ("new", date(2023, 1, 1), JAN, "overlap the era old on 2024-01-01"),
        ("OLD", JUN, None, "already an era OLD"),
        (" ", JUN, None, "name of 1 to 80"),
    ],
)
def test_days_and_names_that_clash_are_refused_in_a_sentence(
    engine: Engine, lea: User, desk: Project, name: str, starts: date, ends: date | None, why: str
) -> None:
    add(engine, lea, desk, "old", JAN, ends_on=MAR)
    with pytest.raises(BadInput, match=why):
        add(engine, lea, desk, name, starts, ends_on=ends)
    with reading(engine) as session:
        assert len(projects.eras(session, desk.id)) == 1


@pytest.mark.parametrize("phrase", ["...", "x" * 201])
def test_phrases_that_cannot_be_searched_are_refused(
    engine: Engine, lea: User, desk: Project, phrase: str
) -> None:
    with pytest.raises(BadInput, match="phrase"):
        add(engine, lea, desk, "era", JAN, phrases=[phrase])


def test_an_open_era_ends_where_the_next_begins(engine: Engine, lea: User, desk: Project) -> None:
    old, new = add(engine, lea, desk, "old", JAN), add(engine, lea, desk, "new", MAR)
    assert projects.last_days([]) == {}
    assert projects.last_days([new, old]) == {old.id: MAR - timedelta(days=1), new.id: None}


def test_the_era_in_force_has_begun_is_not_over_and_not_retired(
    engine: Engine, lea: User, desk: Project
) -> None:
    old = add(engine, lea, desk, "old", JAN, ends_on=date(2024, 1, 31))
    gone = add(engine, lea, desk, "gone", MAR, retired=True)
    later = add(engine, lea, desk, "later", date(2999, 1, 1))
    known = [old, gone, later]
    assert projects.current_era([], JUN) is None
    assert projects.current_era(known, date(2024, 1, 31)) == old
    assert projects.current_era([replace(old, ends_on=None), gone], JUN) is None
    assert projects.current_era(known, date(2024, 2, 1)) is None
    assert projects.current_era(known, JUN) is None
    with reading(engine) as session:
        assert gold.current_era(session, desk.id) is None
    now = add(engine, lea, desk, "now", JUN)
    with reading(engine) as session:
        assert gold.current_era(session, desk.id) == now.id


def test_a_change_is_kept_and_taken_back_by_one_more(
    engine: Engine, lea: User, desk: Project
) -> None:
    era = add(engine, lea, desk, "old", JAN)
    changed = change(engine, lea, era, starts_on=MAR, document="Policy 8")
    assert (changed.starts_on, changed.document) == (MAR, "Policy 8")
    with pytest.raises(RuleBroken, match="changed since it was shown"):
        change(engine, lea, era, seen=1, name="late")
    with writing(engine) as session:
        assert eras.undo(session, lea, era.id, revision=2) == era
    with reading(engine) as session:
        told = eras.history(session, era.id)
        verbs = [one.verb for one in events.latest(session, desk.id)]
    assert [one.verb for one in told] == ["undo", "change", "add"]
    assert verbs[:3] == ["undo_era", "change_era", "add_era"]
    with writing(engine) as session, pytest.raises(RuleBroken, match="changed since"):
        eras.undo(session, lea, era.id, revision=2)


def test_there_is_nothing_to_undo_at_first(engine: Engine, lea: User, desk: Project) -> None:
    era = add(engine, lea, desk, "old", JAN)
    with writing(engine) as session, pytest.raises(RuleBroken, match="nothing to undo"):
        eras.undo(session, lea, era.id, revision=1)


def test_an_undo_that_would_overlap_is_refused(engine: Engine, lea: User, desk: Project) -> None:
    era = add(engine, lea, desk, "old", JAN, ends_on=JUN)
    change(engine, lea, era, ends_on=date(2024, 1, 31))
    add(engine, lea, desk, "new", MAR)
    with writing(engine) as session, pytest.raises(BadInput, match="overlap the era new"):
        eras.undo(session, lea, era.id, revision=2)


def test_retired_and_reinstated_once_each(engine: Engine, lea: User, desk: Project) -> None:
    era = add(engine, lea, desk, "old", JAN)
    with writing(engine) as session:
        assert eras.retire(session, lea, era.id).retired
        with pytest.raises(RuleBroken, match="retired already"):
            eras.retire(session, lea, era.id)
        assert not eras.reinstate(session, lea, era.id).retired
        with pytest.raises(RuleBroken, match="in force already"):
            eras.reinstate(session, lea, era.id)
        with pytest.raises(NotFound, match="no era 99"):
            eras.retire(session, lea, 99)


def test_a_row_belongs_by_tag_or_by_wording(engine: Engine, lea: User, desk: Project) -> None:
    old = add(engine, lea, desk, "old", JAN, retired=True, phrases=["passbook desk"])
    new = add(engine, lea, desk, "new", MAR)
    worded, _ = stories.waiting(
        engine, desk, [("Ask the PASSBOOK  desk", "{}"), ("Ask the passbook desks", "{}")]
    )
    with reading(engine) as session:
        mine = PairRow.project_id == desk.id
        for era, ids in ((old, [worded.id]), (new, [])):
            belongs = belonging.of_era(session, mine, era)
            assert list(session.scalars(select(PairRow.id).where(belongs))) == ids


def test_a_phrase_is_found_however_its_letters_are_written(engine: Engine, desk: Project) -> None:
    written = ["the \uff50assbook desk", "the PASS\u200bBOOK desk", "passbookdesk", "GEBU\u0308HR"]
    rows = stories.waiting(engine, desk, [(text, f"{n}") for n, text in enumerate(written)])
    for phrase, wanted in (("passbook desk", rows[:2]), ("Gebühr", rows[3:])):
        with reading(engine) as session:
            found = belonging.worded(session, PairRow.project_id == desk.id, [phrase])
        assert found == [row.id for row in wanted]


def test_the_history_is_never_changed(engine: Engine, lea: User, desk: Project) -> None:
    era = add(engine, lea, desk, "old", JAN)
    change(engine, lea, era, starts_on=MAR)
    sql = driver().connect(current().database, isolation_level=None)
    refused = driver().IntegrityError
    for table, keys in GUARDS.INSERT_ONLY.items():
        for statement in (f"UPDATE {table} SET name = 'x'", f"DELETE FROM {table}"):  # noqa: S608
            with pytest.raises(refused, match=f"{table} is insert-only"):
                sql.execute(statement)
        with pytest.raises(refused, match=f"{table} has this row already"):
            sql.execute(f"REPLACE INTO {table} SELECT * FROM {table}")  # noqa: S608
        found = {
            ", ".join(row[2] for row in sql.execute(f"PRAGMA index_info('{index[1]}')"))
            for index in sql.execute(f"PRAGMA index_list({table})")
            if index[2]
        }
        assert found | {"id"} == set(keys)
    sql.close()


def test_eras_of_an_older_database_begin_their_history(tmp_path: Any) -> None:  # noqa: ANN401
    engine = open_engine(tmp_path / "assay.db")
    migrate.upgrade(engine, "0002")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO project (id, name, task, system_message, guidelines, two_people,"
                " sample, created_at) VALUES (1, 'Desk', 't', 's', '', 1, 0, '2026-01-01')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO era (id, project_id, name, starts_on, retired, phrases)"
                " VALUES (1, 1, 'old', '2019-01-01', 1, '[\"passbook\"]')"
            )
        )
    migrate.upgrade(engine)
    with reading(engine) as session:
        (told,) = eras.history(session, 1)
        assert (told.verb, told.by, told.number) == ("add", "", 1)
        assert told.era == eras.get(session, 1)
        assert told.era.phrases == ("passbook",)
    engine.dispose()
