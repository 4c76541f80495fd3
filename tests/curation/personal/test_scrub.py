"""Personal data as stories: nothing counts as clean unseen, and a person decides each finding."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, insert, select

from curation.personal import findings, scan_settings, scans, scrub
from curation.personal.pii import Replacement
from curation.personal.scan_lines import ScannedPair
from curation.review import claims
from storage import events, leases, pairs, people
from storage.engine import reading, writing
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import ClaimRow, PairRow
from storage.types import (
    Action,
    Finding,
    FindingState,
    Origin,
    Pair,
    PairStatus,
    Project,
    Role,
)
from storage.values import value_of
from tests.support import curated, stories

ANSWER = '{"team": "cards"}'
HELLO = "I am Ana Roth, ana@example.com. Yours, Ana Roth"
FINDINGS = (
    ("prompt", "Ana Roth", "PERSON"),
    ("prompt", "ana@example.com", "EMAIL_ADDRESS"),
)


def all_findings(engine: Engine, desk: Project, state: FindingState | None = None) -> list[Finding]:
    """All findings of the project in the present texts."""
    with reading(engine) as session:
        return [each for row in findings.marked(session, desk.id, state) for each in row.findings]


def decide(engine: Engine, finding: Finding, state: FindingState, type_: str | None = None) -> bool:
    """One decision of ana's."""
    with writing(engine) as session:
        return scrub.decide(session, curated.ana(engine), finding.id, state, type_)


def scanned_pair(engine: Engine, text: str = HELLO) -> tuple[Project, Pair]:
    """A project with one approved row, scanned."""
    desk = stories.project(engine)
    row = curated.approved(engine, desk, [(text, ANSWER)])[0]
    curated.scanned(engine, desk, {row.id: FINDINGS})
    return desk, row


def test_a_row_is_unscanned_until_its_present_text_was_scanned(engine: Engine) -> None:
    desk = stories.project(engine)
    row = curated.approved(engine, desk, [(HELLO, ANSWER)])[0]
    with reading(engine) as session:
        assert findings.coverage(session, desk.id).unscanned == (row.id,)
    curated.scanned(engine, desk)
    with writing(engine) as session:
        assert findings.coverage(session, desk.id).unscanned == ()
        again = pairs.row_of(session, row.id)
        pairs.rewrite(session, again, "Other words", ANSWER, None)
        assert findings.coverage(session, desk.id).unscanned == (row.id,)


def test_a_result_for_a_text_that_changed_meanwhile_is_left_out(engine: Engine) -> None:
    desk = stories.project(engine)
    ana, row = curated.ana(engine), stories.waiting(engine, desk, [(HELLO, ANSWER)])[0]
    result = ScannedPair(
        pair_id=row.id, content_sha256=row.content_sha256, config_sha256="c", findings=()
    )
    with writing(engine) as session:
        pairs.rewrite(session, pairs.row_of(session, row.id), "Other words", ANSWER, None)
        assert scans.store(session, ana, desk.id, [result]) == 0
        assert findings.coverage(session, desk.id).unscanned == (row.id,)


def test_a_quarantined_row_is_never_clean(engine: Engine) -> None:
    desk = stories.project(engine)
    row = stories.waiting(engine, desk, [(HELLO, ANSWER)])[0]
    curated.scanned(engine, desk, quarantined={row.id: "It is longer than 200,000 characters."})
    with reading(engine) as session:
        coverage = findings.coverage(session, desk.id)
    assert coverage.quarantined == {row.id: "It is longer than 200,000 characters."}
    assert (coverage.open, coverage.unscanned) == ((), ())


def test_placeholders_come_once_every_finding_is_decided(engine: Engine) -> None:
    desk, row = scanned_pair(engine)
    name, mail = all_findings(engine, desk)
    assert decide(engine, name, FindingState.ACCEPTED) is False
    assert curated.now(engine, [row])[0].prompt == HELLO
    assert decide(engine, mail, FindingState.ACCEPTED) is True
    done = curated.now(engine, [row])[0]
    assert done.prompt == "I am <PERSON_1>, <EMAIL_ADDRESS_1>. Yours, Ana Roth"
    with reading(engine) as session:
        coverage = findings.coverage(session, desk.id)
        history = [each.action for each in pairs.history(session, row.id)]
    assert (coverage.unscanned, coverage.open) == ((), ())
    assert (done.status, history) == (PairStatus.APPROVED, [Action.APPROVE, Action.SCRUB])


