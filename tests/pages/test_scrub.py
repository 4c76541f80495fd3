"""The Scrub page: one row at a time, each finding decided by its own button."""

from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation import scrub
from storage import pairs, people
from storage.engine import reading, writing
from storage.types import Finding, FindingState, JobKind, PairStatus, Project, Role
from tests import curated, stories
from tests.ui import OpenPage
from training import jobs

PAGE = "pages/curate/scrub.py"
HELLO = "I am Ana Roth, ana@example.com"
FOUND = (("prompt", "Ana Roth", "PERSON"), ("prompt", "ana@example.com", "EMAIL_ADDRESS"))


def scanned(engine: Engine) -> tuple[Project, list[Finding]]:
    """A project with one approved row in which two findings are open."""
    desk = stories.project(engine)
    row = curated.approved(engine, desk, [(HELLO, stories.CARDS)])[0]
    curated.scanned(engine, desk, {row.id: FOUND})
    with reading(engine) as session:
        return desk, list(scrub.marked(session, desk.id)[0].findings)


def keys(page: AppTest) -> list[str]:
    """The keys of all buttons."""
    return [button.key for button in page.button if button.key]


def test_without_rows_it_says_where_to_get_some(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(PAGE)
    assert not page.exception
    assert page.text[0].value == "There are no rows to scan yet."


def test_a_scan_is_asked_for_once(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 3)
    page = open_page(PAGE)
    assert page.button(key=f"scan-{desk.id}").label == "Scan 3 rows"
    page.button(key=f"scan-{desk.id}").click().run()
    with reading(engine) as session:
        assert len(jobs.listing(session, desk.id, JobKind.SCAN)) == 1
    assert f"scan-{desk.id}" not in keys(page)
    assert any("waiting to start" in text.value for text in page.text)


def test_accepting_every_finding_puts_the_placeholders_in(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, (name, mail) = scanned(engine)
    page = open_page(PAGE)
    assert page.button(key=f"accepted-{name.id}-PERSON").label == r"Accept: \<PERSON\_1\>"
    assert any(text.value == "I am <PERSON_1>, <EMAIL_ADDRESS_1>" for text in page.text)
    page.button(key=f"accepted-{name.id}-PERSON").click().run()
    page.button(key=f"accepted-{mail.id}-EMAIL_ADDRESS").click().run()
    with reading(engine) as session:
        row = pairs.listing(session, desk.id)[0]
    assert row.prompt == "I am <PERSON_1>, <EMAIL_ADDRESS_1>"
    assert row.status is PairStatus.APPROVED
    assert page.success[0].value == "Every scanned row is decided."


def test_a_whole_row_is_accepted_at_once(engine: Engine, open_page: OpenPage) -> None:
    desk, _found = scanned(engine)
    page = open_page(PAGE)
    key = next(key for key in keys(page) if key.startswith("accept-all-"))
    page.button(key=key).click().run()
    with reading(engine) as session:
        assert "Ana" not in pairs.listing(session, desk.id)[0].prompt


def test_a_finding_gets_another_type_and_what_is_harmless_can_be_opened_again(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, (name, mail) = scanned(engine)
    page = open_page(PAGE)
    page.selectbox(key=f"type-{name.id}-PERSON").select("ORGANIZATION").run()
    page.button(key=f"dismissed-{name.id}-ORGANIZATION").click().run()
    page.button(key=f"dismissed-{mail.id}-EMAIL_ADDRESS").click().run()
    with reading(engine) as session:
        assert scrub.coverage(session, desk.id).open == ()
        assert pairs.listing(session, desk.id)[0].prompt == HELLO
    page.button_group(key="scrub-queue").set_value(FindingState.DISMISSED).run()
    page.button(key=f"open-{name.id}-ORGANIZATION").click().run()
    with reading(engine) as session:
        assert len(scrub.coverage(session, desk.id).open) == 1


def test_a_row_that_changed_meanwhile_is_refused_with_a_sentence(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, (name, _mail) = scanned(engine)
    page = open_page(PAGE)
    with writing(engine) as session:
        row = pairs.row_of(session, name.pair_id)
        pairs.rewrite(session, row, "Other words", stories.CARDS, None)
    page.button(key=f"accepted-{name.id}-PERSON").click().run()
    assert "changed since the scan. Scan it again" in page.error[0].value
    with reading(engine) as session:
        assert pairs.listing(session, desk.id)[0].prompt == "Other words"


def test_a_role_taken_away_counts_at_the_next_click(engine: Engine, open_page: OpenPage) -> None:
    _desk, (name, _mail) = scanned(engine)
    eva = stories.person(engine, "eva", Role.EXPERT)
    page = open_page(PAGE, user=eva)
    ana = curated.ana(engine)
    with writing(engine) as session:
        people.set_roles(session, ana, eva.id, frozenset({Role.ADMIN}))
    page.button(key=f"accepted-{name.id}-PERSON").click().run()
    assert not page.exception
    assert "eva may not decide" in page.error[0].value


def test_a_row_that_could_not_be_read_is_named_with_its_reason(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    row = stories.waiting(engine, desk, stories.messages(1))[0]
    curated.scanned(engine, desk, quarantined={row.id: "It is longer than 200,000 characters."})
    page = open_page(PAGE)
    wanted = f"Pair {row.id}: It is longer than 200,000 characters."
    assert any(text.value == wanted for text in page.text)


def test_it_says_what_it_does_not_catch(engine: Engine, open_page: OpenPage) -> None:
    scanned(engine)
    page = open_page(PAGE)
    assert "It reads English" in page.expander[-1].text[0].value
