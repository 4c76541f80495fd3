"""The gate as stories: it measures, names the rows, blocks; waivers are signed and end."""

from datetime import date, timedelta

import pytest
from sqlalchemy import Engine

from curation.gate import decision, readiness
from curation.personal import findings, scrub
from curation.policy import eras
from storage.engine import reading, writing
from storage.errors import BadInput, NotAllowed, RuleBroken
from storage.types import FindingState, Origin, Project, Role, Signal
from tests.support import curated, stories

TEXT = "my card was eaten by the machine at the station this morning and I need a new one today"
DAY = timedelta(days=1)


def lines(engine: Engine, desk: Project) -> dict[str, Signal]:
    """The report by key."""
    with reading(engine) as session:
        return {one.key: one for one in readiness.report(session, desk.id)}


def waive(engine: Engine, desk: Project, key: str, until: date = curated.SOON) -> None:
    """A waiver of lea's."""
    lea = stories.person(engine, "lea", Role.LEAD)
    with writing(engine) as session:
        readiness.waive(session, lea, desk.id, key, "We start small on purpose.", until)


def test_an_empty_project_meets_no_line_that_asks_for_something(engine: Engine) -> None:
    found = lines(engine, stories.project(engine))
    assert tuple(found) == readiness.KEYS
    met = {key for key, one in found.items() if one.met}
    assert met == {
        "leakage",
        "personal_data",
        "unscanned",
        "near_duplicates",
        "contradictions",
        "system_messages",
        "schema",
        "retired_era",
    }
    assert all(one.measured and one.required and one.fix for one in found.values())


def test_rows_and_gold_are_counted(engine: Engine) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 7)
    author, ben = stories.person(engine, "eva"), stories.person(engine, "ben")
    gold = stories.messages(3, start=100)
    curated.approved(engine, desk, gold, origin=Origin.GOLD, author=author, by=ben)
    found = lines(engine, desk)
    assert (found["reviewed"].measured, found["gold"].measured) == ("10", "3")
    assert not found["reviewed"].met
    assert not found["gold"].met


def test_each_fault_names_its_rows(engine: Engine) -> None:
    desk = stories.project(engine)
    lead = stories.person(engine, "lena", Role.LEAD)
    with writing(engine) as session:
        eras.add(
            session, lead, desk.id, "old", date(2019, 1, 1), retired=True, phrases=("passbook",)
        )
    rows = curated.approved(
        engine,
        desk,
        [
            (TEXT, stories.CARDS),
            (f"Oh, {TEXT}", stories.CARDS),
            (f"Hello, {TEXT}", stories.LOANS),
            ("I lost my Passbook", stories.CARDS),
            ("I am Ana Roth", stories.CARDS),
        ],
    )
    a, b, c, old, person = (row.id for row in rows)
    curated.compared(engine, desk)
    curated.scanned(engine, desk, {person: [("prompt", "Ana Roth", "PERSON")]})
    found = lines(engine, desk)
    assert found["near_duplicates"].pairs.ids == (a, b)
    assert found["contradictions"].pairs.ids == (a, b, c)
    assert found["retired_era"].pairs.ids == (old,)
    assert found["personal_data"].pairs.ids == (person,)
    assert found["unscanned"].met


def test_unscanned_quarantined_and_uncompared_rows_block(engine: Engine) -> None:
    desk = stories.project(engine)
    rows = curated.approved(engine, desk, 3)
    found = lines(engine, desk)
    assert found["unscanned"].measured == "3 unscanned, 0 quarantined"
    assert found["leakage"].measured == "0, 3 pairs not compared yet"
    assert not any(found[key].met for key in ("unscanned", "leakage", "near_duplicates"))
    curated.scanned(engine, desk, quarantined={rows[0].id: "Too long."})
    assert lines(engine, desk)["unscanned"].pairs.ids == (rows[0].id,)
    assert not lines(engine, desk)["unscanned"].met


def test_a_decided_finding_no_longer_blocks(engine: Engine) -> None:
    desk = stories.project(engine)
    row = curated.approved(engine, desk, [("I am Ana Roth", stories.CARDS)])[0]
    curated.scanned(engine, desk, {row.id: [("prompt", "Ana Roth", "PERSON")]})
    assert not lines(engine, desk)["personal_data"].met
    with writing(engine) as session:
        found = findings.marked(session, desk.id)[0].findings[0]
        scrub.decide(session, curated.ana(engine), found.id, FindingState.ACCEPTED)
    done = lines(engine, desk)
    assert done["personal_data"].met
    assert done["unscanned"].met


def test_the_decision_record_feeds_three_lines(engine: Engine) -> None:
    desk = stories.project(engine)
    curated.recorded(engine, desk, decision.CHANGE[-1], iterations=2)
    found = lines(engine, desk)
    assert not any(found[key].met for key in ("plateau", "facts_change", "decision_record"))
    curated.recorded(engine, desk, decision.CHANGE[0], iterations=3)
    for name, part in (("lea", "business"), ("max", "technical")):
        who = stories.person(engine, name, Role.LEAD)
        with writing(engine) as session:
            decision.sign(session, who, desk.id, part)
    found = lines(engine, desk)
    assert all(found[key].met for key in ("plateau", "facts_change", "decision_record"))


def test_a_run_is_refused_until_each_line_is_met_or_waived(engine: Engine) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 40)
    version = curated.frozen(engine, desk)
    with reading(engine) as session:
        with pytest.raises(RuleBroken, match=r"Not ready: \d+ of 17 lines block, the first is"):
            readiness.require(session, desk.id, version)
        blocking = readiness.unmet(readiness.report(session, desk.id))
    for one in blocking:
        waive(engine, desk, one.key)
    with reading(engine) as session:
        passed = readiness.require(session, desk.id, version)
    waived = [one for one in passed if one.waiver]
    assert {one.key for one in waived} == {one.key for one in blocking}
    assert all(str(one.waiver).startswith("lea: We start small") for one in waived)


def test_a_waiver_ends_by_itself(engine: Engine) -> None:
    desk = stories.project(engine)
    waive(engine, desk, "reviewed", curated.SOON)
    with reading(engine) as session:
        assert "reviewed" in readiness.waivers(session, desk.id, curated.SOON)
        assert readiness.waivers(session, desk.id, curated.SOON + DAY) == {}


@pytest.mark.parametrize("key", sorted(readiness.NEVER_WAIVED))
def test_two_lines_are_never_waived(engine: Engine, key: str) -> None:
    desk = stories.project(engine)
    with pytest.raises(RuleBroken, match="cannot be waived"):
        waive(engine, desk, key)


def test_a_waiver_needs_a_known_line_a_reason_and_a_near_end(engine: Engine) -> None:
    desk, lea = stories.project(engine), stories.person(engine, "lea", Role.LEAD)
    with pytest.raises(BadInput, match="no readiness line"):
        waive(engine, desk, "luck")
    today = curated.today()
    for until in (today - DAY, today + 91 * DAY):
        with pytest.raises(BadInput, match="between today and 90 days"):
            waive(engine, desk, "gold", until)
    with writing(engine) as session, pytest.raises(BadInput, match="at least 10 characters"):
        readiness.waive(session, lea, desk.id, "gold", " why not ", curated.SOON)


def test_only_a_lead_waives(engine: Engine) -> None:
    desk, eva = stories.project(engine), stories.person(engine, "eva", Role.EXPERT)
    with writing(engine) as session, pytest.raises(NotAllowed, match="asks for the role lead"):
        readiness.waive(session, eva, desk.id, "gold", "We start small.", curated.SOON)
