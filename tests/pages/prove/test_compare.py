"""Compare: rates with intervals, rows side by side, and nothing while a trial is open."""

import json
from typing import Any

from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.versions import archive
from pages.parts import diff
from storage.engine import reading
from storage.types import JobKind, Split
from tests.support import stories, tuned
from tests.support.ui import OpenPage
from training.work import jobs

PAGE = "pages/prove/compare/page.py"


def _texts(page: AppTest) -> list[str]:
    return [text.value for text in page.text]


def _diffs(page: AppTest) -> list[dict[str, Any]]:
    """What the diff components were given."""
    return [json.loads(element.proto.json) for element in page.get("bidi_component")]


def _held_out_inputs(engine: Engine, story: tuned.Frozen) -> list[str]:
    with reading(engine) as session:
        return [row.prompt for row in archive.rows(session, story.version.id, Split.TEST)]


def test_an_empty_project_is_sent_to_versions(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(PAGE, user="lena")
    assert _texts(page) == ["There are no held-out pairs yet: a version keeps them apart."]


def test_a_first_comparison_is_started_from_here(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    page = open_page(PAGE, user="lena")
    page.button(key=f"compare-{story.version.id}-None").click().run()
    assert not page.exception
    assert "Comparison: waiting to start" in _texts(page)
    with reading(engine) as session:
        (job,) = jobs.listing(session, story.project.id, JobKind.EVALUATE)
    assert job.spec["adapter"] is None
    assert job.spec["best_prompt"]
    page.button(key=f"compare-{story.version.id}-None").click().run()
    assert "already going on" in page.error[0].value


def test_the_base_can_be_asked_with_the_system_message_alone(
    engine: Engine, open_page: OpenPage
) -> None:
    story = tuned.frozen(engine, 20)
    page = open_page(PAGE, user="lena")
    page.toggle(key=f"compare-best-{story.version.id}-0").set_value(False)  # and at once:
    page.button(key=f"compare-{story.version.id}-None").click().run()
    with reading(engine) as session:
        (job,) = jobs.listing(session, story.project.id, JobKind.EVALUATE)
    assert not job.spec["best_prompt"]


def test_what_the_base_was_given_is_said(engine: Engine, open_page: OpenPage) -> None:
    tuned.compared(engine, 40)
    page = open_page(PAGE, user="lena")
    notes = [element.value for element in page.markdown]
    assert any("The base model got the system message alone" in note for note in notes)


def test_rates_stand_with_n_and_interval(engine: Engine, open_page: OpenPage) -> None:
    tuned.compared(engine, 40, base_right=(0, 1))
    drawn = _texts(open_page(PAGE, user="lena"))
    base, tuned_ = drawn.index("Exactly right") + 1, drawn.index("Exactly right") + 2
    assert drawn[base] == "2 of 8 (25 %, 95 % interval 7 to 59 %)"
    assert drawn[tuned_] == "7 of 8 (88 %, 95 % interval 53 to 98 %)"


def test_worse_rows_come_first_with_a_word_diff(engine: Engine, open_page: OpenPage) -> None:
    story, _evaluation = tuned.compared(engine, 40, base_right=(0, 1))
    page = open_page(PAGE, user="lena")
    assert _held_out_inputs(engine, story)[0] in _texts(page)
    base, tuned_ = _diffs(page)
    assert base["name"] == "Base model: exactly right"
    assert {kind for kind, _words in base["parts"]} == {"same"}
    assert tuned_["name"] == "Tuned model: wrong, does not fit the schema"
    assert {"gone", "come"} <= {kind for kind, _words in tuned_["parts"]}


def test_the_other_views_and_a_repeatable_draw(engine: Engine, open_page: OpenPage) -> None:
    story, evaluation = tuned.compared(engine, 40, base_right=(0, 1))
    inputs = _held_out_inputs(engine, story)
    page = open_page(PAGE, user="lena")
    view = page.radio(key=f"view-{evaluation.id}")
    assert [option.split("(")[-1] for option in view.options] == ["1)", "6)", "0)", "8)"]
    view.set_value("Better: base wrong, tuned right").run()
    assert [text for text in _texts(page) if text in inputs] == inputs[2:]
    page.radio(key=f"view-{evaluation.id}").set_value("Both wrong").run()
    assert "There are no such pairs." in _texts(page)
    page.radio(key=f"view-{evaluation.id}").set_value("Random").run()
    drawn = [text for text in _texts(page) if text in inputs]
    assert len(drawn) == 6
    page.number_input(key=f"page-{evaluation.id}-Random").set_value(2).run()
    assert sorted([*drawn, *(text for text in _texts(page) if text in inputs)]) == sorted(inputs)
    page.number_input(key=f"page-{evaluation.id}-Random").set_value(1).run()
    page.number_input(key=f"seed-{evaluation.id}").set_value(8).run()
    assert [text for text in _texts(page) if text in inputs] != drawn


def test_the_base_alone_is_a_baseline(engine: Engine, open_page: OpenPage) -> None:
    story = tuned.frozen(engine, 20)
    tuned.evaluated(engine, story, None, base_right=(0,))
    page = open_page(PAGE, user="lena")
    assert not page.exception
    assert "Tuned model" not in _texts(page)
    assert "1 of 4 (25 %, 95 % interval 5 to 70 %)" in _texts(page)
    assert len(_diffs(page)) == 3


def test_nothing_is_shown_while_a_trial_is_open(engine: Engine, open_page: OpenPage) -> None:
    story, evaluation = tuned.compared(engine)
    alone = tuned.evaluated(engine, story, None)
    tuned.planned(engine, story, evaluation)
    page = open_page(PAGE, user="lena")
    for chosen in (alone, evaluation):
        page.selectbox(key=f"comparison-{story.project.id}-{alone.id}").set_value(chosen.id).run()
        assert not page.exception
        assert "A blind trial on these answers is open" in page.warning[0].value
        assert not _diffs(page)
        assert not [text for text in _texts(page) if " of " in text]


def test_a_diff_is_text_and_nothing_else() -> None:
    parts = diff.parts('{"team": "cards"}', '{"team": "<img src=x>"}\u200b')
    assert "".join(text for kind, text in parts if kind != "come") == '{"team": "cards"}'
    kinds = "".join(text for kind, text in parts if kind != "gone")
    assert kinds == '{"team": "<img src=x>"}⟦U+200B⟧'
    assert diff.parts("same", "same") == [("same", "same")]
    assert diff.parts("", "new") == [("come", "new")]
    long = "word " * 5000
    assert diff.parts(long, long + "more") == [("gone", long), ("come", long + "more")]


def test_personal_data_in_answers_is_counted_and_marked(
    engine: Engine, open_page: OpenPage
) -> None:
    story = tuned.frozen(engine, 20)
    adapter = tuned.trained(engine, story)
    evaluation = tuned.evaluated(engine, story, adapter, personal=(0, 2))
    page = open_page(PAGE, user="lena")
    drawn = _texts(page)
    at = drawn.index("Personal data in it")
    assert drawn[at + 1] == "2 of 4 (50 %, 95 % interval 15 to 85 %)"
    assert drawn[at + 2] == "0 of 4 (0 %, 95 % interval 0 to 49 %)"
    page.radio(key=f"view-{evaluation.id}").set_value("Personal data").run()
    assert not page.exception
    badges = [
        element.value for element in page.markdown if "Personal data: PERSON" in element.value
    ]
    assert len(badges) == 2


def test_without_a_scan_it_says_that_nobody_looked(engine: Engine, open_page: OpenPage) -> None:
    tuned.compared(engine, 20)
    drawn = _texts(open_page(PAGE, user="lena"))
    assert drawn[drawn.index("Personal data in it") + 1] == "not looked for"


def test_rates_and_rows_by_policy_era(engine: Engine, open_page: OpenPage) -> None:
    evaluation = tuned.of_two_eras(engine)
    page = open_page(PAGE, user="lena")
    drawn = _texts(page)
    old = drawn.index("old")
    assert drawn[old + 1 : old + 3] == [
        "1 of 2 (50 %, 95 % interval 9 to 91 %)",
        "1 of 2 (50 %, 95 % interval 9 to 91 %)",
    ]
    assert "no era" in drawn
    page.selectbox(key=f"era-{evaluation.id}").set_value("old").run()
    assert not page.exception
    assert "Random (2)" in page.radio(key=f"view-{evaluation.id}").options
