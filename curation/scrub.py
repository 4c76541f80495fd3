"""Personal data: what a scan found, what people said about it, and the placeholders put in.

A row is clean only when its present text was scanned whole and every finding was decided. What
the scanner does not catch is listed by `curation.detect.limits`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from curation import detect
from storage import events, pairs, projects
from storage.access import allowed
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import ClaimRow, FindingRow, PairRow, ScanRow
from storage.types import Action, Finding, FindingState, Pair, PairStatus, Role, User

FIELDS = ("prompt", "response")
TYPES = (
    "PERSON",
    "LOCATION",
    "ORGANIZATION",
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "CREDIT_CARD",
    "IBAN_CODE",
    "US_SSN",
    "IP_ADDRESS",
    "URL",
    "DATE_TIME",
    "ID_NUMBER",
)
"""The types a person can give a finding."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A pair with the findings in its present text."""

    pair: Pair
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """A row as it would read if every finding that nobody dismissed were accepted."""

    texts: Mapping[str, str]
    becomes: Mapping[int, str]
    """The placeholder of each such finding, by its id."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far the rows that count (not rejected) have been scanned and decided."""

    rows: int
    unscanned: tuple[int, ...]
    quarantined: dict[int, str]
    """Why a row could not be scanned whole, by pair."""
    open: tuple[int, ...]
    """Pairs with findings that nobody has decided."""


def _finding(row: FindingRow) -> Finding:
    return Finding(
        id=row.id,
        pair_id=row.pair_id,
        field=row.field,
        start=row.start,
        end=row.end,
        type=row.type,
        score=row.score,
        state=row.state,
        decided_by=row.decided_by,
    )


def unscanned(session: Session, project_id: int, config_sha256: str | None = None) -> list[Pair]:
    """Pairs, not rejected, whose present text has no scan (under this configuration)."""
    scanned = exists().where(
        ScanRow.pair_id == PairRow.id, ScanRow.content_sha256 == PairRow.content_sha256
    )
    if config_sha256 is not None:
        scanned = scanned.where(ScanRow.config_sha256 == config_sha256)
    query = (
        select(PairRow)
        .where(PairRow.project_id == project_id, PairRow.status != PairStatus.REJECTED, ~scanned)
        .order_by(PairRow.id)
    )
    return [pairs.pair(row) for row in session.scalars(query)]


def to_scan(session: Session, project_id: int) -> list[dict[str, Any]]:
    """The rows that a scan reads, as `curation.scanning` wants them."""
    return [
        {
            "pair_id": pair.id,
            "content_sha256": pair.content_sha256,
            "prompt": pair.prompt,
            "response": pair.response,
        }
        for pair in unscanned(session, project_id)
    ]


def vocabulary(session: Session, project_id: int) -> list[str]:
    """Words of the output schema: they are never personal data."""
    schema = projects.get(session, project_id).output_schema
    return sorted(detect.vocabulary(schema)) if schema else []


def store(
    session: Session, actor: User, project_id: int, lines: Iterable[Mapping[str, Any]]
) -> int:
    """Take in what a scan found; results for a text that changed meanwhile are left out.

    Each line is `{"pair_id", "content_sha256", "config_sha256"}` with either `"quarantined"` (why)
    or `"findings"` of `{"field", "start", "end", "type", "score"}`. Returns how many rows counted.
    """
    kept = 0
    for line in lines:
        row = session.get(PairRow, int(line["pair_id"]))
        if row is None or row.project_id != project_id:
            continue
        if row.content_sha256 == line["content_sha256"] and not _scanned(session, row, line):
            _keep(session, row, line)
            kept += 1
    events.record(session, actor, "scan", "project", project_id, project_id=project_id, rows=kept)
    return kept


def _scanned(session: Session, row: PairRow, line: Mapping[str, Any]) -> bool:
    query = select(ScanRow.id).where(
        ScanRow.pair_id == row.id,
        ScanRow.content_sha256 == row.content_sha256,
        ScanRow.config_sha256 == line["config_sha256"],
    )
    return session.scalar(query) is not None