def test_the_same_name_gets_the_same_number_in_both_texts(engine: Engine) -> None:
    desk = stories.project(engine, output_schema=None)
    row = curated.approved(engine, desk, [("Ana Roth wrote.", "Call Ana Roth, not Bo Lind.")])[0]
    marks = [("prompt", "Ana Roth"), ("response", "Ana Roth"), ("response", "Bo Lind")]
    curated.scanned(engine, desk, {row.id: [(*each, "PERSON") for each in marks]})
    for each in all_findings(engine, desk):
        decide(engine, each, FindingState.ACCEPTED)
    done = curated.now(engine, [row])[0]
    assert done.prompt == "<PERSON_1> wrote."
    assert done.response == "Call <PERSON_1>, not <PERSON_2>."


def test_the_preview_says_what_each_finding_becomes(engine: Engine) -> None:
    desk, _row = scanned_pair(engine)
    name, mail = all_findings(engine, desk)
    decide(engine, name, FindingState.DISMISSED)
    with reading(engine) as session:
        preview = findings.preview(session, findings.marked(session, desk.id)[0])
    assert preview.becomes == {mail.id: "<EMAIL_ADDRESS_1>"}
    assert preview.texts["prompt"] == "I am Ana Roth, <EMAIL_ADDRESS_1>. Yours, Ana Roth"


def test_json_stays_json_and_its_schema_is_not_broken(engine: Engine) -> None:
    desk = stories.project(engine, output_schema=None)
    row = curated.approved(
        engine, desk, [("Who?", '{"name": "Ana Roth", "card": 4111111111111111}')]
    )[0]
    marks = [("response", "Ana Roth", "PERSON"), ("response", "4111111111111111", "CREDIT_CARD")]
    curated.scanned(engine, desk, {row.id: marks})
    for each in all_findings(engine, desk):
        decide(engine, each, FindingState.ACCEPTED)
    done = json.loads(curated.now(engine, [row])[0].response)
    assert done == {"name": "<PERSON_1>", "card": "<CREDIT_CARD_1>"}


def test_what_was_called_harmless_is_not_asked_again(engine: Engine) -> None:
    desk, row = scanned_pair(engine)
    for each in all_findings(engine, desk):
        decide(engine, each, FindingState.DISMISSED)
    assert all_findings(engine, desk, FindingState.OPEN) == []
    with writing(engine) as session:
        again = pairs.row_of(session, row.id)
        pairs.rewrite(session, again, f"Hello. {HELLO}", ANSWER, None)
    curated.scanned(engine, desk, {row.id: FINDINGS})
    assert all_findings(engine, desk, FindingState.OPEN) == []


def test_a_finding_can_be_given_another_type_of_the_list_only(engine: Engine) -> None:
    desk, row = scanned_pair(engine)
    name, mail = all_findings(engine, desk)
    with pytest.raises(BadInput, match="not a type of personal data"):
        decide(engine, name, FindingState.ACCEPTED, "SECRET")
    decide(engine, name, FindingState.ACCEPTED, "ORGANIZATION")
    decide(engine, mail, FindingState.DISMISSED)
    assert curated.now(engine, [row])[0].prompt.startswith("I am <ORGANIZATION_1>, ana@")


def test_a_decision_about_words_that_changed_is_refused(engine: Engine) -> None:
    desk, row = scanned_pair(engine)
    name = all_findings(engine, desk)[0]
    with writing(engine) as session:
        pairs.rewrite(session, pairs.row_of(session, row.id), "Other words", ANSWER, None)
    with pytest.raises(RuleBroken, match=f"pair {row.id} changed since the scan. Scan it again"):
        decide(engine, name, FindingState.ACCEPTED)


