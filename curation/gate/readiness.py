"""The readiness gate: gather what its lines look at, ask each, and let a lead waive lines.

The lines themselves are in `signals`. A lead may waive one by name, with a reason and an
expiry date; launching copies such waivers into the adapter's card.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import schema_check
from curation.gate import audit, decision, signals
from curation.overlap import overlaps
from curation.personal import findings
from curation.policy import eras
from curation.versions import archive
from storage import events, pairs, people, projects
from storage.access import allowed
from storage.errors import BadInput, RuleBroken
from storage.tables import ComparisonRow, WaiverRow
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
class _Evidence:
    """What the lines look at, read once."""

    project: Project
    approved: Sequence[Pair]
    eras: Sequence[Era]
    links: Sequence[Link]
    due: int
    coverage: findings.Coverage
    audit: audit.AuditResult | None
    record: decision.DecisionRecord | None
    version: Version | None
    withdrawn: Sequence[int]
    baseline: tuple[int, int] | None


def report(session: Session, project_id: int, version: Version | None = None) -> list[Signal]:
    """Every line of the gate, for the approved rows as they are now and the version to be trained.

    Without a version, the newest one is looked at.
    """
    waived, evidence = waivers(session, project_id), _gather(session, project_id, version)
    return [replace(line(evidence), waiver=waived.get(key)) for key, line in _LINES.items()]


def _gather(session: Session, project_id: int, version: Version | None) -> _Evidence:
    approved = pairs.listing(session, project_id, status=PairStatus.APPROVED)
    ids = {pair.id for pair in approved}
    if version is None:
        version = next(iter(archive.listing(session, project_id)), None)
    return _Evidence(
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
    query = select(ComparisonRow.summary).where(ComparisonRow.version_id == version.id)
    summaries = session.scalars(query)
    return max(((base["base"]["correct"], base["n"]) for base in summaries), default=None)


def _number(e: _Evidence) -> int | None:
    return e.version.number if e.version else None


def _audited(result: audit.AuditResult | None) -> signals.Audited | None:
    if result is None:
        return None
    return signals.Audited(
        result.judged,
        result.good,
        result.left,
        (result.low, result.high),
        result.proven,
        result.more,
        len(result.failed),
    )


def _message_read(e: _Evidence) -> bool:
    """Whether the system message was scanned whole."""
    return e.coverage.message.scanned and e.coverage.message.quarantined is None


def _linked(e: _Evidence, *kinds: LinkKind) -> list[tuple[int, int]]:
    return [(link.a, link.b) for link in e.links if link.kind in kinds]


def _system_messages(e: _Evidence) -> Iterable[str]:
    yield e.project.system_message
    if e.version is not None:
        yield e.version.manifest.system_message


def _misfits(e: _Evidence) -> list[int]:
    """Approved rows whose output does not fit the schema; each different output is tried once."""
    if e.project.output_schema is None:
        return []
    schema = e.project.output_schema
    outputs = {pair.response for pair in e.approved}
    misfits = {output for output in outputs if schema_check.problems(output, schema)}
    return [pair.id for pair in e.approved if pair.response in misfits]


_LINES: dict[str, Callable[[_Evidence], Signal]] = {
    "reviewed": lambda e: signals.reviewed(len(e.approved)),
    "gold": lambda e: signals.gold(sum(pair.origin is Origin.GOLD for pair in e.approved)),
    "schema": lambda e: signals.schema(_misfits(e), has_schema=e.project.output_schema is not None),
    "retired_era": lambda e: signals.retired_era(
        [pair.id for pair in e.approved if eras.retired(pair, e.eras)], eras.LIMITS
    ),
    "unscanned": lambda e: signals.unscanned(
        e.coverage.unscanned, list(e.coverage.quarantined), message=_message_read(e)
    ),
    "personal_data": lambda e: signals.personal_data(e.coverage.open, e.coverage.message.open),
    "near_duplicates": lambda e: signals.near_duplicates(
        _linked(e, LinkKind.EXACT, LinkKind.NEAR), e.due
    ),
    "contradictions": lambda e: signals.contradictions(_linked(e, LinkKind.CONTRADICTION), e.due),
    "leakage": lambda e: signals.leakage(_linked(e, LinkKind.LEAK), e.due),
    "audit": lambda e: signals.audit(_audited(e.audit), len(e.approved)),
    "unapproved": lambda e: signals.unapproved(_number(e), e.withdrawn),
    "test_share": lambda e: signals.test_share(_number(e), e.version.counts if e.version else {}),
    "system_messages": lambda e: signals.system_messages(_system_messages(e)),
    "baseline": lambda e: signals.baseline(e.baseline),
    "plateau": lambda e: signals.plateau(e.record.iterations if e.record else 0, decision.PLATEAU),
    "facts_change": lambda e: signals.facts_change(
        e.record.facts_change if e.record else None, decision.CHANGE[-1]
    ),
    "decision_record": lambda e: signals.decision_record(e.record.signatures if e.record else ()),
}
"""Every line by its key, in the order of work: a version is frozen once its pairs are clean, and
measured once frozen. A new line is one more entry here and its function in `signals`."""
KEYS = tuple(_LINES)
NEVER_WAIVED = frozenset({"unapproved", "leakage"})
"""Lines that no lead can waive: the database itself refuses unapproved rows, and a leak makes the
proof worthless."""


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
    """Waive one line until a date.

    Raises:
        RuleBroken: this line can never be waived.
        BadInput: unknown line, no reason, or a date that is past or too far away.
    """
    if signal in NEVER_WAIVED:
        raise RuleBroken("This line cannot be waived: without it the proof would be worthless.")
    if signal not in KEYS:
        raise BadInput(f"There is no readiness line {signal!r}.")
    write_waiver(session, actor, project_id, signal, reason, expires_on)


def write_waiver(
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
    """The lines that block, in the order in which to work on them: neither met nor waived."""
    return [s for s in lines if not s.met and (s.waiver is None or s.key in NEVER_WAIVED)]


def require(session: Session, project_id: int, version: Version) -> list[Signal]:
    """The report for a version, where nothing blocks.

    Raises:
        RuleBroken: lines are neither met nor waived; the first is named.
    """
    lines = report(session, project_id, version)
    blocking = unmet(lines)
    if blocking:
        raise RuleBroken(
            f"Not ready: {len(blocking)} of {len(lines)} lines block, the first is "
            f"“{blocking[0].name}” ({blocking[0].measured}; asked: {blocking[0].required}). "
            "See the Ready page."
        )
    return lines
