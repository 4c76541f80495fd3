"""Cards, certificates, tags and differences: what a version says of itself, and how it changed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import convert, structs
from sqlalchemy import Engine

from curation.gate import audit, readiness
from curation.personal import findings, scrub
from curation.policy import eras
from curation.review import claims, decisions
from curation.versions import archive, cards, certificate, changes, packages, tags, verify_version
from curation.versions.records import SealedEra, VersionCard
from storage import pairs
from storage.engine import reading, writing
from storage.errors import BadInput, NotFound, RuleBroken
from storage.settings import ROOT
from storage.types import Action, FindingState, Origin, Project, Role, Split, Version
from tests.curation.versions.test_versions_integrity import unguarded
from tests.support import copies, curated, stories

EVIL = "![x](https://x.example/?q=1) <script>|`*_ # [a](javascript:1)"


@pytest.fixture
def story(engine: Engine) -> tuple[Engine, Project, Version]:
    """A version with an era, gold rows, an audit, a waiver and a scan with findings."""
    return engine, *copies.once(engine, lambda: _story(engine), "cards")


def _story(engine: Engine) -> tuple[Project, Version]:
    desk = stories.project(engine, f"Desk {EVIL}")
    lena, ben = (
        stories.person(engine, "lena", Role.LEAD),
        stories.person(engine, f"ben {EVIL}"[:80]),
    )
    gold = curated.approved(
        engine, desk, stories.messages(10, start=300), origin=Origin.GOLD, author=ben
    )
    rows = curated.approved(engine, desk, [*stories.messages(29), ("e\u0301 here", stories.LOANS)])
    curated.scanned(
        engine,
        desk,
        {rows[0].id: [("prompt", "Ticket", "PERSON")], gold[0].id: [("prompt", "my", "LOCATION")]},
        {rows[1].id: "too long"},
    )
    with writing(engine) as session:
        eras.add(session, lena, desk.id, "2025", datetime(2025, 1, 1, tzinfo=UTC).date())
        found = {one.pair.id: one.findings[0] for one in findings.marked(session, desk.id)}
        scrub.decide(session, lena, found[rows[0].id].id, FindingState.ACCEPTED)
        scrub.decide(session, lena, found[gold[0].id].id, FindingState.DISMISSED)
        readiness.waive(session, lena, desk.id, "gold", f"Pilot {EVIL}", curated.SOON)
        audit.draw(session, lena, desk.id, 7)
        row = audit.next_row(session, ben, desk.id)
        assert row is not None
        audit.judge(session, ben, row.id, row.version, good=True)
    return desk, curated.frozen(engine, desk)


def card(engine: Engine, version: Version) -> VersionCard:
    """The card of a version."""
    with reading(engine) as session:
        return cards.build(session, version.id)


def test_a_card_counts_everything_an_auditor_asks_for(
    story: tuple[Engine, Project, Version],
) -> None:
    engine, _, version = story
    built = card(engine, version)
    facts = built.facts
    assert sum(facts.by_origin["gold"].values()) == 10
    assert sum(sum(split.values()) for split in facts.by_label.values()) == 40
    assert set(facts.by_label) == set(stories.TEAMS)
    assert sum(facts.by_era["none given"].values()) == 40
    assert sum(facts.approvers.values()) == 40
    assert facts.eras == (SealedEra("2025", "2025-01-01", retired=False),)
    assert facts.audit is not None
    assert (facts.audit.judged, facts.audit.good, facts.not_nfc) == (1, 1, 1)
    assert facts.audit.clopper_pearson_95 == (0.025, 1.0)
    assert facts.waivers[0].line == "gold"
    assert built.hashes.sha256 == version.sha256


def test_the_certificate_counts_scans_findings_and_who_decided(
    story: tuple[Engine, Project, Version],
) -> None:
    engine, _, version = story
    made = json.loads(cards.to_json(card(engine, version)))["facts"]["certificate"]
    assert (made["rows"], made["scanned_whole"], made["quarantined"]) == (40, 39, 1)
    assert made["not_scanned"] == 0
    assert list(made["configurations"].values()) == [39]
    none = {"accepted": 0, "dismissed": 0, "open": 0}
    assert made["findings"] == {
        "LOCATION": {**none, "dismissed": 1},
        "PERSON": {**none, "accepted": 1},
    }
    assert made["decided_by"] == {"lena": 2}
    assert (made["complete"], made["version_sha256"]) == (False, version.sha256)
    assert made["does_not_prove"] == list(certificate.LIMITS)
    body = {key: value for key, value in made.items() if key != "certificate_sha256"}
    named = hashlib.sha256(verify_version.compact(body).encode()).hexdigest()
    assert made["certificate_sha256"] == named


def test_a_version_scanned_whole_with_all_findings_decided_is_complete(engine: Engine) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 12)
    curated.scanned(engine, desk)
    version = curated.frozen(engine, desk)
    assert card(engine, version).facts.certificate.complete


def test_what_happens_later_stands_apart_and_changes_nothing_that_was_sealed(
    story: tuple[Engine, Project, Version],
) -> None:
    engine, desk, version = story
    before = card(engine, version)
    ana = curated.ana(engine)
    with writing(engine) as session:
        row = archive.rows(session, version.id)[0]
        seen = pairs.get(session, row.pair_id)
        decisions.reopen(session, ana, seen.id, seen.version, "look again")
        audited = audit.next_row(session, ana, desk.id)
        if audited is not None:
            audit.judge(session, ana, audited.id, audited.version, good=False)
        tags.tag(session, ana, version.id, "pilot")
    after = card(engine, version)
    assert structs.replace(after, since=before.since) == before
    assert (before.since.withdrawn, before.since.tags) == (0, [])
    assert after.since.withdrawn >= 1
    assert after.since.tags == ["pilot"]


_REBUILD = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from curation.versions import cards, packages
from storage.engine import open_engine, reading
from storage.types import Split
with reading(open_engine(Path(sys.argv[1]))) as session:
    made = cards.build(session, 1)
    content = packages.build(session, 1, "chat", tuple(Split)).zipped()
sys.stdout.buffer.write(cards.to_json(made) + cards.to_markdown(made) + content)
"""


