"""Versions as stories: frozen once, named by their content, test rows never train again."""

import hashlib
import sqlite3

import pytest
from sqlalchemy import Engine

from curation.overlap import overlaps
from curation.review import decisions
from curation.versions import archive, canonical, changes, freezing
from storage import pairs
from storage.engine import reading, writing
from storage.errors import NotAllowed, RuleBroken, Unavailable
from storage.types import Project, Role, Split
from tests.support import curated, stories

TEXT = "my card was eaten by the machine at the station this morning and I need a new one today"


def ready(engine: Engine, rows: int = 40) -> Project:
    """A project with so many approved rows."""
    desk = stories.project(engine)
    curated.approved(engine, desk, rows)
    return desk


def test_a_version_holds_every_approved_row_and_nothing_else(engine: Engine) -> None:
    desk = ready(engine)
    stories.waiting(engine, desk, stories.messages(3, start=500))
    version = curated.frozen(engine, desk)
    with reading(engine) as session:
        frozen = archive.rows(session, version.id)
        assert archive.verify(session, version.id) == version
    assert len(frozen) == sum(version.counts.values()) == 40
    assert version.counts["test"] / 40 == pytest.approx(0.175, abs=0.026)
    assert version.sha256 == hashlib.sha256(canonical.canonical(frozen)).hexdigest()
    assert version.manifest.approvals == {str(curated.ana(engine).id): 40}


def test_the_same_rows_and_seed_give_the_same_split(engine: Engine) -> None:
    desk = ready(engine)
    first = curated.frozen(engine, desk)
    with writing(engine) as session, pytest.raises(RuleBroken, match="Nothing changed since"):
        freezing.freeze(session, curated.ana(engine), desk.id, first.seed)


def test_test_rows_stay_test_rows_in_every_later_version(engine: Engine) -> None:
    desk = ready(engine)
    first = curated.frozen(engine, desk)
    curated.approved(engine, desk, stories.messages(20, start=100))
    second = curated.frozen(engine, desk, seed=99)
    with reading(engine) as session:
        tested = {row.pair_id for row in archive.rows(session, first.id, Split.TEST)}
        later = {row.pair_id for row in archive.rows(session, second.id, Split.TEST)}
        changed = changes.difference(session, first.id, second.id)
        held = {row.id for row in pairs.listing(session, desk.id, held_out=True)}
    assert tested < later == held
    assert (len(changed.added), changed.removed, changed.changed) == (20, (), ())


def test_what_the_database_counts_of_two_versions_is_what_reading_them_finds(
    engine: Engine,
) -> None:
    desk, ana = ready(engine), curated.ana(engine)
    first = curated.frozen(engine, desk)
    with writing(engine) as session:
        gone, rewritten = (row.pair_id for row in archive.rows(session, first.id, Split.TRAIN)[:2])
        decisions.reject(session, ana, pairs.row_of(session, gone), "Other")
        row = pairs.row_of(session, rewritten)
        pairs.rewrite(session, row, f"{row.prompt} Please.", row.response, ana)
        decisions.send_back(session, ana, row, "New words")
        fresh = pairs.get(session, rewritten)
    curated.approve(engine, desk, [fresh])
    curated.approved(engine, desk, stories.messages(5, start=100))
    second = curated.frozen(engine, desk, seed=99)
    with reading(engine) as session:
        complete = changes.difference(session, first.id, second.id)
        glance = changes.glance(session, first, second)
    assert glance.added.ids == complete.added
    assert glance.removed.ids == complete.removed == (gone,)
    assert glance.changed.ids == complete.changed == (rewritten,)
    assert set(glance.moved.ids) == set(complete.moved) - {rewritten}
    assert glance.rows == complete.rows
    assert glance.count == len(complete.rows)


def test_a_change_after_the_freeze_shows_and_changes_nothing_inside(engine: Engine) -> None:
    desk = ready(engine)
    version = curated.frozen(engine, desk)
    with writing(engine) as session:
        row = archive.rows(session, version.id, Split.TRAIN)[0]
        seen = pairs.get(session, row.pair_id)
        decisions.reopen(session, curated.ana(engine), seen.id, seen.version, "look again")
    with reading(engine) as session:
        assert archive.withdrawn(session, version.id).ids == (row.pair_id,)
        assert archive.verify(session, version.id).sha256 == version.sha256


def test_near_duplicates_that_were_kept_stay_on_one_side(engine: Engine) -> None:
    desk = ready(engine)
    alike = [(f"{greeting} {TEXT}", stories.CARDS) for greeting in ("Oh,", "Hello,", "Please,")]
    rows = curated.approved(engine, desk, alike)
    curated.compared(engine, desk)
    for link in curated.links(engine, desk):
        with writing(engine) as session:
            overlaps.both_right(session, curated.ana(engine), link.id, "Greetings differ.")
    for seed in range(3):
        version = curated.frozen(engine, desk, seed)
        with reading(engine) as session:
            sides = {
                row.split
                for row in archive.rows(session, version.id)
                if row.pair_id in {one.id for one in rows}
            }
        assert len(sides) == 1


def test_too_few_or_uncompared_rows_are_not_frozen(engine: Engine) -> None:
    desk = ready(engine, 9)
    with writing(engine) as session, pytest.raises(RuleBroken, match="needs at least 10"):
        freezing.freeze(session, curated.ana(engine), desk.id)
    curated.approved(engine, desk, stories.messages(5, start=100))
    with writing(engine) as session, pytest.raises(RuleBroken, match="search for duplicates"):
        freezing.freeze(session, curated.ana(engine), desk.id)


def test_only_a_lead_freezes(engine: Engine) -> None:
    desk, eva = ready(engine, 12), stories.person(engine, "eva", Role.EXPERT)
    with writing(engine) as session, pytest.raises(NotAllowed, match="asks for the role lead"):
        freezing.freeze(session, eva, desk.id)


def test_rows_that_someone_tampered_with_are_noticed(engine: Engine) -> None:
    desk = ready(engine)
    version = curated.frozen(engine, desk)
    with sqlite3.connect(str(engine.url.database)) as raw:
        raw.execute("DROP TRIGGER version_row_no_update")
        raw.execute("UPDATE version_row SET response = '{}' WHERE pair_id = 1")
    raw.close()
    with reading(engine) as session, pytest.raises(Unavailable, match="no longer has the pairs"):
        archive.verify(session, version.id)
