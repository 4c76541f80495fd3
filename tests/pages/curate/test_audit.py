"""The Audit page: draw, judge one pair at a time, and read what the sample proves."""

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.gate import audit
from storage import pairs
from storage.engine import reading, writing
from storage.types import JobKind, Origin, Pair, PairStatus, Project, Role, User
from tests.support import curated, stories
from tests.support.ui import OpenPage
from training.work import jobs

PAGE = "pages/curate/audit/page.py"


def drawn(engine: Engine, rows: int = 20) -> tuple[Project, User]:
    """A project whose pairs ana approved, with an audit, and ben who may judge it."""
    desk = stories.project(engine)
    curated.approved(engine, desk, rows)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with writing(engine) as session:
        audit.draw(session, ben, desk.id, seed=3)
    return desk, ben


def next_row(engine: Engine, desk: Project, who: User) -> Pair:
    """The pair that the page shows to this person."""
    with reading(engine) as session:
        row = audit.next_row(session, who, desk.id)
    assert row is not None
    return row


def all_words(page: AppTest) -> str:
    """Everything that stands on the page as words."""
    return "\n".join(
        element.value for element in [*page.text, *page.markdown, *page.info, *page.success]
    )


def test_before_anything_is_approved_it_points_to_review(
    engine: Engine, open_page: OpenPage
) -> None:
    stories.project(engine)
    assert open_page(PAGE).text[0].value == "No pair is approved yet."


def test_a_tenth_is_drawn_with_the_seed_that_is_shown(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 20)
    page = open_page(PAGE, user="ben")
    page.number_input(key=f"audit-seed-{desk.id}").set_value(42).run()
    button = page.button(key=f"draw-{desk.id}")
    assert button.label == "Draw the audit: 2 of 20 approved pairs"
    button.click().run()
    with reading(engine) as session:
        result = audit.latest(session, desk.id)
    assert result is not None
    assert (result.seed, result.drawn) == (42, 2)
    assert not page.exception