def test_card_and_export_are_the_same_bytes_when_made_elsewhere(
    story: tuple[Engine, Project, Version], tmp_path: Path
) -> None:
    engine, _, version = story
    made = card(engine, version)
    with reading(engine) as session:
        content = packages.build(session, version.id, "chat", tuple(Split)).zipped()
    engine.dispose()
    copy = tmp_path / "elsewhere.db"
    shutil.copy(str(engine.url.database), copy)
    elsewhere = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "3", "LANG": "C"}
    done = subprocess.run(
        [sys.executable, "-c", _REBUILD, str(copy), str(ROOT)],
        cwd=tmp_path,
        env={**os.environ, **elsewhere},
        capture_output=True,
        check=True,
    )
    assert done.stdout == cards.to_json(made) + cards.to_markdown(made) + content


def test_words_of_people_are_escaped_in_markdown(story: tuple[Engine, Project, Version]) -> None:
    engine, _, version = story
    text = cards.to_markdown(card(engine, version)).decode()
    for wrong in ("![x]", "<script>", "[a](", "https://", "\n# Desk !", "|`"):
        assert wrong not in text
    assert text.count("Pilot") == 1
    rows = [line for line in text.splitlines() if line.startswith("| gold")]
    assert all(line.replace("\\|", "").count("|") in (5, 6) for line in rows)


def test_a_name_moves_and_its_history_stays(story: tuple[Engine, Project, Version]) -> None:
    engine, desk, first = story
    ana = curated.ana(engine)
    curated.approved(engine, desk, stories.messages(5, start=700))
    second = curated.frozen(engine, desk)
    with writing(engine) as session:
        tags.tag(session, ana, first.id, " release ")
        with pytest.raises(RuleBroken, match="has the tag release already"):
            tags.tag(session, ana, first.id, "release")
        tags.tag(session, ana, second.id, "release")
    with reading(engine) as session:
        assert [tag.version_id for tag in tags.history(session, desk.id)] == [second.id, first.id]
        assert (tags.of(session, first), tags.of(session, second)) == ([], ["release"])
        assert tags.find(session, desk.id, "release") == second
        assert tags.find(session, desk.id, "1") == first
        assert tags.find(session, desk.id) == second
        with pytest.raises(NotFound, match="There are versions 1, 2"):
            tags.find(session, desk.id, "3")