def test_a_row_in_someones_review_hand_is_left_alone(engine: Engine) -> None:
    desk = stories.project(engine)
    row = stories.waiting(engine, desk, [(HELLO, ANSWER)])[0]
    curated.scanned(engine, desk, {row.id: FINDINGS})
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with writing(engine) as session:
        claims.lease(session, ben, desk.id)
    with pytest.raises(RuleBroken, match="Someone is reviewing"):
        decide(engine, all_findings(engine, desk)[0], FindingState.ACCEPTED)


def test_no_text_of_a_row_reaches_the_log(engine: Engine) -> None:
    desk, _row = scanned_pair(engine)
    for each in all_findings(engine, desk):
        decide(engine, each, FindingState.ACCEPTED)
    with reading(engine) as session:
        told = json.dumps([each.detail for each in events.latest(session, desk.id)])
    assert "Ana Roth" not in told
    assert "example.com" not in told


def test_there_is_no_finding_without_a_number(engine: Engine) -> None:
    ana = curated.ana(engine)
    with writing(engine) as session, pytest.raises(NotFound, match="no finding 99"):
        scrub.decide(session, ana, 99, FindingState.ACCEPTED)


def choose(engine: Engine, desk: Project, replacement: Replacement) -> None:
    """What a lead wants in the place of personal data."""
    lead = stories.person(engine, "lena", Role.LEAD)
    with writing(engine) as session:
        config = scan_settings.current(session, desk.id).config
        scan_settings.configure(session, lead, desk.id, config, replacement)


def accept_all(engine: Engine, desk: Project) -> None:
    """Ana accepts every open finding."""
    for each in all_findings(engine, desk, FindingState.OPEN):
        decide(engine, each, FindingState.ACCEPTED)


def spread(engine: Engine, finding: Finding, state: FindingState) -> scrub.Spread:
    """A decision of ana's about the same words in all rows."""
    ana = curated.ana(engine)
    with writing(engine) as session:
        return scrub.everywhere(session, ana, finding.id, state)


def three_rows(engine: Engine, *texts: str) -> tuple[Project, list[Pair]]:
    """Waiting rows, each naming Ana Roth somehow."""
    desk = stories.project(engine)
    rows = stories.waiting(engine, desk, [(text, ANSWER) for text in texts])
    named = {r.id: [("prompt", n, "PERSON")] for r in rows for n in (r.prompt.split(",")[0],)}
    curated.scanned(engine, desk, named)
    return desk, rows


def test_the_same_words_are_decided_in_all_rows_with_one_event(engine: Engine) -> None:
    desk, rows = three_rows(engine, "Ana Roth, hello", "ANA  ROTH, yes", "Bo Lind, no")
    first = all_findings(engine, desk)[0]
    done = spread(engine, first, FindingState.ACCEPTED)
    assert done == scrub.Spread(2, 2, (), ())
    assert [each.prompt for each in curated.now(engine, rows)] == [
        "<PERSON_1>, hello",
        "<PERSON_1>, yes",
        "Bo Lind, no",
    ]
    with reading(engine) as session:
        told = [each for each in events.latest(session, desk.id) if each.verb.startswith("every")]
    assert [(each.detail["rows"], each.detail["findings"]) for each in told] == [(2, 2)]
    with pytest.raises(RuleBroken, match="changed since the scan"):
        spread(engine, first, FindingState.DISMISSED)


def test_the_same_words_in_many_rows_are_decided_a_few_at_a_time(engine: Engine) -> None:
    """What ends the work leaves whole rows behind it and untouched ones before it, and the log
    says how many; once more goes on from there.
    """
    desk, rows = three_rows(engine, *(f"Ana Roth, {n}" for n in range(12)))
    first = all_findings(engine, desk)[0]
    ana = curated.ana(engine)

    def step(done: int, _total: int) -> None:
        if done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scrub.everywhere_in_chunks(engine, ana, first.id, FindingState.ACCEPTED, step=step)
    changed = sum(row.prompt.startswith("<PERSON_1>") for row in curated.now(engine, rows))
    assert 0 < changed < 12
    with reading(engine) as session:
        log = [each for each in events.latest(session, desk.id) if each.verb.startswith("every")]
    assert sum(each.detail["rows"] for each in log) == changed
    left = all_findings(engine, desk, FindingState.OPEN)
    assert len(left) == 12 - changed
    done = scrub.everywhere_in_chunks(engine, ana, left[0].id, FindingState.ACCEPTED)
    assert done == scrub.Spread(12 - changed, 12 - changed, (), ())
    assert all_findings(engine, desk, FindingState.OPEN) == []


