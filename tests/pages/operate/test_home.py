"""Home: beginnings, the one next step, and eras."""

from pathlib import Path

from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.project import sample
from storage import pairs, projects, scratch
from storage.engine import reading, writing
from storage.settings import ROOT
from storage.types import PairStatus, Project, Role
from tests.support import stories
from tests.support.ui import OpenPage, join

HOME = "pages/operate/home/page.py"


def only(engine: Engine) -> Project:
    """The one project there is."""
    with reading(engine) as session:
        (project,) = projects.everything(session)
    return project


def drawn(page: AppTest) -> str:
    """Everything the page says as plain text or Markdown."""
    return "\n".join(element.value for element in (*page.text, *page.markdown, *page.subheader))


def test_an_empty_install_opens_the_sample_at_the_start(
    engine: Engine, open_page: OpenPage
) -> None:
    page = open_page(HOME, "lea")
    assert not page.exception
    assert "fictional people" in drawn(page)
    page.button(key="sample-start").click().run()
    assert not page.exception
    assert page.title[0].value == "Alder Bank support desk"
    assert page.subheader[0].value == "Next: Write, import or draft pairs"
    assert "import.jsonl" in drawn(page)
    assert "No real person has checked them" in drawn(page)
    assert not [button for button in page.button if button.key == "sample-start"]
    project = only(engine)
    with reading(engine) as session:
        assert pairs.counts(session, project.id)[PairStatus.APPROVED] == 104
        lea = join(engine, "lea")
        assert scratch.load(session, lea, "open-project") == {"id": project.id}


def test_part_way_leads_on_to_review(engine: Engine, open_page: OpenPage) -> None:
    page = open_page(HOME, "lea")
    page.button(key="sample-part-way").click().run()
    assert page.subheader[0].value == "Next: Review every pair"
    assert "356 approved, 8 waiting" in drawn(page)
    page.button(key="next-review").click().run()
    assert not page.exception
    if (ROOT / "pages/label/review/page.py").is_file():
        assert page.title[0].value != only(engine).name


def test_a_double_click_opens_one_sample(engine: Engine, open_page: OpenPage) -> None:
    first, second = open_page(HOME, "lea"), open_page(HOME, "lea")
    first.button(key="sample-start").click().run()
    second.button(key="sample-start").click().run()
    assert not second.exception
    assert not second.error
    only(engine)


def test_one_starts_ones_own_and_bad_schemas_are_refused(
    engine: Engine, open_page: OpenPage
) -> None:
    page = open_page(HOME, "lea")
    page.text_input(key="begin-name").set_value("Desk *bold*")
    page.text_input(key="begin-task").set_value("Say which team takes it.")
    page.text_area(key="begin-system").set_value("You route messages.")
    page.text_area(key="begin-schema").set_value('{"type": "objekt"}')
    page.button(key="begin").click().run()
    assert "not valid at type" in page.error[0].value
    assert page.text_input(key="begin-name").value == "Desk *bold*"
    page.text_area(key="begin-schema").set_value(
        '{"type": "object", "properties": {"team": {"enum": ["cards"]}}}'
    )
    page.text_input(key="begin-label").set_value("team")
    page.button(key="begin").click().run()
    assert not page.error
    assert only(engine).label_field == "team"
    assert page.title[0].value == r"Desk \*bold\*"
    assert page.subheader[0].value == "Next: Write, import or draft pairs"


def test_an_expert_is_told_who_starts_a_project(open_page: OpenPage, engine: Engine) -> None:
    page = open_page(HOME, join(engine, "eva", Role.EXPERT))
    assert not page.button
    assert "lead or admin" in page.info[0].value


def test_a_stale_button_of_someone_whose_role_is_gone_is_refused(
    engine: Engine, open_page: OpenPage
) -> None:
    from storage import people

    admin, lea = join(engine, "ada", Role.ADMIN), join(engine, "lea", Role.LEAD)
    page = open_page(HOME, lea)
    with writing(engine) as session:
        people.set_roles(session, admin, lea.id, frozenset({Role.EXPERT}))
    page.button(key="sample-start").click().run()
    assert not page.exception
    assert "lea may not begin" in page.error[0].value


def test_the_eras_stand_there_with_the_way_to_change_them(
    engine: Engine, open_page: OpenPage
) -> None:
    lea = join(engine, "lea", Role.LEAD)
    with writing(engine) as session:
        sample.begin(session, lea, reviewed=False)
    texts = "\n".join(element.value for element in open_page(HOME, lea).markdown)
    assert "Retired, from 2019-01-01 to 2024-02-29" in texts.replace("\\", "")
    texts = "\n".join(
        element.value for element in open_page(HOME, join(engine, "eva", Role.EXPERT)).markdown
    )
    assert "someone with the role lead can do this on Eras" in texts


def test_a_project_without_eras_says_when_to_add_one(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(HOME, join(engine, "lea", Role.LEAD))
    assert not page.exception
    assert "No eras yet" in "\n".join(element.value for element in page.markdown)


def test_the_page_is_short() -> None:
    assert len(Path(ROOT / HOME).read_text(encoding="utf-8").splitlines()) <= 80