@pytest.mark.parametrize("name", ["", "3", "-a", "Release", "a b", "a" * 41, "latest", "a\n", "é"])
def test_a_name_that_could_be_taken_for_something_else_is_refused(
    story: tuple[Engine, Project, Version], name: str
) -> None:
    engine, _, version = story
    name = name if name != "a\n" else "a\nb"
    with writing(engine) as session, pytest.raises(BadInput, match="A tag is 1 to 40 small"):
        tags.tag(session, curated.ana(engine), version.id, name)


def test_a_difference_names_each_row_with_its_reason(engine: Engine) -> None:
    desk, ana = stories.project(engine), curated.ana(engine)
    rows = curated.approved(engine, desk, 40)
    first = curated.frozen(engine, desk)
    with reading(engine) as session:
        trained = [row.pair_id for row in archive.rows(session, first.id, Split.TRAIN)]
    gone, edited = trained[0], trained[1]
    for pair_id in (gone, edited):
        with writing(engine) as session:
            seen = pairs.get(session, pair_id)
            decisions.reopen(session, ana, pair_id, seen.version, "look again")
    for card_ in _cards(engine, desk):
        op = (
            stories.op(card_, Action.REJECT, reason="Wrong answer")
            if card_.pair.id == gone
            else stories.op(card_, response=stories.FRAUD)
        )
        stories.decide(engine, ana, op)
    fresh = curated.approved(engine, desk, stories.messages(3, start=900))
    second = curated.frozen(engine, desk, seed=8)
    with reading(engine) as session:
        found = changes.difference(session, first.id, second.id)
    why = {change.pair_id: change.why for change in found.rows}
    assert found.added == tuple(row.id for row in fresh)
    assert (found.removed, found.changed) == ((gone,), (edited,))
    back = "sent back to review by ana: look again"
    assert why[gone] == f"{back}; rejected by ana: Wrong answer"
    assert why[edited] == f"{back}; approved by ana"
    assert why[fresh[0].id] == "approved by ana"
    assert found.moved
    plainly = [i for i in found.moved if i != edited]
    assert {why[i] for i in plainly} == {"split drawn with seed 8 instead of 7"}
    assert set(why) == {*found.added, *found.removed, *found.changed, *found.moved}
    assert len(rows) == 40


def _cards(engine: Engine, desk: Project) -> list[stories.Card]:
    with writing(engine) as session:
        return claims.lease(session, curated.ana(engine), desk.id, now=curated.LONG_AGO)


def test_the_json_card_is_plain_json(story: tuple[Engine, Project, Version]) -> None:
    engine, _, version = story
    built = card(engine, version)
    plain = json.loads(cards.to_json(built))
    assert convert(plain, VersionCard) == built
    assert cards.to_json(convert(plain, VersionCard)) == cards.to_json(built)
    assert timedelta(0) < datetime.now(UTC) - datetime.fromisoformat(plain["frozen_at"])


def test_a_version_of_the_first_release_has_a_card_that_says_so(
    story: tuple[Engine, Project, Version],
) -> None:
    engine, _, version = story
    sealed = card(engine, version)
    with unguarded(Path(str(engine.url.database))) as raw:
        raw.execute("DELETE FROM version_proof")
        raw.execute("DELETE FROM event WHERE verb = 'freeze'")  # 0.1.0 logged no seal
    built = card(engine, version)
    assert (built.sealed_when_frozen, built.hashes.seal) == (False, None)
    assert built.facts == sealed.facts
    assert b"Frozen by an earlier release" in cards.to_markdown(built)


def test_training_rows_that_a_later_version_tests_on_are_counted(engine: Engine) -> None:
    desk = stories.project(engine)
    curated.approved(engine, desk, 40)
    first = curated.frozen(engine, desk)
    curated.approved(engine, desk, stories.messages(40, start=400))
    curated.frozen(engine, desk, seed=99)
    with reading(engine) as session:
        trained = {r.pair_id for r in archive.rows(session, first.id) if r.split is not Split.TEST}
        later = [p.id for p in pairs.listing(session, desk.id, held_out=True) if p.id in trained]
        opened = archive.opened(session, first.id)
        outline = packages.outline(session, opened, "chat")
        assert archive.held_out_since(session, first.id) == later
    assert card(engine, first).since.held_out_since == outline.tested_later == len(later)
    assert later
