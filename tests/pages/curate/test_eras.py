"""The Eras page: a timeline, changes with a way back, and pairs shown before anything happens."""

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.policy import era_rows, eras
from pages.curate.eras import affected
from storage import pairs, people, projects
from storage.engine import reading, writing
from storage.settings import ROOT
from storage.types import Era, Pair, PairStatus, Project, Role
from tests.support import curated, stories
from tests.support.ui import OpenPage, join

PAGE = "pages/curate/eras/page.py"
OLD = "Please visit your home branch with the card"


@pytest.fixture
def desk(engine: Engine) -> Project:
    """A project with a retired era, the one after it, and one approved pair of the old wording."""
    desk, lea = stories.project(engine), join(engine, "lea", Role.LEAD)
    with writing(engine) as session:
        eras.add(
            session,
            lea,
            desk.id,
            "old",
            date(2019, 1, 1),
            retired=True,
            phrases=["home branch"],
            document="Policy 2019",
            url="https://x.example/[2019]",
        )
        eras.add(session, lea, desk.id, "new", date(2024, 3, 1))
    curated.approved(engine, desk, [(OLD, stories.CARDS), *stories.messages(2)])
    return desk


def known(engine: Engine, desk: Project) -> dict[str, Era]:
    """The eras by name."""
    with reading(engine) as session:
        return {era.name: era for era in projects.eras(session, desk.id)}


def row(engine: Engine, desk: Project, number: int = 0) -> Pair:
    """One pair as it is now."""
    with reading(engine) as session:
        return pairs.listing(session, desk.id)[number]


def words(page: AppTest) -> str:
    """Everything that stands on the page as words."""
    elements = [*page.text, *page.markdown, *page.success, *page.info, *page.warning]
    return "\n".join(element.value for element in elements).replace("\\", "")


def press(page: AppTest, start: str) -> AppTest:
    """Press the first button whose key begins so."""
    next(element for element in page.button if str(element.key).startswith(start)).click()
    return page.run()


def view(page: AppTest, name: str) -> AppTest:
    """Turn to a part of the page."""
    page.segmented_control[0].set_value(name).run()
    assert not page.exception
    return page


@pytest.mark.usefixtures("desk")
def test_the_timeline_tells_days_document_and_wording(open_page: OpenPage) -> None:
    page = open_page(PAGE, "lea")
    assert not page.exception
    texts = words(page)
    assert "From 2019-01-01 to 2024-02-29 (the day before the next era)" in texts
    assert "From 2024-03-01 on, with no end" in texts
    assert "Policy 2019 · https://x.example/[2019]" in [element.value for element in page.text]
    assert "home branch" in texts
    assert "1 approved pair belongs to a retired era" in texts


def test_rows_are_shown_before_they_are_sent_back(
    engine: Engine, open_page: OpenPage, desk: Project
) -> None:
    old = known(engine, desk)["old"]
    page = press(open_page(PAGE, "lea"), f"deal-{old.id}")
    assert not page.exception
    assert list(page.dataframe[0].value["Input"]) == [OLD]
    assert "1 of the era old" in words(page)
    press(page, "affected-back-")
    assert page.error[0].value == "Say in a few words why these pairs go back to review."
    page.text_input(key=f"affected-reason-{desk.id}").set_value("The policy changed")
    press(page, "affected-back-")
    assert not page.error
    assert row(engine, desk).status is PairStatus.WAITING
    page = view(page, affected.CHANGES)
    assert "1 pair sent back to review" in words(page)
    assert not [element for element in page.button if str(element.key).startswith("undo-policy")]
    assert page.session_state


def test_a_retirement_of_rows_is_undone(engine: Engine, open_page: OpenPage, desk: Project) -> None:
    page = view(open_page(PAGE, "lea"), affected.ROWS)
    assert "Choose an era, a topic or a label" in words(page)
    page.text_area(key=f"affected-{desk.id}-phrases").set_value("HOME branch\n").run()
    press(page, "affected-reject-")
    assert row(engine, desk).reject_reason == era_rows.RETIRED
    assert "No waiting or approved pair meets all of it" in words(page)
    page = press(view(page, affected.CHANGES), "undo-policy-")
    assert not page.error
    assert row(engine, desk).status is PairStatus.WAITING
    assert "1 pair retired; undone" in words(page)


