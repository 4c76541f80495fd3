"""The settings of a project's scan: versioned, by leads, and what they make stale."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from curation.gate import readiness
from curation.personal import findings, messages, scan_settings, scanning, scans, scrub
from curation.personal.pii import Config, Replacement
from curation.personal.scan_lines import ScanFinding, ScannedPair
from storage import events, pairs, projects, settings
from storage.engine import driver, reading, writing
from storage.errors import BadInput, NotAllowed, NotFound
from storage.types import Finding, FindingState, Origin, Project, Role, Signal
from tests.support import curated, stories

HELLO = "I am Ana Roth of Acme"


def configure(
    engine: Engine, desk: Project, replacement: Replacement = Replacement.ROW, **changes: object
) -> scan_settings.ScanSettings:
    """A lead changes these settings."""
    lead = stories.person(engine, "lena", Role.LEAD)
    with writing(engine) as session:
        before = scan_settings.current(session, desk.id).config
        config = replace(before, **changes)  # type: ignore[arg-type]  # as each test names them
        return scan_settings.configure(session, lead, desk.id, config, replacement)


def coverage(engine: Engine, desk: Project) -> findings.Coverage:
    """How far the project is scanned."""
    with reading(engine) as session:
        return findings.coverage(session, desk.id)


def line(engine: Engine, desk: Project, key: str) -> Signal:
    """One line of the gate."""
    with reading(engine) as session:
        return next(s for s in readiness.report(session, desk.id) if s.key == key)


def all_findings(engine: Engine, desk: Project, state: FindingState | None = None) -> list[Finding]:
    """All findings in the present texts."""
    with reading(engine) as session:
        return [
            finding for row in findings.marked(session, desk.id, state) for finding in row.findings
        ]


def test_settings_have_a_number_and_earlier_ones_are_kept(engine: Engine) -> None:
    desk = stories.project(engine)
    first = configure(engine, desk, names=("Ana Roth",))
    second = configure(engine, desk, Replacement.PROJECT, births=True)
    with reading(engine) as session:
        now = scan_settings.current(session, desk.id)
        history = scan_settings.history(session, desk.id)
        details = json.dumps([finding.detail for finding in events.latest(session, desk.id)])
    assert (first.number, second.number, now.number) == (1, 2, 2)
    assert now.config == Config(names=("Ana Roth",), births=True, allow=now.config.allow)
    assert "cards" in now.config.allow
    assert [finding.number for finding in history] == [2, 1]
    assert "Ana Roth" not in details


def test_the_same_settings_again_are_no_change(engine: Engine) -> None:
    desk = stories.project(engine)
    assert configure(engine, desk).number == 0
    configure(engine, desk, births=True)
    assert configure(engine, desk).number == 1


def test_only_a_lead_changes_them_and_only_to_what_can_be_read(engine: Engine) -> None:
    desk = stories.project(engine)
    ben = stories.person(engine, "ben", Role.REVIEWER, Role.EXPERT)
    with writing(engine) as session, pytest.raises(NotAllowed, match="asks for the role lead"):
        scan_settings.configure(session, ben, desk.id, Config(births=True), Replacement.ROW)
    with pytest.raises(BadInput, match=r"line 1: The pattern cannot be read"):
        configure(engine, desk, patterns=(("ORDER_NUMBER", "(a|a)*$"),))


def test_a_change_makes_every_scan_stale_and_going_back_makes_it_good(engine: Engine) -> None:
    desk = stories.project(engine)
    ids = tuple(row.id for row in curated.approved(engine, desk, 2))
    curated.scanned(engine, desk)
    assert line(engine, desk, "unscanned").met
    configure(engine, desk, births=True)
    now = coverage(engine, desk)
    assert (now.unscanned, now.stale, now.message.scanned) == (ids, ids, False)
    assert line(engine, desk, "unscanned").measured.startswith("2 unscanned")
    configure(engine, desk, births=False)
    assert line(engine, desk, "unscanned").met


def test_other_placeholders_make_nothing_stale(engine: Engine) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 1)
    curated.scanned(engine, desk)
    configure(engine, desk, Replacement.SURROGATE)
    assert line(engine, desk, "unscanned").met


def test_a_rescan_asks_nobody_again(engine: Engine) -> None:
    desk = stories.project(engine)
    row = curated.approved(engine, desk, [(HELLO, stories.CARDS)])[0]
    both = {row.id: [("prompt", "Ana Roth", "PERSON"), ("prompt", "Acme", "ORGANIZATION")]}
    curated.scanned(engine, desk, both)
    name, firm = all_findings(engine, desk)
    ana = curated.ana(engine)
    with writing(engine) as session:
        scrub.decide(session, ana, firm.id, FindingState.DISMISSED)
    configure(engine, desk, births=True)
    curated.scanned(engine, desk, both)
    now = all_findings(engine, desk)
    assert {finding.type: finding.state for finding in now} == {
        "PERSON": FindingState.OPEN,
        "ORGANIZATION": FindingState.DISMISSED,
    }
    with writing(engine) as session:
        scrub.decide(session, ana, now[0].id, FindingState.ACCEPTED)
    assert curated.now(engine, [row])[0].prompt == "I am <PERSON_1> of Acme"
    assert (coverage(engine, desk).unscanned, coverage(engine, desk).open) == ((), ())
    configure(engine, desk, births=False)
    assert coverage(engine, desk).unscanned == (row.id,), (
        "what was put in was scanned as settings 2"
    )
    assert name.id != now[0].id


def test_what_was_said_meanwhile_holds_for_the_settings_one_goes_back_to(engine: Engine) -> None:
    desk = stories.project(engine)
    row = curated.approved(engine, desk, [(HELLO, stories.CARDS)])[0]
    firm = {row.id: [("prompt", "Acme", "ORGANIZATION")]}
    curated.scanned(engine, desk, firm)
    configure(engine, desk, births=True)
    curated.scanned(engine, desk, firm)
    with writing(engine) as session:
        (finding,) = findings.marked(session, desk.id)[0].findings
        scrub.decide(session, curated.ana(engine), finding.id, FindingState.DISMISSED)
    configure(engine, desk, births=False)
    assert all_findings(engine, desk, FindingState.OPEN) == []
    assert len(all_findings(engine, desk)) == 1


def test_the_system_message_is_scanned_and_blocks_until_a_lead_decides(engine: Engine) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 1)
    name = ScanFinding(field="system_message", start=10, end=18, type="PERSON", score=0.9)
    curated.scanned(engine, desk, message=[name])
    now = line(engine, desk, "personal_data")
    assert (now.met, now.measured) == (False, "0, 1 in the system message")
    ana = stories.person(engine, "ana")
    ben = stories.person(engine, "ben", Role.REVIEWER)
    with writing(engine) as session, pytest.raises(NotAllowed):
        messages.dismiss(session, ben, desk.id, 0)
    with writing(engine) as session, pytest.raises(NotFound, match="no such finding"):
        messages.dismiss(session, ana, desk.id, 1)
    with writing(engine) as session:
        messages.dismiss(session, ana, desk.id, 0)
    assert line(engine, desk, "personal_data").met
    configure(engine, desk, births=True)
    curated.scanned(engine, desk, message=[name])
    assert line(engine, desk, "personal_data").met, "the same words of the same message"


def test_a_message_written_anew_is_scanned_anew(engine: Engine) -> None:
    desk = stories.project(engine)
    lead = stories.person(engine, "lena", Role.LEAD)
    curated.approved(engine, desk, 1)
    curated.scanned(engine, desk)
    with writing(engine) as session:
        stale = messages.to_scan(session, desk.id)
        projects.reword(session, lead, desk.id, "You route messages of Ana Roth.")
        fresh = messages.to_scan(session, desk.id)
    assert (stale, len(fresh)) == ([], 1)
    assert not line(engine, desk, "unscanned").met
    late = ScannedPair(pair_id=0, content_sha256="0" * 64, config_sha256="c", findings=())
    with writing(engine) as session:
        assert messages.store(session, desk.id, late) is False
        with pytest.raises(BadInput, match="needs a system message"):
            projects.reword(session, lead, desk.id, " ")


def test_a_real_scan_reads_every_field(engine: Engine) -> None:
    desk, ana = stories.project(engine), curated.ana(engine)
    configure(engine, desk, patterns=(("ORDER_NUMBER", '"ORD"-9{6}'),))
    with writing(engine) as session:
        pairs.add(
            session,
            desk.id,
            "Where is ORD-123456?",
            stories.CARDS,
            Origin.IMPORT,
            topic="Ana Roth, lost card",
            source={"id": "ana@example.com", "file": "Ana Roth.csv"},
        )
        rows = scans.to_scan(session, desk.id)
        config = scan_settings.current(session, desk.id).config
        lines = [finding for batch in scanning.results(rows, config) for finding in batch]
        scans.store(session, ana, desk.id, lines)
        (row,) = findings.marked(session, desk.id)
    assert {(finding.field, finding.key, finding.type) for finding in row.findings} == {
        ("prompt", None, "ORDER_NUMBER"),
        ("topic", None, "PERSON"),
        ("source", "id", "EMAIL_ADDRESS"),
    }
    assert coverage(engine, desk).message.scanned


def test_the_database_keeps_settings_and_stand_ins_as_they_were(engine: Engine) -> None:
    desk = stories.project(engine)
    configure(engine, desk, Replacement.PROJECT)
    row = curated.approved(engine, desk, [(HELLO, stories.CARDS)])[0]
    curated.scanned(engine, desk, {row.id: [("prompt", "Ana Roth", "PERSON")]})
    with writing(engine) as session:
        (finding,) = findings.marked(session, desk.id)[0].findings
        scrub.decide(session, curated.ana(engine), finding.id, FindingState.ACCEPTED)
    file = driver().connect(settings.current().database, isolation_level=None)
    refused = driver().IntegrityError
    for table in ("scan_config", "stand_in"):
        assert file.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)  # noqa: S608
        with pytest.raises(refused, match="insert-only"):
            file.execute(f"UPDATE {table} SET project_id = project_id")  # noqa: S608
        with pytest.raises(refused, match="insert-only"):
            file.execute(f"DELETE FROM {table}")  # noqa: S608
        with pytest.raises(refused, match="has this row already"):
            file.execute(f"REPLACE INTO {table} SELECT * FROM {table}")  # noqa: S608
    history = file.execute("SELECT * FROM stand_in").fetchone()
    assert "ana roth" not in str(history).lower()
    file.close()