def _keep(session: Session, row: PairRow, line: Mapping[str, Any]) -> None:
    settled = _dismissed(session, row)
    scan = ScanRow(
        pair_id=row.id,
        content_sha256=row.content_sha256,
        config_sha256=line["config_sha256"],
        quarantined=line.get("quarantined"),
    )
    session.add(scan)
    session.flush()
    for found in line.get("findings", ()):
        words = getattr(row, found["field"])[found["start"] : found["end"]]
        state = FindingState.DISMISSED if words in settled else FindingState.OPEN
        session.add(
            FindingRow(
                scan_id=scan.id, pair_id=row.id, field=found["field"], start=found["start"],
                end=found["end"], type=found["type"], score=found["score"], state=state,
                decided_by=settled.get(words),
            )
        )  # fmt: skip
    session.flush()


def _dismissed(session: Session, row: PairRow) -> dict[str, int | None]:
    """Words of this pair that someone called harmless before; a rescan does not ask again."""
    query = (
        select(FindingRow, ScanRow.content_sha256)
        .join(ScanRow, ScanRow.id == FindingRow.scan_id)
        .where(FindingRow.pair_id == row.id, FindingRow.state == FindingState.DISMISSED)
    )
    words: dict[str, int | None] = {}
    for found, sha256 in session.execute(query).all():
        texts = pairs.texts_by_hash(session, row.id, sha256)
        words[texts[found.field][found.start : found.end]] = found.decided_by
    return words


def _current(session: Session, pair_ids: Sequence[int]) -> list[FindingRow]:
    """The findings in the present texts, from the newest scan of each."""
    newest = (
        select(ScanRow.id)
        .join(PairRow, PairRow.id == ScanRow.pair_id)
        .where(ScanRow.pair_id.in_(pair_ids), ScanRow.content_sha256 == PairRow.content_sha256)
        .order_by(ScanRow.id)
    )
    query = (
        select(FindingRow)
        .where(FindingRow.scan_id.in_(newest))
        .order_by(FindingRow.pair_id, FindingRow.field, FindingRow.start)
    )
    return list(session.scalars(query))


def marked(
    session: Session, project_id: int, state: FindingState | None = FindingState.OPEN
) -> list[Marked]:
    """Pairs, not rejected, with findings in this state (all of the pair's findings come along)."""
    alive = {
        pair.id: pair
        for pair in pairs.listing(session, project_id)
        if pair.status is not PairStatus.REJECTED
    }
    by_pair: dict[int, list[Finding]] = {}
    for row in _current(session, list(alive)):
        by_pair.setdefault(row.pair_id, []).append(_finding(row))
    return [
        Marked(alive[pair_id], tuple(found))
        for pair_id, found in by_pair.items()
        if state is None or any(one.state is state for one in found)
    ]


def preview(seen: Marked) -> Preview:
    """The row with placeholders for its accepted and its open findings.

    Raises:
        RuleBroken: a placeholder would break the JSON of a field.
    """
    fields = {"prompt": seen.pair.prompt, "response": seen.pair.response}
    kept = [one for one in seen.findings if one.state is not FindingState.DISMISSED]
    spans = _spans(kept)
    named = detect.labels(fields, spans)
    becomes = {
        one.id: label
        for field in FIELDS
        for one, label in zip((f for f in kept if f.field == field), named[field], strict=True)
    }
    return Preview(detect.replace(fields, spans), becomes)


def _spans(found: Iterable[Finding]) -> dict[str, list[detect.Span]]:
    spans: dict[str, list[detect.Span]] = {field: [] for field in FIELDS}
    for one in found:
        spans[one.field].append(detect.Span(one.start, one.end, one.type, one.score))
    return spans


