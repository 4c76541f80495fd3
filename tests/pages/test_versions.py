"""The Versions page: freeze, look at what changed, check and export."""

import sqlite3

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation import versions
from storage import people
from storage.engine import reading, writing
from storage.types import Project, Role, Version
from tests import curated, stories
from tests.ui import OpenPage

PAGE = "pages/curate/versions.py"


def known(engine: Engine, desk: Project) -> list[Version]:
    """The versions, newest first."""
    with reading(engine) as session:
        return versions.listing(session, desk.id)


def compared(engine: Engine, rows: int = 40) -> Project:
    """A project with so many approved rows that were compared."""
    desk = stories.project(engine)
    curated.approved(engine, desk, rows)
    curated.compared(engine, desk)
    return desk


def words(page: AppTest) -> str:
    """Notes and texts of the page."""
    return "\n".join(one.value for one in [*page.markdown, *page.text])


def test_before_anything_is_approved_it_points_to_review(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    assert open_page(PAGE).text[0].value == "No row is approved yet."


def test_a_lead_freezes_with_a_seed_and_a_note(engine: Engine, open_page: OpenPage) -> None:
    desk, ana = compared(engine), curated.ana(engine)
    page = open_page(PAGE)
    form = f"freeze-{desk.id}-1"
    page.text_input(key=f"{form}-note").input("For the pilot.").run()
    assert curated.kept_words(engine, ana, form) == {"note": "For the pilot."}
    page.number_input(key=f"{form}-seed").set_value(11)
    page.button(key=form).click().run()
    version = known(engine, desk)[0]
    assert (version.seed, version.manifest["note"]) == (11, "For the pilot.")
    assert curated.kept_words(engine, ana, form) == {}
    assert page.code[0].value == version.sha256
    assert [one.label for one in page.metric] == ["Training", "Validation", "Test"]
    assert "For the pilot." in words(page)


def test_freezing_is_refused_with_a_sentence(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 12)
    page = open_page(PAGE)
    page.button(key=f"freeze-{desk.id}-1").click().run()
    assert "search for duplicates" in page.error[0].value
    curated.compared(engine, desk)
    page.button(key=f"freeze-{desk.id}-1").click().run()
    page.button(key=f"freeze-{desk.id}-2").click().run()
    assert "Nothing changed since version 1" in page.error[0].value
    assert len(known(engine, desk)) == 1


def test_a_role_taken_away_counts_at_the_next_click(engine: Engine, open_page: OpenPage) -> None:
    desk, lea = compared(engine), stories.person(engine, "lea", Role.LEAD)
    ana = curated.ana(engine)
    page = open_page(PAGE, user=lea)
    with writing(engine) as session:
        people.set_roles(session, ana, lea.id, frozenset({Role.EXPERT}))
    page.button(key=f"freeze-{desk.id}-1").click().run()
    assert not page.exception
    assert "lea may not freeze" in page.error[0].value
    assert known(engine, desk) == []


def test_what_changed_since_the_one_before_is_told(engine: Engine, open_page: OpenPage) -> None:
    desk = compared(engine)
    curated.frozen(engine, desk)
    curated.approved(engine, desk, stories.messages(5, start=100))
    curated.frozen(engine, desk)
    page = open_page(PAGE)
    links = [one.proto.label for one in page.get("page_link")]
    assert "5 rows added" in links
    first = known(engine, desk)[1]
    page.selectbox(key=f"version-shown-{desk.id}").select(first.id).run()
    assert "there is none before it" in words(page)


def test_each_part_is_exported_under_the_name_of_its_hash(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = compared(engine)
    version = curated.frozen(engine, desk)
    page = open_page(PAGE)
    assert page.get("download_button")[0].proto.label == "Download 40 rows"
    page.button_group(key=f"export-part-{version.id}").set_value("test").run()
    count = version.counts["test"]
    assert page.get("download_button")[0].proto.label == f"Download {count} rows"
    assert "version-1-test-" in words(page).replace("\\", "")


def test_a_version_that_someone_tampered_with_is_neither_intact_nor_exported(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = compared(engine)
    version = curated.frozen(engine, desk)
    page = open_page(PAGE)
    page.button(key=f"verify-{version.id}").click().run()
    assert not page.error
    with sqlite3.connect(str(engine.url.database)) as raw:
        raw.execute("DROP TRIGGER version_row_no_update")
        raw.execute("UPDATE version_row SET response = '{}' WHERE pair_id = 1")
    raw.close()
    page.button(key=f"verify-{version.id}").click().run()
    assert any("no longer has the rows" in one.value for one in page.error)
    assert not page.get("download_button")


def test_the_page_is_not_there_for_someone_without_the_role(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    with pytest.raises(ValueError, match="Could not find a navigation page"):
        open_page(PAGE, user=stories.person(engine, "eva", Role.EXPERT))