def test_rows_are_judged_one_by_one_and_the_interval_is_shown(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, ben = drawn(engine)
    page = open_page(PAGE, user=ben)
    for _ in range(2):
        row = next_row(engine, desk, ben)
        page.button(key=f"good-{row.id}-{row.version}").click().run()
    text = all_words(page)
    assert "Good: 2 of 2 (100 %, 95 % interval 34 to 100 %)" in text.replace("\\", "")
    assert any(element.label == "Audit 57 more to prove 95 %" for element in page.button)


def test_the_row_stands_there_without_what_others_said(engine: Engine, open_page: OpenPage) -> None:
    desk, ben = drawn(engine)
    text = all_words(open_page(PAGE, user=ben))
    assert next_row(engine, desk, ben).prompt in text
    assert "Approved" not in text
    assert "ana" not in text.split()


def test_a_bad_row_goes_back_with_its_note(engine: Engine, open_page: OpenPage) -> None:
    desk, ben = drawn(engine)
    row = next_row(engine, desk, ben)
    page = open_page(PAGE, user=ben)
    page.text_input(key=f"audit-{row.id}-{row.version}-note").input("Wrong team.").run()
    page.button(key=f"bad-{row.id}-{row.version}").click().run()
    with reading(engine) as session:
        assert pairs.get(session, row.id).status is PairStatus.WAITING
        result = audit.latest(session, desk.id)
    assert result is not None
    assert (result.judged, result.good) == (1, 0)


def test_a_row_that_changed_or_was_judged_meanwhile_is_refused(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, ben = drawn(engine)
    row = next_row(engine, desk, ben)
    page = open_page(PAGE, user=ben)
    lena = stories.person(engine, "lena")
    with writing(engine) as session:
        audit.judge(session, lena, row.id, row.version, good=False)
    page.button(key=f"good-{row.id}-{row.version}").click().run()
    assert "is not waiting in an audit" in page.error[0].value
    assert not page.exception


def test_whoever_approved_everything_learns_who_else_can(
    engine: Engine, open_page: OpenPage
) -> None:
    drawn(engine)
    page = open_page(PAGE, user="ana")
    assert "Who can: ben, lena." in page.info[0].value
    assert not [element for element in page.button if str(element.key).startswith("good-")]


def test_where_nobody_else_can_an_admin_is_asked(engine: Engine, open_page: OpenPage) -> None:
    desk, ana = stories.project(engine, two_people=False), curated.ana(engine)
    lena = stories.person(engine, "lena")
    rows = stories.waiting(engine, desk, stories.messages(1), Origin.GOLD, lena)
    curated.approve(engine, desk, rows, by=ana)
    with writing(engine) as session:
        audit.draw(session, ana, desk.id, seed=1)
    assert "nobody who has a profile here yet" in open_page(PAGE, user="ana").info[0].value


def test_more_rows_are_drawn_when_asked(engine: Engine, open_page: OpenPage) -> None:
    desk, ben = drawn(engine, 70)
    page = open_page(PAGE, user=ben)
    for _ in range(7):
        row = next_row(engine, desk, ben)
        page.button(key=f"good-{row.id}-{row.version}").click().run()
    next(element for element in page.button if str(element.key).startswith("extend-")).click().run()
    with reading(engine) as session:
        result = audit.latest(session, desk.id)
    assert result is not None
    assert (result.drawn, result.judged) == (59, 7)
    assert next_row(engine, desk, ben).prompt in all_words(page)


def with_bad_group(engine: Engine) -> tuple[Project, User]:
    """A complete audit of 40 gold pairs by eva, of which four were bad, and 20 imported ones."""
    desk = stories.project(engine)
    ana, eva = curated.ana(engine), stories.person(engine, "eva", Role.EXPERT)
    gold, imported = stories.messages(40, start=100), stories.messages(20)
    curated.approved(engine, desk, gold, origin=Origin.GOLD, author=eva, by=ana)
    curated.approved(engine, desk, imported, by=ana)
    lena = stories.person(engine, "lena")
    with writing(engine) as session:
        audit.draw(session, lena, desk.id, seed=3, share=0.3)
    bad = 4
    while (row := waiting_row(engine, desk, lena)) is not None:
        wrong = row.origin is Origin.GOLD and bad > 0
        bad -= wrong
        with writing(engine) as session:
            audit.judge(session, lena, row.id, row.version, good=not wrong)
    return desk, lena


def waiting_row(engine: Engine, desk: Project, who: User) -> Pair | None:
    with reading(engine) as session:
        return audit.next_row(session, who, desk.id)


def test_a_lead_sends_a_failed_group_back_with_the_figures_in_view(
    engine: Engine, open_page: OpenPage
) -> None:
    desk, lena = with_bad_group(engine)
    page = open_page(PAGE, user=lena)
    assert not page.exception
    text = all_words(page)
    assert "Gold · by eva" in text
    assert "4 of 12 pairs judged are bad" in text
    button = next(element for element in page.button if str(element.key).startswith("reopen-gold"))
    assert button.label == "Send 28 pairs back"
    assert not [element for element in page.button if str(element.key).startswith("reopen-import")]
    button.click().run()
    with reading(engine) as session:
        counts = pairs.counts(session, desk.id)
    assert (counts[PairStatus.WAITING], counts[PairStatus.APPROVED]) == (32, 28)


def test_a_large_group_goes_back_by_a_job(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "LARGE", 27)
    desk, lena = with_bad_group(engine)
    page = open_page(PAGE, user=lena)
    next(one for one in page.button if str(one.key).startswith("reopen")).click().run()
    assert not page.exception
    assert "Sending back of a group: waiting to start" in all_words(page)
    with reading(engine) as session:
        (job,) = jobs.listing(session, desk.id, JobKind.REOPEN)
        assert pairs.counts(session, desk.id)[PairStatus.APPROVED] == 56
    assert (job.spec["bad"], job.spec["judged"], job.spec["back"]) == (4, 12, 28)


def test_whoever_is_no_lead_is_told_who_can_send_a_group_back(
    engine: Engine, open_page: OpenPage
) -> None:
    with_bad_group(engine)
    page = open_page(PAGE, user=stories.person(engine, "rex", Role.REVIEWER))
    assert "A lead can send the other 28 pairs" in all_words(page).replace("\\", "")
    assert not [element for element in page.button if str(element.key).startswith("reopen")]
