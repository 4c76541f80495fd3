"""Activity: who did what, and whether the log still leads through every link."""

from sqlalchemy import Engine, text

from storage import events
from storage.engine import reading
from tests.support import stories, tuned
from tests.support.ui import OpenPage

PAGE = "pages/operate/activity/page.py"


def test_an_empty_install_holds_who_joined(open_page: OpenPage) -> None:
    page = open_page(PAGE, user="ana")
    page.radio(key="activity-where").set_value("Everything").run()
    assert not page.exception
    assert list(page.dataframe[0].value["Did"]) == ["join"]


def test_the_newest_comes_first_with_names(engine: Engine, open_page: OpenPage) -> None:
    tuned.frozen(engine, 12)
    page = open_page(PAGE, user="lena")
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table.columns) == ["When (UTC)", "Who", "Did", "To", "Id", "Link"]
    assert (table["Did"][0], table["To"][0], table["Who"][0]) == ("freeze", "version", "lena")
    assert "Ticket" not in table.to_csv()


def test_another_project_is_left_out_unless_asked_for(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine, "A first one")
    stories.project(engine, "B second one")
    page = open_page(PAGE, user="lena")
    assert len(page.dataframe[0].value) == 1
    page.radio(key="activity-where").set_value("Everything").run()
    assert list(page.dataframe[0].value["Did"]) == ["create", "create", "join"]


def test_a_good_chain_gives_its_newest_link_to_keep(engine: Engine, open_page: OpenPage) -> None:
    tuned.frozen(engine, 12)
    page = open_page(PAGE, user="lena").button(key="verify").click().run()
    with reading(engine) as session:
        count, head = events.verify(session)[0], events.head(session)
    assert page.success[0].value.startswith(f"All {count} links are good.")
    assert page.code[0].value == head
    assert page.get("download_button")[0].proto.label == "Download the newest link"


def test_a_broken_chain_is_said(engine: Engine, open_page: OpenPage) -> None:
    tuned.frozen(engine, 12)
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER event_no_update"))
        connection.execute(text("UPDATE event SET verb = 'reject' WHERE id = 4"))
    page = open_page(PAGE, user="lena").button(key="verify").click().run()
    assert "The chain is broken at event 4, after 3 good ones" in page.error[0].value
    assert not page.success
