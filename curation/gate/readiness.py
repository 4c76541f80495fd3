"""The readiness gate: gather what its lines look at, ask each, and let a lead waive lines.

The lines themselves are in `signals`. A lead may waive one by name, with a reason and an
expiry date; launching copies such waivers into the adapter's card.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.gate import audit, decision, measures, signals
from curation.gate.measures import Measures, TextFigures
from curation.policy import eras
from storage import events, people
from storage.access import allowed
from storage.blank import seen, trim
from storage.errors import BadInput, RuleBroken
from storage.tables import WaiverRow
from storage.types import Role, Signal, User, Version

LONGEST_WAIVER = 90
"""Days after which a waiver has to be given anew at the latest."""


def report(
    session: Session,
    project_id: int,
    version: Version | None = None,
    texts: TextFigures | None = None,
) -> list[Signal]:
    """Every line of the gate, for the approved rows as they are now and the version to be trained.

    Without a version, the newest one is looked at. `texts` is what a page has of `measures.TEXTS`;
    without it the texts are read.
    """
    waived = waivers(session, project_id)
    measured = measures.gather(session, project_id, version, texts)
    return [replace(line(measured), waiver=waived.get(key)) for key, line in _LINES.items()]


def _number(m: Measures) -> int | None:
    return m.version.number if m.version else None


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


def _message_read(m: Measures) -> bool:
    """Whether the system message was scanned whole."""
    return m.gaps.message.scanned and m.gaps.message.quarantined is None


def _system_messages(m: Measures) -> Iterable[str]:
    yield m.project.system_message
    if m.version is not None:
        yield m.version.manifest.system_message


_LINES: dict[str, Callable[[Measures], Signal]] = {
    "reviewed": lambda m: signals.reviewed(m.approved),
    "gold": lambda m: signals.gold(m.gold),
    "schema": lambda m: signals.schema(
        m.texts.misfits, has_schema=m.project.output_schema is not None
    ),
    "retired_era": lambda m: signals.retired_era(m.texts.retired, eras.LIMITS),
    "unscanned": lambda m: signals.unscanned(
        m.gaps.unscanned, m.gaps.quarantined, message=_message_read(m)
    ),
    "personal_data": lambda m: signals.personal_data(m.gaps.open, m.gaps.message.open),
    "near_duplicates": lambda m: signals.near_duplicates(m.near, m.due),
    "contradictions": lambda m: signals.contradictions(m.contradictions, m.due),
    "leakage": lambda m: signals.leakage(m.leaks, m.due),
    "audit": lambda m: signals.audit(_audited(m.audit), m.approved),
    "unapproved": lambda m: signals.unapproved(_number(m), m.withdrawn),
    "test_share": lambda m: signals.test_share(_number(m), m.version.counts if m.version else {}),
    "system_messages": lambda m: signals.system_messages(_system_messages(m)),
    "baseline": lambda m: signals.baseline(m.baseline),
    "plateau": lambda m: signals.plateau(m.record.iterations if m.record else 0, decision.PLATEAU),
    "facts_change": lambda m: signals.facts_change(
        m.record.facts_change if m.record else None, decision.CHANGE[-1]
    ),
    "decision_record": lambda m: signals.decision_record(m.record.signatures if m.record else ()),
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
    if len(seen(reason).strip()) < 10:
        raise BadInput("Give the reason for the waiver in at least 10 characters.")
    days = (expires_on - datetime.now(UTC).date()).days
    if not 0 <= days <= LONGEST_WAIVER:
        raise BadInput(f"A waiver ends between today and {LONGEST_WAIVER} days from now.")
    row = WaiverRow(
        project_id=project_id,
        signal=signal,
        user_id=actor.id,
        reason=trim(reason),
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
