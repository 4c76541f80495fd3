"""The readiness gate: every signal with what was measured, what is asked, and which rows to fix.

The thresholds are those of practitioners' guides to fine-tuning small sets. A lead may set a line
aside by name, with a reason and an expiry date; launching copies such waivers into the adapter's
card.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import audit, decision, eras, overlaps, review, scrub, versions
from curation.eras import retired as retired
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

REVIEWED, GOLD, AUDIT_SHARE, AUDIT_GOOD = 200, 50, 0.10, 0.95
TEST_SHARE = (0.15, 0.20)
LONGEST_WAIVER = 90
"""Days after which a waiver has to be given anew at the latest."""


@dataclass(frozen=True, slots=True)
class _Set:
    """What the signals look at, read once."""

    project: Project
    approved: Sequence[Pair]
    eras: Sequence[Era]
    links: Sequence[Link]
    due: int
    coverage: scrub.Coverage
    audit: audit.Result | None
    record: decision.Record | None
    version: Version | None
    withdrawn: Sequence[int]
    baseline: str | None


def report(session: Session, project_id: int, version: Version | None = None) -> list[Signal]:
    """Every line of the gate, for the approved rows as they are now and the version to be trained.

    Without a version, the newest one is looked at.
    """
    gathered = _gather(session, project_id, version)
    waived = waivers(session, project_id)
    return [
        replace(signal, waiver=waived.get(signal.key))
        for signal in (measure(gathered) for measure in _SIGNALS)
    ]


def _gather(session: Session, project_id: int, version: Version | None) -> _Set:
    approved = pairs.listing(session, project_id, status=PairStatus.APPROVED)
    ids = {pair.id for pair in approved}
    if version is None:
        version = next(iter(versions.listing(session, project_id)), None)
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
        coverage=scrub.coverage(session, project_id, ids),
        audit=audit.latest(session, project_id),
        record=decision.latest(session, project_id),
        version=version,
        withdrawn=versions.withdrawn(session, version.id) if version else (),
        baseline=_baseline(session, version),
    )


def _baseline(session: Session, version: Version | None) -> str | None:
    if version is None:
        return None
    found = session.scalar(
        select(EvaluationRow.summary)
        .where(EvaluationRow.version_id == version.id)
        .order_by(EvaluationRow.id)
        .limit(1)
    )
    if found is None:
        return None
    return f"{found['base']['correct']} of {found['n']} right"


def _reviewed(s: _Set) -> Signal:
    n = len(s.approved)
    return Signal(
        "reviewed", "Reviewed pairs", n >= REVIEWED, f"{n}", f"at least {REVIEWED}",
        "Write, import or draft more rows and review them.", page="label/review.py",
        limits="Counts rows, not how different they are.",
    )  # fmt: skip


def _gold(s: _Set) -> Signal:
    n = sum(pair.origin is Origin.GOLD for pair in s.approved)
    return Signal(
        "gold", "Gold pairs by experts", n >= GOLD, f"{n}", f"at least {GOLD}",
        "Ask the experts to write more gold pairs.", page="label/write.py",
    )  # fmt: skip


def _unapproved(s: _Set) -> Signal:
    n = len(s.withdrawn)
    measured = "no version yet" if s.version is None else f"{n} of version {s.version.number}"
    return Signal(
        "unapproved", "Rows without a person's approval", s.version is not None and n == 0,
        measured, "0", "Freeze a version of the rows that are approved now.",
        tuple(s.withdrawn), "curate/versions.py",
        "An approval says that a person pressed the key, not how carefully they read.",
    )  # fmt: skip


def _audit(s: _Set) -> Signal:
    a, n = s.audit, len(s.approved)
    enough = a is not None and a.complete and a.judged >= AUDIT_SHARE * n - 1e-9
    good = a is not None and a.judged > 0 and a.good / a.judged >= AUDIT_GOOD
    measured = "no audit yet"
    fix = "Draw an audit and have someone else judge the rows."
    if a is not None:
        measured = (
            f"{a.good} of {a.judged} good, {a.drawn - a.judged} to judge; "
            f"95 % interval {a.low:.0%} to {a.high:.0%}"
        )
        fix = "Judge the drawn rows; draw a new audit once the bad ones are repaired."
        if enough and good and a.more:
            fix = f"Met. It proves {a.proven:.0%}; {a.more} more good rows would prove 95 %."
    return Signal(
        "audit", "Random audit", enough and good, measured,
        f"{AUDIT_SHARE:.0%} drawn at random, at least {AUDIT_GOOD:.0%} good", fix,
        page="curate/audit.py",
        limits="A small sample: read the interval, not the share alone.",
    )  # fmt: skip


def _test_share(s: _Set) -> Signal:
    low, high = TEST_SHARE
    share, measured = 0.0, "no version yet"
    if s.version is not None:
        total, test = sum(s.version.counts.values()), s.version.counts["test"]
        share = test / total
        measured = f"{test} of {total} ({share:.1%}) in version {s.version.number}"
    return Signal(
        "test_share", "Held-out test rows", low - 0.01 <= share <= high + 0.01, measured,
        f"{low:.0%} to {high:.0%}, give or take 1 %", "Freeze a version; it holds test rows out.",
        page="curate/versions.py",
    )  # fmt: skip


def _links(
    key: str, name: str, kinds: set[LinkKind], fix: str, limits: str
) -> Callable[[_Set], Signal]:
    def measure(s: _Set) -> Signal:
        found = [link for link in s.links if link.kind in kinds]
        measured = f"{len(found)}" if not s.due else f"{len(found)}, {s.due} rows not compared yet"
        rows = tuple(sorted({side for link in found for side in (link.a, link.b)}))
        return Signal(
            key, name, not found and not s.due, measured, "0", fix, rows,
            "curate/duplicates.py", limits,
        )  # fmt: skip

    return measure


def _findings(s: _Set) -> Signal:
    message = s.coverage.message.open
    measured = f"{len(s.coverage.open)}" + (f", {message} in the system message" if message else "")
    return Signal(
        "personal_data", "Rows with open personal-data findings",
        not s.coverage.open and not message,
        measured, "0", "Decide every finding on the Scrub page.",
        s.coverage.open, "curate/scrub.py",
        "The scanner misses some names and most free descriptions of a person.",
    )  # fmt: skip


def _unscanned(s: _Set) -> Signal:
    left, held, message = s.coverage.unscanned, s.coverage.quarantined, s.coverage.message
    whole = message.scanned and message.quarantined is None
    measured = f"{len(left)} unscanned, {len(held)} quarantined"
    return Signal(
        "unscanned", "Rows not scanned whole", not left and not held and whole,
        measured + ("" if whole or left else ", the system message not scanned"), "0",
        "Run the scan; shorten or reject quarantined rows.",
        tuple(sorted({*left, *held})), "curate/scrub.py",
    )  # fmt: skip


def _system(s: _Set) -> Signal:
    now = s.project.system_message
    frozen = now if s.version is None else s.version.manifest["system_message"]
    return Signal(
        "system_messages", "System messages in the set", frozen == now,
        "1" if frozen == now else "2", "1", "Freeze a version with the present system message.",
        page="curate/versions.py",
    )  # fmt: skip


def _schema(s: _Set) -> Signal:
    wrong = tuple(p.id for p in s.approved if review.problems(s.project, p.response))
    measured = f"{len(wrong)}" if s.project.output_schema else "no schema in this project"
    return Signal(
        "schema", "Outputs that do not fit the schema", not wrong, measured, "0",
        "Reopen these rows and repair or reject them.", wrong, "label/browse.py",
        "A valid output can still be the wrong answer.",
    )  # fmt: skip


def _era(s: _Set) -> Signal:
    old = tuple(pair.id for pair in s.approved if retired(pair, s.eras))
    return Signal(
        "retired_era", "Rows of a retired policy era", not old, f"{len(old)}", "0",
        "Reopen these rows and write them anew under the present policy, or reject them.", old,
        "curate/eras.py", eras.LIMITS,
    )  # fmt: skip


def _baseline_signal(s: _Set) -> Signal:
    return Signal(
        "baseline", "Prompt-only baseline on the held-out rows", s.baseline is not None,
        s.baseline or "not measured", "measured",
        "Measure the base model on the test rows of the newest version.",
        page="curate/versions.py",
    )  # fmt: skip


def _plateau(s: _Set) -> Signal:
    n = s.record.iterations if s.record else 0
    return Signal(
        "plateau", "Prompting has stopped helping", n >= decision.PLATEAU,
        f"{n} iterations ended in the same class of error", f"{decision.PLATEAU} or more",
        "Try better prompts first, and write down what came of it.", page="train/decide.py",
        limits="The record's own word; Assay did not see those prompts.",
    )  # fmt: skip


def _facts(s: _Set) -> Signal:
    change = s.record.facts_change if s.record else "not answered"
    return Signal(
        "facts_change", "How often the facts change",
        s.record is not None and change != decision.CHANGE[-1], change, "not weekly",
        "Use retrieval for facts that change weekly.", page="train/decide.py",
    )  # fmt: skip


def _signed(s: _Set) -> Signal:
    signed = sorted(s.record.signatures) if s.record else []
    return Signal(
        "decision_record", "Decision record signed by both owners", len(signed) == 2,
        " and ".join(signed) + " owner signed" if signed else "not signed",
        "business and technical owner", "Write the record and have both owners sign it.",
        page="train/decide.py",
    )  # fmt: skip


_SIGNALS: tuple[Callable[[_Set], Signal], ...] = (
    _reviewed,
    _gold,
    _unapproved,
    _audit,
    _test_share,
    _links(
        "leakage", "Training rows that repeat test rows", {LinkKind.LEAK},
        "Reject the training row of each pair.",
        "Finds rows that share at least 80 % of their shingles, not paraphrases.",
    ),
    _findings,
    _unscanned,
    _links(
        "near_duplicates", "Unresolved near-duplicates", {LinkKind.EXACT, LinkKind.NEAR},
        "Keep the best of each group, or say why both are right.",
        "Finds rows that share at least 80 % of their shingles, not paraphrases.",
    ),
    _links(
        "contradictions", "Contradictions", {LinkKind.CONTRADICTION},
        "Decide which output is right and reject the other.",
        "Finds inputs that share at least 80 % of their shingles, not paraphrases.",
    ),
    _system,
    _schema,
    _era,
    _baseline_signal,
    _plateau,
    _facts,
    _signed,
)  # fmt: skip
KEYS = (
    "reviewed", "gold", "unapproved", "audit", "test_share", "leakage", "personal_data",
    "unscanned", "near_duplicates", "contradictions", "system_messages", "schema", "retired_era",
    "baseline", "plateau", "facts_change", "decision_record",
)  # fmt: skip
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
    if len(reason.strip()) < 10:
        raise BadInput("Give the reason for the waiver in at least 10 characters.")
    days = (expires_on - datetime.now(UTC).date()).days
    if not 0 <= days <= LONGEST_WAIVER:
        raise BadInput(f"A waiver ends between today and {LONGEST_WAIVER} days from now.")
    row = WaiverRow(
        project_id=project_id, signal=signal, user_id=actor.id, reason=reason.strip(),
        expires_on=expires_on,
    )  # fmt: skip
    session.add(row)
    session.flush()
    events.record(
        session, actor, "waive", "signal", signal, project_id=project_id, waiver=row.id,
        expires_on=expires_on.isoformat(),
    )  # fmt: skip


def unmet(signals: Sequence[Signal]) -> list[Signal]:
    """The lines that block: neither met nor waived."""
    return [s for s in signals if not s.met and (s.waiver is None or s.key in NEVER_WAIVED)]


def require(session: Session, project_id: int, version: Version) -> list[Signal]:
    """The report for a version, where nothing blocks.

    Raises:
        RuleBroken: lines are neither met nor waived; the first is named.
    """
    signals = report(session, project_id, version)
    blocking = unmet(signals)
    if blocking:
        raise RuleBroken(
            f"Not ready: {len(blocking)} of {len(signals)} lines block, the first is "
            f"“{blocking[0].name}” ({blocking[0].measured}; asked: {blocking[0].asked}). "
            "See the Ready page."
        )
    return signals
