"""The Ready page: what blocks, what comes next, and waivers under a name."""

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.gate import readiness
from storage import people
from storage.engine import reading, writing
from storage.types import JobKind, Project, Role
from tests.support import curated, stories
from tests.support.ui import OpenPage
from training.work import jobs

PAGE = "pages/curate/ready/page.py"
REASON = "We start small on purpose."


def waived(engine: Engine, desk: Project) -> dict[str, str]:
    """Waivers in force."""
    with reading(engine) as session:
        return readiness.waivers(session, desk.id)


def fill(page: AppTest, desk: Project, line: str, reason: str) -> None:
    """Fill in the form and press its button."""
    page.selectbox(key=f"waive-line-{desk.id}").select(line).run()
    page.text_area(key=f"waive-{desk.id}-{line}-reason").input(reason).run()
    page.button(key=f"waive-{desk.id}-{line}").click().run()


def test_an_empty_project_is_told_the_first_step(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(PAGE)
    assert not page.exception
    assert page.warning[0].value == "Not ready: 9 of 17 lines block."
    assert page.text[0].value.startswith("Reviewed pairs: Write, import or draft")


def test_without_a_project_it_leads_home(open_page: OpenPage) -> None:
    assert open_page(PAGE).text[0].value == "There is no project yet."


def test_every_line_shows_its_state_figures_and_advice(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 3)
    page = open_page(PAGE)
    texts = [element.value for element in page.text]
    with reading(engine) as session:
        signals = readiness.report(session, desk.id)
    assert all(line.name in texts and line.measured in texts for line in signals)
    assert all(line.fix in texts for line in signals if not line.met)
    assert "An approval says" in page.expander[-1].text[0].value


def test_a_lead_sets_a_line_aside_under_their_name(engine: Engine, open_page: OpenPage) -> None:
    desk, ana = stories.project(engine), curated.ana(engine)
    page = open_page(PAGE)
    fill(page, desk, "gold", "short")
    assert "at least 10 characters" in page.error[0].value
    assert curated.kept_words(engine, ana, f"waive-{desk.id}-gold") == {"reason": "short"}
    fill(page, desk, "gold", REASON)
    assert waived(engine, desk)["gold"].startswith(f"ana: {REASON}")
    assert any(element.value.startswith(f"Waived by ana: {REASON}") for element in page.text)
    assert curated.kept_words(engine, ana, f"waive-{desk.id}-gold") == {}


def test_lines_that_cannot_be_waived_are_not_offered(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    offered = open_page(PAGE).selectbox(key=f"waive-line-{desk.id}").options
    assert "Gold pairs by experts" in offered
    assert "Pairs without a person's approval" not in offered


def test_a_role_taken_away_counts_at_the_next_click(engine: Engine, open_page: OpenPage) -> None:
    desk, lea = stories.project(engine), stories.person(engine, "lea", Role.LEAD)
    ana = curated.ana(engine)
    page = open_page(PAGE, user=lea)
    with writing(engine) as session:
        people.set_roles(session, ana, lea.id, frozenset({Role.EXPERT}))
    page.button(key=f"waive-{desk.id}-reviewed").click().run()
    assert not page.exception
    assert "lea may not waive" in page.error[0].value
    assert waived(engine, desk) == {}


def test_the_page_is_not_there_for_someone_without_the_role(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    with pytest.raises(ValueError, match="Could not find a navigation page"):
        open_page(PAGE, user=stories.person(engine, "eva", Role.EXPERT))


def test_the_base_model_is_measured_on_request_once(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 20)
    version = curated.frozen(engine, desk)
    page = open_page(PAGE)
    page.button(key=f"baseline-{version.id}").click().run()
    with reading(engine) as session:
        measurements = jobs.listing(session, desk.id, JobKind.EVALUATE)
    assert [job.spec["version_id"] for job in measurements] == [version.id]
    assert measurements[0].spec["adapter"] is None
    assert not [element for element in page.button if element.key == f"baseline-{version.id}"]


def test_ready_once_every_line_is_met_or_waived(engine: Engine, open_page: OpenPage) -> None:
    desk, ana = stories.project(engine), curated.ana(engine)
    curated.approved(engine, desk, 40)
    curated.frozen(engine, desk)
    with writing(engine) as session:
        for line in readiness.unmet(readiness.report(session, desk.id)):
            readiness.waive(session, ana, desk.id, line.key, REASON, curated.SOON)
    page = open_page(PAGE)
    assert page.success[0].value == "Ready: every line is met or waived by a lead."
    assert not page.warning