def test_harmless_everywhere_leaves_every_text_alone(engine: Engine) -> None:
    desk, rows = three_rows(engine, "Ana Roth, hello", "Ana Roth, yes")
    first = all_findings(engine, desk)[0]
    assert spread(engine, first, FindingState.DISMISSED).pairs == 2
    assert all_findings(engine, desk, FindingState.OPEN) == []
    assert curated.now(engine, rows) == rows
    decide(engine, first, FindingState.OPEN)
    assert len(all_findings(engine, desk, FindingState.OPEN)) == 1
    with pytest.raises(BadInput, match="Choose whether"):
        spread(engine, first, FindingState.OPEN)


def test_rows_in_review_or_with_json_at_stake_are_left_and_reported(engine: Engine) -> None:
    desk = stories.project(engine, output_schema=None)
    rows = stories.waiting(
        engine, desk, [("Hi", '{"a": "Ana", "b": 1}'), ("Ho", "Ana"), ("Hu", "Ana")]
    )
    found = {row.id: [("response", "Ana", "PERSON")] for row in rows}
    found[rows[0].id] = [("response", 'Ana", "b', "PERSON")]
    curated.scanned(engine, desk, found)
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with writing(engine) as session:
        until = datetime.now(UTC) + leases.LEASE
        session.add(ClaimRow(pair_id=rows[2].id, user_id=ben.id, fence=1, lease_until=until))
    second = all_findings(engine, desk)[1]
    assert spread(engine, second, FindingState.ACCEPTED) == scrub.Spread(1, 1, (rows[2].id,), ())
    first = all_findings(engine, desk, FindingState.OPEN)[0]
    assert spread(engine, first, FindingState.ACCEPTED) == scrub.Spread(0, 0, (), (rows[0].id,))
    assert all_findings(engine, desk, FindingState.OPEN)[0].id == first.id


def test_what_came_along_with_a_row_is_redacted_for_good(engine: Engine) -> None:
    desk = stories.project(engine)
    with writing(engine) as session:
        row = value_of(
            Pair,
            pairs.add(
                session,
                desk.id,
                "Hello",
                ANSWER,
                Origin.IMPORT,
                topic="Ana Roth, card",
                source={"id": "ana@example.com", "line": 3, "file": "a.csv"},
            ),
        )
    where = [("topic", "Ana Roth", "PERSON"), ("source:id", "ana@example.com", "EMAIL_ADDRESS")]
    curated.scanned(engine, desk, {row.id: where})
    accept_all(engine, desk)
    now = curated.now(engine, [row])[0]
    assert (now.topic, now.source) == (
        "<PERSON_1>, card",
        {"id": "<EMAIL_ADDRESS_1>", "line": 3, "file": "a.csv"},
    )
    assert (now.version, now.content_sha256) == (row.version, row.content_sha256)
    assert all_findings(engine, desk) == []
    with reading(engine) as session:
        assert findings.coverage(session, desk.id).open == ()
        assert "redact" in [each.verb for each in events.latest(session, desk.id)]
        assert "ana" not in str(session.execute(select(PairRow.__table__)).all()).lower()


