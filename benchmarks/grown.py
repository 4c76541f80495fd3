"""A project of any size, made by the product's own verbs, as a team would have made it."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Engine

from benchmarks.measuring import Meter
from curation.exchange import intake
from curation.exchange.incoming import Incoming
from curation.overlap import overlaps
from curation.personal import scan_settings, scans
from curation.personal.scan_lines import ScanFinding, ScannedPair
from curation.review import claims, decisions
from curation.review.ops import Op
from curation.versions import freezing
from storage import pairs
from storage.engine import reading, writing
from storage.tables import PairRow
from storage.types import Action, LinkKind, Role
from tests.support import stories

LEAD, REVIEWER = "lena", "Ana"
HELD_OUT = 20
"""Every so manieth pair is a test pair."""
DECIDED = 0.8
"""The share that is decided, all by one reviewer; the rest waits."""
REJECTED = 20
"""Every so manieth decision is a rejection."""
PERSON = "Anna Meier"
"""Stands in every hundredth input, so that a scan has something to find."""
_PERSONAL = 100
_CHUNK = 500
_SYLLABLES = [first + vowel for first in "bdklmnprst" for vowel in "aeiou"]


def build(engine: Engine, size: int, meter: Meter, decided: float = DECIDED) -> None:
    """Import, decide, scan, compare and freeze `size` pairs; what a team waits for is measured."""
    desk = stories.project(engine)
    stories.person(engine, REVIEWER, Role.REVIEWER)
    imported, held_out = rows(size), size // HELD_OUT
    for part, held in ((imported[:held_out], True), (imported[held_out:], False)):
        with meter.measured("command", "import test pairs" if held else "import"):
            take(engine, desk.id, part, held_out=held)
    _decide(engine, desk.id, int(size * decided))
    _scan(engine, desk.id)
    sweep(engine, meter, "sweep")
    _settle_leaks(engine, desk.id)
    lead = stories.person(engine, LEAD, Role.LEAD)
    with meter.measured("command", "freeze"), writing(engine) as session:
        freezing.freeze(session, lead, desk.id)


def add(engine: Engine, count: int) -> None:
    """Some more pairs, as a small file brings them."""
    with reading(engine) as session:
        before = sum(pairs.counts(session, 1).values())
    take(engine, 1, rows(count, before), held_out=False)


def sweep(engine: Engine, meter: Meter, name: str) -> None:
    """Compare what is due."""
    lead = stories.person(engine, LEAD, Role.LEAD)
    with meter.measured("command", name), writing(engine) as session:
        overlaps.sweep(session, lead, 1)


def take(engine: Engine, project_id: int, rows: tuple[Incoming, ...], *, held_out: bool) -> None:
    """As the page and the command do: a large file in chunks."""
    lead, sha256 = stories.person(engine, LEAD, Role.LEAD), uuid4().hex * 2
    if len(rows) > intake.LARGE:
        file = intake.Intake(project_id, "rows.jsonl", sha256, held_out=held_out)
        intake.take_in_chunks(engine, lead, file, rows)
        return
    with writing(engine) as session:
        intake.take(
            session, lead, project_id, rows, name="rows.jsonl", sha256=sha256, held_out=held_out
        )


def rows(count: int, start: int = 0) -> tuple[Incoming, ...]:
    """So many pairs that fit the schema. Few of them are alike, as in a set that people wrote."""
    return tuple(
        Incoming(
            number,
            _text(number),
            json.dumps({"team": stories.TEAMS[number % len(stories.TEAMS)]}),
            None,
            ("fees", "loans", "cards")[number % 3],
            None,
        )
        for number in range(start, start + count)
    )


def _text(number: int) -> str:
    draw = random.Random(number)
    words = [
        "".join(draw.choices(_SYLLABLES, k=draw.choice((2, 2, 3))))
        for _ in range(draw.choice(range(12, 40)))
    ]
    name = f" My name is {PERSON}." if number % _PERSONAL == 0 else ""
    return f"{' '.join(words).capitalize()}.{name} Case {number}."


def _decide(engine: Engine, project_id: int, count: int) -> None:
    """The first pairs are decided, each under a claim; many a transaction, to save the disk."""
    reviewer, now = stories.person(engine, REVIEWER), datetime.now(UTC)
    for chunk in _chunks(engine, project_id, count):
        with writing(engine) as session:
            for pair_id in chunk:
                row = pairs.row_of(session, pair_id)
                claims.take(session, reviewer, row, now)
                reject = pair_id % REJECTED == 0
                op = Op(
                    str(uuid4()),
                    row.id,
                    row.version,
                    row.fence,
                    Action.REJECT if reject else Action.APPROVE,
                    reason=decisions.Reason.OTHER if reject else None,
                )
                decisions.decide(session, reviewer, op)


def _chunks(engine: Engine, project_id: int, count: int) -> Iterator[list[int]]:
    with reading(engine) as session:
        query = session.query(PairRow.id).where(PairRow.project_id == project_id)
        ids = [row.id for row in query.order_by(PairRow.id).limit(count)]
    for start in range(0, count, _CHUNK):
        yield ids[start : start + _CHUNK]


def _scan(engine: Engine, project_id: int) -> None:
    """What a scan for personal data would hand in; itself it is in `benchmarks.personal_data`."""
    lead = stories.person(engine, LEAD, Role.LEAD)
    with reading(engine) as session:
        config = scan_settings.current(session, project_id).config.sha256
        due = [
            (row.pair_id, row.content_sha256, row.texts.get("prompt", "").find(PERSON))
            for row in scans.to_scan(session, project_id)
        ]
    for start in range(0, len(due), _CHUNK):
        lines = [
            ScannedPair(
                pair_id=pair_id,
                content_sha256=sha256,
                config_sha256=config,
                findings=() if at < 0 else (_finding(at),),
            )
            for pair_id, sha256, at in due[start : start + _CHUNK]
        ]
        with writing(engine) as session:
            scans.store(session, lead, project_id, lines)


def _finding(at: int) -> ScanFinding:
    end = at + len(PERSON)
    return ScanFinding(field="prompt", key=None, start=at, end=end, type="PERSON", score=0.9)


def _settle_leaks(engine: Engine, project_id: int) -> None:
    """Chance makes some pairs alike to test pairs; a lead rejects those."""
    lead = stories.person(engine, LEAD, Role.LEAD)
    with writing(engine) as session:
        leaks = overlaps.current(session, project_id, [LinkKind.LEAK], state=None)
        for pair_id in sorted({link.b for link in leaks} | {link.a for link in leaks}):
            row = pairs.row_of(session, pair_id)
            if not row.held_out:
                decisions.reject(session, lead, row, decisions.Reason.DUPLICATE)
    with writing(engine) as session:
        overlaps.sweep(session, lead, project_id)
