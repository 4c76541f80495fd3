"""The readiness gate: gather what its lines look at, ask each, and let a lead set lines aside.

The lines themselves are in `signals`. A lead may set one aside by name, with a reason and
an expiry date; launching copies such waivers into the adapter's card.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import schema_check
from curation.gate import audit, decision, signals
from curation.gate.signals import GOLD as GOLD
from curation.gate.signals import REVIEWED as REVIEWED
from curation.overlap import overlaps
from curation.personal import findings
from curation.policy import eras
from curation.policy.eras import retired as retired
from curation.versions import archive
from storage import events, pairs, people, projects
from storage.access import allowed
from storage.errors import BadInput, RuleBroken
from storage.tables import EvaluationRow, WaiverRow
from storage.types import (
    Era,
    Link,
    LinkKind,
    Origin,
    Pair,
    PairStatus,
    Project,
    Role,
    Signal,
    User,
    Version,
)

LONGEST_WAIVER = 90
"""Days after which a waiver has to be given anew at the latest."""


@dataclass(frozen=True, slots=True)
class _Set:
    """What the lines look at, read once."""

    project: Project
    approved: Sequence[Pair]
    eras: Sequence[Era]
    links: Sequence[Link]
    due: int
    coverage: findings.Coverage
    audit: audit.Result | None
    record: decision.Record | None
    version: Version | None
    withdrawn: Sequence[int]
    baseline: tuple[int, int] | None


def report(session: Session, project_id: int, version: Version | None = None) -> list[Signal]:
    """Every line of the gate, for the approved rows as they are now and the version to be trained.

    Without a version, the newest one is looked at.
    """
    waived = waivers(session, project_id)
    return [
        replace(signal, waiver=waived.get(signal.key))
        for signal in _lines(_gather(session, project_id, version))
    ]


def _gather(session: Session, project_id: int, version: Version | None) -> _Set:
    approved = pairs.listing(session, project_id, status=PairStatus.APPROVED)
    ids = {pair.id for pair in approved}
    if version is None:
        version = next(iter(archive.listing(session, project_id)), None)
    return _Set(
        project=projects.get(session, project_id),
        approved=approved,
        eras=projects.eras(session, project_id),
        links=[
            link
            for link in overlaps.current(session, project_id)
            if link.a in ids and link.b in ids
        ],
        due=overlaps.due(session, project_id),
        coverage=findings.coverage(session, project_id, ids),
        audit=audit.latest(session, project_id),
        record=decision.latest(session, project_id),
        version=version,
        withdrawn=archive.withdrawn(session, version.id) if version else (),
        baseline=_baseline(session, version),
    )


def _baseline(session: Session, version: Version | None) -> tuple[int, int] | None:
    """The most that the base got right of the test rows, by any prompt that was tried on them."""
    if version is None:
        return None
    query = select(EvaluationRow.summary).where(EvaluationRow.version_id == version.id)
    found = [(one["base"]["correct"], one["n"]) for one in session.scalars(query)]
    return max(found, default=None)


def _lines(s: _Set) -> tuple[Signal, ...]:
    """The lines in the order in which a version comes about."""
    number = s.version.number if s.version else None
    record = s.record
    return (
        signals.reviewed(len(s.approved)),
        signals.gold(sum(pair.origin is Origin.GOLD for pair in s.approved)),
        signals.unapproved(number, s.withdrawn),
        signals.audit(_audited(s.audit), len(s.approved)),
        signals.test_share(number, s.version.counts if s.version else {}),
        signals.leakage(_linked(s, LinkKind.LEAK), s.due),
        signals.personal_data(s.coverage.open, s.coverage.message.open),
        signals.unscanned(
            s.coverage.unscanned, list(s.coverage.quarantined), message=_message_read(s)
        ),
        signals.near_duplicates(_linked(s, LinkKind.EXACT, LinkKind.NEAR), s.due),
        signals.contradictions(_linked(s, LinkKind.CONTRADICTION), s.due),
        signals.system_messages(_system_messages(s)),
        signals.schema(_wrong(s), has_schema=s.project.output_schema is not None),
        signals.retired_era([pair.id for pair in s.approved if retired(pair, s.eras)], eras.LIMITS),
        signals.baseline(s.baseline),
        signals.plateau(record.iterations if record else 0, decision.PLATEAU),
        signals.facts_change(record.facts_change if record else None, decision.CHANGE[-1]),
        signals.decision_record(record.signatures if record else ()),
    )


def _message_read(s: _Set) -> bool:
    """Whether the system message was scanned whole."""
    return s.coverage.message.scanned and s.coverage.message.quarantined is None


def _linked(s: _Set, *kinds: LinkKind) -> list[tuple[int, int]]:
    return [(link.a, link.b) for link in s.links if link.kind in kinds]


def _system_messages(s: _Set) -> Iterable[str]:
    yield s.project.system_message
    if s.version is not None:
        yield s.version.manifest["system_message"]


def _audited(found: audit.Result | None) -> signals.Audited | None:
    if found is None:
        return None
    return signals.Audited(
        found.judged,
        found.good,
        found.left,
        (found.low, found.high),
        found.proven,
        found.more,
        len(found.failed),
    )


def _wrong(s: _Set) -> list[int]:
    """Approved rows whose output does not fit the schema; each different output is tried once."""
    if s.project.output_schema is None:
        return []
    schema = s.project.output_schema
    outputs = {pair.response for pair in s.approved}
    wrong = {output for output in outputs if schema_check.problems(output, schema)}
    return [pair.id for pair in s.approved if pair.response in wrong]


KEYS = (
    "reviewed",
    "gold",
    "unapproved",
    "audit",
    "test_share",
    "leakage",
    "personal_data",
    "unscanned",
    "near_duplicates",
    "contradictions",
    "system_messages",
    "schema",
    "retired_era",
    "baseline",
    "plateau",
    "facts_change",
    "decision_record",
)
NEVER_WAIVED = frozenset({"unapproved", "leakage"})
"""Lines that no lead can set aside: the database itself refuses unapproved rows, and a leak makes
the proof worthless."""


def waivers(session: Session, project_id: int, today: date | None = None) -> dict[str, str]:
    """Waivers in force, by signal, as a sentence: who, why, until when."""
    today = today or datetime.now(UTC).date()
    query = (
        select(WaiverRow)
        .where(WaiverRow.project_id == project_id, WaiverRow.expires_on >= today)
        .order_by(WaiverRow.id)
    )
    names = people.names(session)
    return {
        row.signal: f"{names.get(row.user_id, 'someone')}: {row.reason} (until {row.expires_on})"
        for row in session.scalars(query)
    }


@allowed(Role.LEAD)
def waive(
    session: Session, actor: User, project_id: int, signal: str, reason: str, expires_on: date
) -> None:
    """Set one line aside until a date.

    Raises:
        RuleBroken: this line can never be waived.
        BadInput: unknown line, no reason, or a date that is past or too far away.
    """
    if signal in NEVER_WAIVED:
        raise RuleBroken("This line cannot be waived: without it the proof would be worthless.")
    if signal not in KEYS:
        raise BadInput(f"There is no readiness line {signal!r}.")
    set_aside(session, actor, project_id, signal, reason, expires_on)


def set_aside(
    session: Session, actor: User, project_id: int, signal: str, reason: str, expires_on: date
) -> None:
    """Write a waiver, for verbs that have checked their own lines and roles.

    Raises:
        BadInput: no reason, or a date that is past or too far away.
    """
    if len(reason.strip()) < 10:
        raise BadInput("Give the reason for the waiver in at least 10 characters.")
    days = (expires_on - datetime.now(UTC).date()).days
    if not 0 <= days <= LONGEST_WAIVER:
        raise BadInput(f"A waiver ends between today and {LONGEST_WAIVER} days from now.")
    row = WaiverRow(
        project_id=project_id,
        signal=signal,
        user_id=actor.id,
        reason=reason.strip(),
        expires_on=expires_on,
    )
    session.add(row)
    session.flush()
    events.record(
        session,
        actor,
        "waive",
        "signal",
        signal,
        project_id=project_id,
        waiver=row.id,
        expires_on=expires_on.isoformat(),
    )


def unmet(lines: Sequence[Signal]) -> list[Signal]:
    """The lines that block: neither met nor waived."""
    return [s for s in lines if not s.met and (s.waiver is None or s.key in NEVER_WAIVED)]


def require(session: Session, project_id: int, version: Version) -> list[Signal]:
    """The report for a version, where nothing blocks.

    Raises:
        RuleBroken: lines are neither met nor waived; the first is named.
    """
    found = report(session, project_id, version)
    blocking = unmet(found)
    if blocking:
        raise RuleBroken(
            f"Not ready: {len(blocking)} of {len(found)} lines block, the first is "
            f"“{blocking[0].name}” ({blocking[0].measured}; asked: {blocking[0].asked}). "
            "See the Ready page."
        )
    return found
