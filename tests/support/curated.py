"""Stories of curating that tests begin with: approved rows, rows compared, rows scanned."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from curation.gate import decision
from curation.overlap import overlaps
from curation.personal import findings, messages, scan_settings, scans
from curation.personal.scan_lines import ScanFinding, ScannedPair
from curation.review import claims, decisions
from curation.versions import freezing
from storage import pairs, people, scratch
from storage.engine import reading, writing
from storage.types import Link, LinkKind, Origin, Pair, Project, Role, User, Version
from tests.support import stories

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""Leases taken then have run out, so no story holds a row that another person wants."""
SOON = datetime.now(UTC).date() + timedelta(days=30)
Found = Mapping[int, Sequence[tuple[str, str, str]]]
"""`(place, words, type)` of each finding, by pair; a place as in `findings.texts`."""


def approved(
    engine: Engine,
    desk: Project,
    rows: int | Sequence[tuple[str, str]],
    *,
    by: User | None = None,
    origin: Origin = Origin.IMPORT,
    author: User | None = None,
    held_out: bool = False,
) -> list[Pair]:
    """So many different rows, or these, approved by a person (`ana`, unless another is given)."""
    if isinstance(rows, int):
        rows = stories.messages(rows)
    fresh = stories.waiting(engine, desk, rows, origin, author, held_out=held_out)
    approve(engine, desk, fresh, by)
    return now(engine, fresh)


def approve(engine: Engine, desk: Project, rows: Iterable[Pair], by: User | None = None) -> None:
    """Approve waiting rows as they stand."""
    ids = {row.id for row in rows}
    reviewer = by or ana(engine)
    with writing(engine) as session:
        for card in claims.lease(session, reviewer, desk.id, limit=10_000, now=LONG_AGO):
            if card.pair.id in ids:
                decisions.decide(session, reviewer, stories.op(card))


def ana(engine: Engine) -> User:
    """The expert of these stories; holds all roles unless a test made her first.

    She is only looked up where she exists: a story may ask for her inside a transaction.
    """
    with reading(engine) as session:
        for user in people.everyone(session):
            if user.name == "ana":
                return user
    return stories.person(engine, "ana")


def now(engine: Engine, rows: Iterable[Pair]) -> list[Pair]:
    """The same rows as they are now."""
    with reading(engine) as session:
        return [pairs.get(session, row.id) for row in rows]


def compared(engine: Engine, desk: Project) -> int:
    """Compare all rows with each other; how many new links that found."""
    with writing(engine) as session:
        return overlaps.sweep(session, ana(engine), desk.id)


def links(engine: Engine, desk: Project, *kinds: LinkKind) -> list[Link]:
    """The open links of these kinds, or all."""
    with reading(engine) as session:
        return overlaps.current(session, desk.id, kinds or tuple(LinkKind))


def scanned(
    engine: Engine,
    desk: Project,
    found: Found | None = None,
    quarantined: Mapping[int, str] | None = None,
    message: Sequence[ScanFinding] = (),
) -> None:
    """A scan of all rows and the system message that found these and nothing else.

    What the language model finds is the matter of tests/curation/personal/test_analyzer.py.
    """
    actor = ana(engine)
    with writing(engine) as session:
        config = scan_settings.current(session, desk.id).config.sha256
        results = [
            _result(pair, (found or {}).get(pair.id, ()), (quarantined or {}).get(pair.id), config)
            for pair in findings.unscanned(session, desk.id)
        ]
        results += [
            ScannedPair(
                pair_id=0,
                content_sha256=unscanned.content_sha256,
                config_sha256=config,
                findings=tuple(message),
            )
            for unscanned in messages.to_scan(session, desk.id)
        ]
        scans.store(session, actor, desk.id, results)


def _result(
    pair: Pair, marked: Sequence[tuple[str, str, str]], quarantined: str | None, config: str
) -> ScannedPair:
    return ScannedPair(
        pair_id=pair.id,
        content_sha256=pair.content_sha256,
        config_sha256=config,
        quarantined=quarantined,
        findings=None if quarantined else tuple(_finding(pair, *mark) for mark in marked),
    )


def _finding(pair: Pair, place: str, excerpt: str, kind: str) -> ScanFinding:
    start = findings.texts(pair)[place].index(excerpt)
    field, _, key = place.partition(":")
    end = start + len(excerpt)
    return ScanFinding(field=field, key=key or None, start=start, end=end, type=kind, score=0.9)


def frozen(engine: Engine, desk: Project, seed: int = 7) -> Version:
    """The approved rows, compared and frozen as a version."""
    compared(engine, desk)
    lena = stories.person(engine, "lena", Role.LEAD)
    with writing(engine) as session:
        return freezing.freeze(session, lena, desk.id, seed)


def recorded(
    engine: Engine, desk: Project, facts_change: str = decision.CHANGE[0], iterations: int = 3
) -> decision.DecisionRecord:
    """A decision record that nobody has signed."""
    lead = stories.person(engine, "lena", Role.LEAD)
    words = dict.fromkeys(decision.QUESTIONS, "Because it was tried.")
    with writing(engine) as session:
        return decision.write(session, lead, desk.id, words, facts_change, iterations)


def kept_words(engine: Engine, who: User, form: str) -> dict[str, Any]:
    """The unsent words of a person in a form."""
    with reading(engine) as session:
        return scratch.load(session, who, form)


def today() -> date:
    """The day as the rules see it."""
    return datetime.now(UTC).date()
