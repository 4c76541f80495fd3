"""The Duplicates page: compare, then settle each group by keeping one or saying why not."""

from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.overlap import compared, overlaps
from curation.overlap.near import meanings
from pages.curate.duplicates import groups
from storage import pairs
from storage.engine import reading, writing
from storage.types import JobKind, LinkState, Pair, PairStatus, Project, Role
from tests.support import curated, stories
from tests.support.ui import OpenPage
from training.work import jobs

PAGE = "pages/curate/duplicates/page.py"
TEXT = "my card was eaten by the machine at the station this morning and I need a new one today"


def two(
    engine: Engine, answer: str = stories.CARDS, *, held_out: bool = False
) -> tuple[Project, list[Pair]]:
    """A project with two pairs that are alike, compared."""
    desk = stories.project(engine)
    rows = curated.approved(engine, desk, [(TEXT, stories.CARDS)], held_out=held_out)
    rows += curated.approved(engine, desk, [(f"Hello, {TEXT}", answer)])
    curated.compared(engine, desk)
    return desk, rows


def keep_key(page: AppTest, pair: Pair) -> str:
    """The key of the button that keeps this pair."""
    return next(
        str(element.key)
        for element in page.button
        if f"-{pair.id}-{pair.version}-" in str(element.key)
    )