def test_only_the_chosen_rows_are_cloned(
    engine: Engine, open_page: OpenPage, desk: Project
) -> None:
    page = view(open_page(PAGE, "lea"), affected.ROWS)
    page.text_area(key=f"affected-{desk.id}-phrases").set_value("ticket\nhome branch").run()
    assert len(page.dataframe[0].value) == 3
    first = row(engine, desk)
    page.multiselect[0].set_value([first.id]).run()
    button = next(
        element for element in page.button if str(element.key).startswith("affected-clone-")
    )
    assert button.label == "Clone 1 pair"
    button.click().run()
    assert not page.error
    copy = row(engine, desk, 3)
    assert (copy.source, copy.status) == ({"cloned_from": first.id}, PairStatus.WAITING)
    assert copy.era_id == known(engine, desk)["new"].id


def test_a_row_that_moved_on_is_left_alone_and_told(
    engine: Engine, open_page: OpenPage, desk: Project
) -> None:
    page = press(open_page(PAGE, "lea"), f"deal-{known(engine, desk)['old'].id}")
    lea = join(engine, "lea")
    first = row(engine, desk)
    with writing(engine) as session:
        era_rows.send_back(session, lea, desk.id, {first.id: first.version}, "look again")
    press(page, "affected-reject-")
    assert row(engine, desk).status is PairStatus.WAITING
    assert "left alone: 1 changed since they were shown" in words(view(page, affected.CHANGES))


def test_an_era_is_added_changed_put_back_and_retired(
    engine: Engine, open_page: OpenPage, desk: Project
) -> None:
    page = open_page(PAGE, "lea")
    form = f"new-era-{desk.id}-2"
    page.text_input(key=f"{form}-name").set_value("next")
    page.date_input(key=f"{form}-starts").set_value(date(2024, 3, 1))
    press(page, f"{form}-save")
    assert "would overlap the era new on 2024-03-01" in page.error[0].value
    page.date_input(key=f"{form}-starts").set_value(date(2025, 1, 1))
    page.text_area(key=f"{form}-phrases").set_value("second desk\n\n")
    press(page, f"{form}-save")
    assert not page.error
    era = known(engine, desk)["next"]
    assert (era.starts_on, era.phrases) == (date(2025, 1, 1), ("second desk",))
    page.text_input(key=f"era-{era.id}-1-document").set_value("Policy 2025")
    press(page, f"era-{era.id}-1-save")
    assert known(engine, desk)["next"].document == "Policy 2025"
    press(page, f"undo-era-{era.id}-2")
    assert known(engine, desk)["next"].document == ""
    press(page, f"turn-{era.id}-False")
    assert known(engine, desk)["next"].retired
    press(page, f"turn-{era.id}-True")
    assert not known(engine, desk)["next"].retired
    assert not page.exception


def test_a_role_lost_meanwhile_is_refused(
    engine: Engine, open_page: OpenPage, desk: Project
) -> None:
    lea, ada = join(engine, "lea", Role.LEAD), join(engine, "ada", Role.ADMIN)
    page = open_page(PAGE, lea)
    with writing(engine) as session:
        people.set_roles(session, ada, lea.id, frozenset({Role.EXPERT}))
    press(page, f"turn-{known(engine, desk)['new'].id}")
    assert "lea may not retire: this asks for the role lead" in page.error[0].value
    assert not known(engine, desk)["new"].retired


@pytest.mark.parametrize("role", [Role.EXPERT, Role.REVIEWER, Role.ADMIN])
def test_others_do_not_have_the_page(engine: Engine, open_page: OpenPage, role: Role) -> None:
    stories.project(engine)
    page = open_page(None, join(engine, "eva", role))
    with pytest.raises(ValueError, match="not"):
        page.switch_page(PAGE).run()


def test_an_empty_project_says_what_to_do(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(PAGE, "lea")
    assert "There are no eras yet" in words(page)
    page = view(page, affected.ROWS)
    page.text_area[0].set_value("?!").run()
    assert "at least one letter or digit" in page.error[0].value
    assert "No policy change has touched a pair yet" in words(view(page, affected.CHANGES))


def test_the_page_is_short() -> None:
    assert len(Path(ROOT / PAGE).read_text(encoding="utf-8").splitlines()) <= 80
