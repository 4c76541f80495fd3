"""The Scrub page: one pair at a time, each finding decided by its own button."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from curation.personal import findings, name_models, recall, scan_settings, scrub
from curation.personal.scan_lines import ScanFinding
from storage import pairs, people, settings
from storage.engine import reading, writing
from storage.types import Finding, FindingState, JobKind, Origin, Pair, PairStatus, Project, Role
from storage.values import value_of
from tests.support import curated, stories
from tests.support.ui import OpenPage
from training import reconcile
from training.work import jobs

PAGE = "pages/curate/scrub/page.py"
HELLO = "I am Ana Roth, ana@example.com"
FOUND = (("prompt", "Ana Roth", "PERSON"), ("prompt", "ana@example.com", "EMAIL_ADDRESS"))


def scanned(engine: Engine) -> tuple[Project, list[Finding]]:
    """A project with one approved pair in which two findings are open."""
    desk = stories.project(engine)
    row = curated.approved(engine, desk, [(HELLO, stories.CARDS)])[0]
    curated.scanned(engine, desk, {row.id: FOUND})
    with reading(engine) as session:
        return desk, list(findings.marked(session, desk.id)[0].findings)


def keys(page: AppTest) -> list[str]:
    """The keys of all buttons."""
    return [button.key for button in page.button if button.key]


def test_without_rows_it_says_where_to_get_some(engine: Engine, open_page: OpenPage) -> None:
    stories.project(engine)
    page = open_page(PAGE)
    assert not page.exception
    assert page.text[0].value == "There are no pairs to scan yet."


def test_a_scan_is_asked_for_once(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 3)
    page = open_page(PAGE)
    assert page.button(key=f"scan-{desk.id}").label == "Scan 3 pairs"
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
    assert page.success[0].value == "Every scanned pair is decided."


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
        assert findings.coverage(session, desk.id).open == ()
        assert pairs.listing(session, desk.id)[0].prompt == HELLO
    page.button_group(key="scrub-queue").set_value(FindingState.DISMISSED).run()
    page.button(key=f"open-{name.id}-ORGANIZATION").click().run()
    with reading(engine) as session:
        assert len(findings.coverage(session, desk.id).open) == 1


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
    assert any("It reads English" in text.value for text in page.expander[-1].text)


def texts(page: AppTest) -> list[str]:
    """All plain texts."""
    return [text.value for text in page.text]


def test_the_same_words_are_decided_in_all_rows(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    rows = curated.approved(engine, desk, [(f"Ana Roth {n}", stories.CARDS) for n in range(3)])
    curated.scanned(engine, desk, {row.id: [("prompt", "Ana Roth", "PERSON")] for row in rows})
    with reading(engine) as session:
        first = findings.marked(session, desk.id)[0].findings[0]
    page = open_page(PAGE)
    button = page.button(key=f"everywhere-accepted-{first.id}-PERSON")
    assert button.label == "Accept in all 3 pairs"
    button.click().run()
    assert not page.exception
    assert [one.prompt for one in curated.now(engine, rows)] == [f"<PERSON_1> {n}" for n in "012"]


@pytest.mark.usefixtures("in_process")
def test_the_same_words_in_many_rows_are_decided_by_a_job(
    engine: Engine, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub, "LARGE", 2)
    desk = stories.project(engine)
    rows = curated.approved(engine, desk, [(f"Ana Roth {n}", stories.CARDS) for n in range(3)])
    curated.scanned(engine, desk, {row.id: [("prompt", "Ana Roth", "PERSON")] for row in rows})
    with reading(engine) as session:
        first = findings.marked(session, desk.id)[0].findings[0]
    page = open_page(PAGE)
    page.button(key=f"everywhere-accepted-{first.id}-PERSON").click().run()
    assert "Decision in all pairs: waiting to start" in "\n".join(text.value for text in page.text)
    reconcile.tick(engine, settings.current())
    reconcile.tick(engine, settings.current())
    page = open_page(PAGE)
    assert "Decision in all pairs, finished (just now): 3 pairs." in page.success[0].value
    assert [one.prompt for one in curated.now(engine, rows)] == [f"<PERSON_1> {n}" for n in "012"]


def test_a_finding_of_one_row_offers_no_other_rows(engine: Engine, open_page: OpenPage) -> None:
    scanned(engine)
    assert not [key for key in keys(open_page(PAGE)) if key.startswith("everywhere")]


def test_what_came_along_with_a_row_is_shown_and_redacted(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    with writing(engine) as session:
        pair = pairs.add(
            session, desk.id, "Hello", stories.CARDS, Origin.IMPORT, source={"id": "Ana Roth"}
        )
        row = value_of(Pair, pair)
    curated.scanned(engine, desk, {row.id: [("source:id", "Ana Roth", "PERSON")]})
    with reading(engine) as session:
        one = findings.marked(session, desk.id)[0].findings[0]
    page = open_page(PAGE)
    assert "1. Ana Roth" in texts(page)
    page.button(key=f"accepted-{one.id}-PERSON").click().run()
    assert curated.now(engine, [row])[0].source == {"id": "<PERSON_1>"}


def test_a_lead_says_what_counts_and_rows_wait_for_a_new_scan(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 2)
    curated.scanned(engine, desk)
    form = f"scan-settings-{desk.id}"
    page = open_page(PAGE)
    assert f"scan-{desk.id}" not in keys(page)
    page.text_area(key=f"{form}-patterns").set_value('ORDER_NUMBER: "ORD"-9{6}').run()
    page.checkbox(key=f"{form}-births").check().run()
    page.button(key=f"{form}-save").click().run()
    assert not page.exception
    assert page.button(key=f"scan-{desk.id}").label == "Scan 2 pairs again"
    with reading(engine) as session:
        now = scan_settings.current(session, desk.id)
    assert (now.number, now.config.births) == (1, True)
    assert now.config.patterns == (("ORDER_NUMBER", '"ORD"-9{6}'),)


def test_a_wrong_line_gets_a_sentence_and_cannot_be_saved(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 1)
    form = f"scan-settings-{desk.id}"
    page = open_page(PAGE)
    page.text_area(key=f"{form}-patterns").set_value("ORDER_NUMBER: (a+)+$").run()
    assert "line 1: The pattern cannot be read from character 1" in page.warning[0].value
    assert page.button(key=f"{form}-save").disabled
    again = open_page(PAGE)
    assert again.text_area(key=f"{form}-patterns").value == "ORDER_NUMBER: (a+)+$"


def test_a_second_model_that_may_not_be_loaded_is_refused(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 1)
    (name_models.home() / "mine").mkdir(parents=True)
    form = f"scan-settings-{desk.id}"
    page = open_page(PAGE)
    page.selectbox(key=f"{form}-second_model").select("mine").run()
    page.button(key=f"{form}-save").click().run()
    assert "mine has no safetensors weights" in page.error[0].value
    with reading(engine) as session:
        assert scan_settings.current(session, desk.id).number == 0


def test_settings_can_be_tried_before_they_are_saved(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 1)
    form = f"scan-settings-{desk.id}"
    page = open_page(PAGE)
    page.text_area(key=f"{form}-names").set_value("Ana Roth").run()
    page.text_area(key=f"{form}-try").set_value("Dear Ana Roth").run()
    drawn = [json.loads(element.proto.json) for element in page.get("bidi_component")]
    assert [part["mark"] for part in drawn[-1]["parts"]] == ["", "1 PERSON"]
    with reading(engine) as session:
        assert scan_settings.current(session, desk.id).number == 0


def test_only_leads_see_the_settings_and_decide_about_the_system_message(
    engine: Engine, open_page: OpenPage
) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 1)
    name = ScanFinding(field="system_message", start=0, end=3, type="PERSON", score=0.9)
    curated.scanned(engine, desk, message=[name])
    ben = stories.person(engine, "ben", Role.REVIEWER)
    page = open_page(PAGE, user=ben)
    assert not page.text_area
    assert not [key for key in keys(page) if key.startswith("message-")]
    page = open_page(PAGE, user="lena")
    page.button(key=f"message-{desk.id}-0-0").click().run()
    assert not page.exception
    with reading(engine) as session:
        assert findings.coverage(session, desk.id).message.open == 0


def test_a_message_written_anew_waits_for_a_scan(engine: Engine, open_page: OpenPage) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 1)
    name = ScanFinding(field="system_message", start=0, end=3, type="PERSON", score=0.9)
    curated.scanned(engine, desk, message=[name])
    page = open_page(PAGE, user="lena")
    page.text_area(key=f"reword-{desk.id}").set_value("Route the messages.").run()
    page.button(key=f"save-reword-{desk.id}").click().run()
    assert page.button(key=f"scan-{desk.id}").label == "Scan the system message"


def test_measured_recall_is_printed_or_said_to_be_missing(
    engine: Engine, open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned(engine)
    monkeypatch.setattr(recall, "FILE", tmp_path / "recall.json")
    sentence = "How much of each type it finds has not been measured here yet."
    assert any(sentence in element.value for element in open_page(PAGE).markdown)
    measured = {"PERSON": {"found": 57, "n": 64, "low": 0.79, "high": 0.95}}
    full = {
        "model": "sm",
        "config_sha256": "c",
        "measured_on": "invented texts",
        "types": measured,
        "types_in_view": {"IBAN_CODE": {"found": 3, "n": 4}},
    }
    (tmp_path / "recall.json").write_text(json.dumps(full))
    page = open_page(PAGE)
    assert "PERSON: 57 of 64 (89 %, 95 % interval 79 to 95 %)" in texts(page)
    assert "IBAN_CODE: 3 of 4 (75 %, 95 % interval 30 to 95 %)" in texts(page)
    assert not any(sentence in element.value for element in page.markdown)
    assert any(
        "Not measured" in element.value and "AGE" in element.value for element in page.markdown
    )
    (tmp_path / "recall.json").write_text("[1")
    assert recall.measured(tmp_path / "recall.json") is None