def test_without_rows_it_says_where_to_get_some(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    assert open_page(PAGE).text[0].value == "There are no pairs to compare yet."


def test_many_pairs_are_compared_by_a_job_that_stands_on_the_page(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compared, "LARGE", 2)
    desk = stories.project(engine)
    curated.approved(engine, desk, [(TEXT, stories.CARDS), (f"Oh, {TEXT}", stories.CARDS)])
    page = open_page(PAGE)
    page.button(key=f"sweep-{desk.id}-2").click().run()
    with reading(engine) as session:
        (job,) = jobs.listing(session, desk.id, JobKind.SWEEP)
    assert page.button(key=f"cancel-{job.id}")
    assert f"sweep-{desk.id}-2" not in [button.key for button in page.button], "one is enough"


def test_comparing_shows_the_groups_and_what_to_do_next(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    rows = curated.approved(engine, desk, [(TEXT, stories.CARDS), (f"Oh, {TEXT}", stories.CARDS)])
    page = open_page(PAGE)
    page.button(key=f"sweep-{desk.id}-2").click().run()
    assert any("Similarity 0." in element.value for element in page.markdown)
    page.button(key=keep_key(page, rows[0])).click().run()
    survivor, rejected = curated.now(engine, rows)
    assert (survivor.status, rejected.status) == (PairStatus.APPROVED, PairStatus.REJECTED)
    assert page.success[0].value == "Every pair was compared, and nothing is left to settle."


def test_a_contradiction_names_the_field_that_differs(engine: Engine, open_page: OpenPage) -> None:
    two(engine, stories.LOANS)
    page = open_page(PAGE)
    assert page.button_group[0].value == groups.CLASH
    texts = [
        element.value
        for element in page.text
        if element.value.startswith("• team (the label): pair ")
    ]
    assert len(texts) == 1
    assert "cards; pair" in texts[0]
    assert "loans" in texts[0]


def test_rows_are_merged_by_a_person_and_wait_for_review(
    engine: Engine, open_page: OpenPage
) -> None:
    _desk, members = two(engine)
    best, rejected = members
    page = open_page(PAGE)
    form = f"merge-{best.id}.{best.version}-{rejected.id}.{rejected.version}"
    page.button(key=f"save-{form}").click().run()
    assert "These are the words of pair" in page.error[0].value
    page.text_area(key=f"{form}-prompt").input("My card was eaten, I need a new one").run()
    assert curated.kept_words(engine, curated.ana(engine), form)
    page.button(key=f"save-{form}").click().run()
    best, rejected = curated.now(engine, members)
    assert (best.status, rejected.status) == (PairStatus.WAITING, PairStatus.REJECTED)
    assert best.prompt == "My card was eaten, I need a new one"
    assert curated.kept_words(engine, curated.ana(engine), form) == {}


def test_both_are_right_only_with_a_reason(engine: Engine, open_page: OpenPage) -> None:
    desk, _rows = two(engine)
    link = curated.links(engine, desk)[0]
    page = open_page(PAGE)
    page.button(key=f"both-right-{link.id}").click().run()
    assert "Say in a few words why" in page.error[0].value
    page.text_input(key=f"both-right-{link.id}-reason").input("Greetings differ.").run()
    assert curated.kept_words(engine, curated.ana(engine), f"both-right-{link.id}")
    page.button(key=f"both-right-{link.id}").click().run()
    with reading(engine) as session:
        settled = overlaps.current(session, desk.id, state=None)[0]
    assert (settled.state, settled.reason) == (LinkState.BOTH_RIGHT, "Greetings differ.")
    assert curated.kept_words(engine, curated.ana(engine), f"both-right-{link.id}") == {}


def test_a_test_row_is_the_only_one_to_keep(engine: Engine, open_page: OpenPage) -> None:
    _desk, (tested, training) = two(engine, held_out=True)
    page = open_page(PAGE)
    page.button_group[0].set_value(groups.LEAK).run()
    assert not [
        element
        for element in page.button
        if f"-{training.id}-{training.version}-" in str(element.key)
    ]
    page.button(key=keep_key(page, tested)).click().run()
    assert curated.now(engine, [training])[0].status is PairStatus.REJECTED


def test_a_reviewer_is_told_who_may_say_both_are_right(engine: Engine, open_page: OpenPage) -> None:
    two(engine)
    page = open_page(PAGE, user=stories.person(engine, "ben", Role.REVIEWER))
    assert not [element for element in page.button if str(element.key).startswith("both-right")]
    assert any("an expert or a lead can say so" in element.value for element in page.markdown)


@pytest.mark.parametrize("changed", [0, 1])
def test_a_row_that_changed_meanwhile_is_refused(
    engine: Engine, open_page: OpenPage, changed: int
) -> None:
    _desk, rows = two(engine)
    page = open_page(PAGE)
    key = keep_key(page, rows[0])
    with writing(engine) as session:
        row = pairs.row_of(session, rows[changed].id)
        pairs.rewrite(session, row, "Other words", stories.CARDS, None)
    page.button(key=key).click().run()
    assert "changed since it was shown" in page.error[0].value
    assert curated.now(engine, rows)[1].status is PairStatus.APPROVED


def test_words_of_rows_are_never_markdown(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    wild = f"<img src=x onerror=alert(1)> ![a](https://example.com/a.png) {TEXT}"
    curated.approved(engine, desk, [(wild, stories.CARDS), (f"Oh, {wild}", stories.CARDS)])
    curated.compared(engine, desk)
    page = open_page(PAGE)
    assert any(element.value == wild for element in page.text)
    assert not any("example.com" in element.value for element in page.markdown)


def test_what_a_model_holds_for_the_same_is_shown_as_an_opinion(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    desk = stories.project(engine)
    rows = curated.approved(engine, desk, 3)
    assert "meanings" not in str([element.key for element in open_page(PAGE).button]), (
        "no model, no button"
    )
    monkeypatch.setenv("ASSAY_EMBEDDER", str(tmp_path / "gone"))
    page = open_page(PAGE)
    key = f"meanings-{desk.id}"
    assert page.button(key=key).disabled, "words come first"
    page.button(key=f"sweep-{desk.id}-3").click().run()
    page.button(key=key).click().run()
    assert "There is no folder gone" in page.error[0].value
    a, b = rows[:2]
    line = meanings.Proposal(a.id, b.id, a.content_sha256, b.content_sha256, 0.934)
    with writing(engine) as session:
        meanings.store(session, curated.ana(engine), desk.id, [line], "0" * 64)
    page = open_page(PAGE)
    texts = [element.value for element in page.markdown]
    assert any("Means nearly the same (cosine 0.93 by" in text for text in texts)
    assert not any("Similarity" in text for text in texts)
    page.button(key=keep_key(page, rows[0])).click().run()
    assert curated.now(engine, rows)[1].status is PairStatus.REJECTED


def test_a_comparison_of_meanings_is_followed_where_it_was_begun(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 3)
    curated.compared(engine, desk)
    monkeypatch.setenv("ASSAY_EMBEDDER", str(tmp_path))
    with writing(engine) as session:
        jobs.queue(session, curated.ana(engine), desk.id, JobKind.MEANING, {})
    page = open_page(PAGE)
    assert "Comparison of meanings: waiting to start" in [element.value for element in page.text]
    assert page.button(key=f"meanings-{desk.id}").disabled
    scrub = open_page("pages/curate/scrub/page.py")
    assert not any("meanings" in element.value for element in scrub.text)
    scrub.button(key=f"scan-{desk.id}").click().run()
    assert "already going on" in scrub.error[0].value