def coverage(session: Session, project_id: int, ids: Iterable[int] | None = None) -> Coverage:
    """How far the rows (all not rejected, or `ids`) are scanned and decided."""
    wanted = set(ids) if ids is not None else None
    alive = [
        pair.id
        for pair in pairs.listing(session, project_id)
        if pair.status is not PairStatus.REJECTED and (wanted is None or pair.id in wanted)
    ]
    inside = set(alive)
    query = (
        select(ScanRow.pair_id, ScanRow.quarantined)
        .join(PairRow, PairRow.id == ScanRow.pair_id)
        .where(
            PairRow.project_id == project_id,
            ScanRow.content_sha256 == PairRow.content_sha256,
            ScanRow.quarantined.is_not(None),
        )
    )
    return Coverage(
        rows=len(alive),
        unscanned=tuple(p.id for p in unscanned(session, project_id) if p.id in inside),
        quarantined={row[0]: str(row[1]) for row in session.execute(query) if row[0] in inside},
        open=tuple(
            sorted({f.pair_id for f in _current(session, alive) if f.state is FindingState.OPEN})
        ),
    )


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def decide(
    session: Session,
    actor: User,
    finding_id: int,
    state: FindingState,
    type_: str | None = None,
) -> bool:
    """Accept a finding (perhaps under another type), dismiss it, or open it again.

    When the last finding of a row is decided, the accepted ones become placeholders.
    Returns whether that happened.

    Raises:
        NotFound: there is no such finding.
        RuleBroken: the row's text changed since; scan it again.
        BadInput: the type is not one of `TYPES`.
    """
    found = session.get(FindingRow, finding_id)
    if found is None:
        raise NotFound(f"There is no finding {finding_id}.")
    row, scan = pairs.row_of(session, found.pair_id), session.get(ScanRow, found.scan_id)
    if scan is None or scan.content_sha256 != row.content_sha256:
        raise RuleBroken(f"The text of pair {row.id} changed since the scan. Scan it again.")
    if type_ is not None and type_ not in TYPES:
        raise BadInput(f"{type_!r} is not a type of personal data known here.")
    _refuse_if_held(session, actor, row)
    found.state, found.decided_by, found.decided_at = state, actor.id, datetime.now(UTC)
    found.type = type_ or found.type
    session.flush()
    events.record(
        session, actor, f"finding_{state}", "finding", finding_id, project_id=row.project_id,
        pair=row.id, type=found.type,
    )  # fmt: skip
    return _settle(session, actor, row)


def _refuse_if_held(session: Session, actor: User, row: PairRow) -> None:
    """A row in someone's review hand is not rewritten under their eyes."""
    holder = session.get(ClaimRow, row.id)
    if holder is not None and holder.user_id != actor.id and holder.lease_until > datetime.now(UTC):
        raise RuleBroken(f"Someone is reviewing pair {row.id} now. Try again in a few minutes.")


def _settle(session: Session, actor: User, row: PairRow) -> bool:
    found = [_finding(one) for one in _current(session, [row.id])]
    if any(one.state is FindingState.OPEN for one in found):
        return False
    accepted = _spans(one for one in found if one.state is FindingState.ACCEPTED)
    if not any(accepted.values()):
        return False
    _put_placeholders(session, actor, row, accepted)
    return True


def _put_placeholders(
    session: Session, actor: User, row: PairRow, accepted: Mapping[str, Sequence[detect.Span]]
) -> None:
    before, seen = row.content_sha256, row.version
    configs = session.scalars(
        select(ScanRow.config_sha256).where(
            ScanRow.pair_id == row.id, ScanRow.content_sha256 == before
        )
    ).all()
    texts = detect.replace({"prompt": row.prompt, "response": row.response}, accepted)
    pairs.rewrite(session, row, texts["prompt"], texts["response"], actor)
    # The old text was scanned whole and every finding decided: the new one is it with placeholders.
    session.add_all(
        ScanRow(pair_id=row.id, content_sha256=row.content_sha256, config_sha256=config)
        for config in set(configs)
    )
    made = pairs.decide(
        session, actor, row, Action.SCRUB, op=f"scrub-{row.id}-{row.version}",
        before_sha256=before, seen_version=seen,
    )  # fmt: skip
    if row.status is PairStatus.APPROVED:
        row.approval_id = made.id
    session.flush()
    events.record(
        session, actor, "scrub", "pair", row.id, project_id=row.project_id, decision=made.id,
        before=before, after=row.content_sha256,
    )  # fmt: skip