def test_different_source_ids_stay_different(engine: Engine) -> None:
    desk = stories.project(engine)
    mails = ("ana@example.com", "bo@example.com", "ana@example.com")
    with writing(engine) as session:
        rows = [
            value_of(
                Pair,
                pairs.add(session, desk.id, f"Hello {n}", ANSWER, Origin.IMPORT, source={"id": m}),
            )
            for n, m in enumerate(mails)
        ]
    curated.scanned(
        engine, desk, {r.id: [("source:id", str(r.source["id"]), "EMAIL_ADDRESS")] for r in rows}
    )
    accept_all(engine, desk)
    ids = [each.source["id"] for each in curated.now(engine, rows)]
    assert ids == ["<EMAIL_ADDRESS_1>", "<EMAIL_ADDRESS_2>", "<EMAIL_ADDRESS_1>"]


def test_a_person_has_one_placeholder_in_the_whole_project(engine: Engine) -> None:
    desk, rows = three_rows(engine, "Ana Roth, hello <PERSON_4>", "Bo Lind, yes", "ana roth, no")
    choose(engine, desk, Replacement.PROJECT)
    with reading(engine) as session:
        told = findings.preview(session, findings.marked(session, desk.id)[0])
    accept_all(engine, desk)
    assert [each.prompt for each in curated.now(engine, rows)] == [
        "<PERSON_5>, hello <PERSON_4>",
        "<PERSON_6>, yes",
        "<PERSON_5>, no",
    ]
    assert list(told.becomes.values()) == ["<PERSON_5>"]


def test_inventions_are_the_same_everywhere_and_nobody_is_asked_about_them(engine: Engine) -> None:
    desk = stories.project(engine, output_schema=None)
    choose(engine, desk, Replacement.SURROGATE)
    rows = stories.waiting(
        engine,
        desk,
        [
            ("Ana Roth, card 4111", '{"to": "Ana Roth", "card": 4111111111111111}'),
            ("Bo Lind, ana", "Ana Roth"),
        ],
    )
    curated.scanned(
        engine,
        desk,
        {
            rows[0].id: [
                ("prompt", "Ana Roth", "PERSON"),
                ("response", "Ana Roth", "PERSON"),
                ("response", "4111111111111111", "CREDIT_CARD"),
            ],
            rows[1].id: [("prompt", "Bo Lind", "PERSON"), ("response", "Ana Roth", "PERSON")],
        },
    )
    with reading(engine) as session:
        told = findings.preview(session, findings.marked(session, desk.id)[0]).texts
    accept_all(engine, desk)
    first, second = curated.now(engine, rows)
    name = second.response
    assert first.prompt == f"{name}, card 4111" == told["prompt"]
    assert json.loads(first.response) == {"to": name, "card": "<CREDIT_CARD_1>"}
    assert name not in {"Ana Roth", second.prompt.partition(",")[0]}
    with writing(engine) as session:
        config = replace(scan_settings.current(session, desk.id).config, births=True)
        lead = people.join(session, "lea", frozenset({Role.LEAD}))
        scan_settings.configure(session, lead, desk.id, config, Replacement.SURROGATE)
    curated.scanned(
        engine,
        desk,
        {
            first.id: [("prompt", name.split()[1], "PERSON")],
            second.id: [("response", name, "PERSON")],
        },
    )
    assert all_findings(engine, desk) == []


def test_a_text_that_comes_back_is_asked_about_again(engine: Engine) -> None:
    desk, row = scanned_pair(engine)
    accept_all(engine, desk)
    with writing(engine) as session:
        back = pairs.row_of(session, row.id)
        pairs.rewrite(session, back, HELLO, ANSWER, None)
    with reading(engine) as session:
        assert findings.coverage(session, desk.id).open == (row.id,)
        assert len(findings.marked(session, desk.id)) == 1


def test_more_rows_than_a_statement_takes_parameters(engine: Engine) -> None:
    desk = stories.project(engine)
    with writing(engine) as session:
        values = [
            {
                "project_id": desk.id,
                "prompt": f"{n}",
                "response": "",
                "status": "waiting",
                "origin": "import",
                "version": 1,
                "content_sha256": f"{n}",
                "source": {},
            }
            for n in range(40_000)
        ]
        session.execute(insert(PairRow), values)
        assert len(findings.coverage(session, desk.id).unscanned) == 40_000
        assert findings.marked(session, desk.id) == []
