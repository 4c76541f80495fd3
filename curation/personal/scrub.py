"""Personal data: take in what a scan found, keep what people decided, put stand-ins in its place.

A pair is clean only when its present text was scanned whole with the present settings and every
finding was decided. What the scanner does not catch is listed by `curation.personal.detect.limits`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.personal import findings, messages, pii, placeholders, redaction
from curation.personal.scan_lines import ScanInput, ScanResult
from storage import events, pairs
from storage.access import allowed
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import ClaimRow, FindingRow, PairRow, ScanRow
from storage.types import FindingState, PairStatus, Role, User

_CHUNK = 500
"""Results of a scan that are taken in with one look at what is stored about them."""
_SCAN = (ScanRow.pair_id, ScanRow.content_sha256, ScanRow.config_sha256)


@dataclass(frozen=True, slots=True)
class Spread:
    """What became of a decision about the same words in all pairs."""

    rows: int
    findings: int
    in_review: tuple[int, ...]
    """Pairs left alone because someone is reviewing them."""
    refused: tuple[int, ...]
    """Pairs left alone because a placeholder would break their JSON."""


def to_scan(session: Session, project_id: int) -> list[ScanInput]:
    """What `personal.scanning` reads: the pairs, and the system message as pair 0."""
    return [
        *messages.to_scan(session, project_id),
        *(
            ScanInput(pair.id, pair.content_sha256, findings.texts(pair))
            for pair in findings.unscanned(session, project_id)
        ),
    ]


def store(session: Session, actor: User, project_id: int, results: Iterable[ScanResult]) -> int:
    """Take in what a scan found; results for a text that changed meanwhile are left out.

    Returns how many pairs counted; the system message (pair 0) is none.
    """
    stored = 0
    waiting = iter(results)
    while chunk := list(islice(waiting, _CHUNK)):
        for result in chunk:
            if result.pair_id == 0:
                messages.store(session, project_id, result)
        stored += _store(session, project_id, [result for result in chunk if result.pair_id])
    events.record(session, actor, "scan", "project", project_id, project_id=project_id, rows=stored)
    return stored


def _store(session: Session, project_id: int, results: Sequence[ScanResult]) -> int:
    """Store the results for texts that still stand and have no such scan; how many there were."""
    ids = [result.pair_id for result in results]
    rows = {
        (row.id, row.content_sha256): row
        for row in session.scalars(
            select(PairRow).where(PairRow.project_id == project_id, PairRow.id.in_(ids))
        )
    }
    done = {tuple(scan) for scan in session.execute(select(*_SCAN).where(ScanRow.pair_id.in_(ids)))}
    fresh: list[tuple[PairRow, ScanRow, ScanResult]] = []
    for result in results:
        key = (result.pair_id, result.content_sha256)
        if key in rows and (*key, result.config_sha256) not in done:
            done.add((*key, result.config_sha256))
            scan = ScanRow(
                pair_id=result.pair_id,
                content_sha256=result.content_sha256,
                config_sha256=result.config_sha256,
                quarantined=result.quarantined,
            )
            fresh.append((rows[key], scan, result))
    session.add_all(scan for _, scan, _ in fresh)
    session.flush()
    dismissed = _dismissed(session, ids)
    for row, scan, result in fresh:
        session.add_all(_findings(session, row, scan, result, dismissed.get(row.id, [])))
    session.flush()
    return len(fresh)


def _findings(
    session: Session,
    row: PairRow,
    scan: ScanRow,
    result: ScanResult,
    dismissed: Sequence[tuple[FindingRow, str]],
) -> Iterator[FindingRow]:
    """The findings of a result; those about words already settled in this pair ask nobody again."""
    harmless, inventions = _settled(session, row, dismissed)
    texts = findings.texts(row)
    for line in result.findings or ():
        finding = FindingRow(
            scan_id=scan.id,
            pair_id=row.id,
            field=line.field,
            key=line.key,
            start=line.start,
            end=line.end,
            type=line.type,
            score=line.score,
            state=FindingState.OPEN,
        )
        excerpt = texts[findings.place(finding)][finding.start : finding.end]
        ours = any(excerpt in invention for invention in inventions)
        if ours or excerpt in harmless:
            finding.state, finding.decided_by = FindingState.DISMISSED, harmless.get(excerpt)
            finding.settled = ours or None
        yield finding


def _dismissed(session: Session, ids: Sequence[int]) -> dict[int, list[tuple[FindingRow, str]]]:
    """Findings called harmless before, by pair, each with the hash of the text it was in."""
    query = (
        select(FindingRow, ScanRow.content_sha256)
        .join(ScanRow, ScanRow.id == FindingRow.scan_id)
        .where(FindingRow.pair_id.in_(ids), FindingRow.state == FindingState.DISMISSED)
    )
    by_pair: dict[int, list[tuple[FindingRow, str]]] = {}
    for finding, sha256 in session.execute(query):
        by_pair.setdefault(finding.pair_id, []).append((finding, sha256))
    return by_pair


def _settled(
    session: Session, row: PairRow, dismissed: Sequence[tuple[FindingRow, str]]
) -> tuple[dict[str, int | None], set[str]]:
    """Words of this pair that someone called harmless, by whom, and those that we invented."""
    harmless: dict[str, int | None] = {}
    inventions: set[str] = set()
    now = findings.texts(row) if dismissed else {}
    for finding, sha256 in dismissed:
        texts = now | pairs.texts_by_hash(session, row.id, sha256)
        excerpt = findings.excerpt(texts, finding)
        if finding.settled:
            inventions.add(excerpt)
        else:
            harmless[excerpt] = finding.decided_by
    return harmless, inventions


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def decide(
    session: Session,
    actor: User,
    finding_id: int,
    state: FindingState,
    type_: str | None = None,
) -> bool:
    """Accept a finding (perhaps under another type), dismiss it, or open it again.

    When the last finding of a pair is decided, stand-ins take the place of the accepted ones.
    Returns whether that happened.

    Raises:
        NotFound: there is no such finding.
        RuleBroken: the pair's text changed since; scan it again.
        BadInput: the type is not one of `pii.TYPES`.
    """
    finding, row = _present(session, finding_id)
    if type_ is not None and type_ not in pii.TYPES:
        raise BadInput(f"{type_!r} is not a type of personal data known here.")
    if _in_review(session, actor, row):
        raise RuleBroken(f"Someone is reviewing pair {row.id} now. Try again in a few minutes.")
    finding.type = type_ or finding.type
    _note(session, actor, row, finding, state)
    session.flush()
    events.record(
        session,
        actor,
        f"finding_{state}",
        "finding",
        finding_id,
        project_id=row.project_id,
        pair=row.id,
        type=finding.type,
    )
    return _settle(session, actor, row, findings.current(session, row.project_id, row.id))


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def everywhere(session: Session, actor: User, finding_id: int, state: FindingState) -> Spread:
    """Accept or dismiss the same words (but for case and spacing) of the same type in all pairs.

    Only findings that nobody has decided yet. A pair that someone is reviewing, or whose JSON would
    break, is left as it is and reported. What is done can be undone finding by finding, until the
    last one of its pair is decided.

    Raises:
        NotFound: there is no such finding.
        RuleBroken: the pair's text changed since; scan it again.
        BadInput: `state` is neither accepted nor dismissed.
    """
    if state is FindingState.OPEN:
        raise BadInput("Choose whether the words are personal data or not.")
    finding, pair = _present(session, finding_id)
    rows, decided = 0, 0
    in_review: list[int] = []
    refused: list[int] = []
    for row, alike, every in list(_alike(session, pair, finding)):
        if _in_review(session, actor, row):
            in_review.append(row.id)
            continue
        try:
            with session.begin_nested():
                for twin in alike:
                    _note(session, actor, row, twin, state)
                session.flush()
                _settle(session, actor, row, every)
        except RuleBroken:
            refused.append(row.id)
            continue
        rows, decided = rows + 1, decided + len(alike)
    events.record(
        session,
        actor,
        f"everywhere_{state}",
        "finding",
        finding_id,
        project_id=pair.project_id,
        type=finding.type,
        rows=rows,
        findings=decided,
        held=len(in_review),
        refused=len(refused),
    )
    return Spread(rows, decided, tuple(in_review), tuple(refused))


def _alike(
    session: Session, pair: PairRow, finding: FindingRow
) -> Iterator[tuple[PairRow, list[FindingRow], list[FindingRow]]]:
    """Pairs with open findings of the same words and type: those, and every finding of the pair."""
    surface = _surface(pair, finding)
    by_pair: dict[int, list[FindingRow]] = {}
    for current in findings.current(session, pair.project_id):
        by_pair.setdefault(current.pair_id, []).append(current)
    for pair_id, every in by_pair.items():
        candidates = [
            candidate
            for candidate in every
            if candidate.type == finding.type and candidate.state is FindingState.OPEN
        ]
        if not candidates:
            continue
        row = pairs.row_of(session, pair_id)
        alike = [candidate for candidate in candidates if _surface(row, candidate) == surface]
        if alike and row.status is not PairStatus.REJECTED:
            yield row, alike, every


def _surface(row: PairRow, finding: FindingRow) -> str:
    return placeholders.surface(findings.excerpt(findings.texts(row), finding), structured=True)


def _present(session: Session, finding_id: int) -> tuple[FindingRow, PairRow]:
    """A finding that still stands in its pair's text, and the pair."""
    finding = session.get(FindingRow, finding_id)
    if finding is None:
        raise NotFound(f"There is no finding {finding_id}.")
    row, scan = pairs.row_of(session, finding.pair_id), session.get(ScanRow, finding.scan_id)
    if scan is None or scan.content_sha256 != row.content_sha256 or finding.settled:
        raise RuleBroken(f"The text of pair {row.id} changed since the scan. Scan it again.")
    return finding, row


def _in_review(session: Session, actor: User, row: PairRow) -> bool:
    """A pair in someone's review hand is not rewritten under their eyes."""
    holder = session.get(ClaimRow, row.id)
    return (
        holder is not None and holder.user_id != actor.id and holder.lease_until > datetime.now(UTC)
    )


def _note(
    session: Session, actor: User, row: PairRow, finding: FindingRow, state: FindingState
) -> None:
    """Note a decision, also where a scan with other settings found the very same words."""
    twins = select(FindingRow).where(
        FindingRow.pair_id == row.id,
        FindingRow.field == finding.field,
        FindingRow.key.is_not_distinct_from(finding.key),
        FindingRow.start == finding.start,
        FindingRow.end == finding.end,
        FindingRow.scan_id.in_(
            select(ScanRow.id).where(
                ScanRow.pair_id == row.id, ScanRow.content_sha256 == row.content_sha256
            )
        ),
    )
    for twin in session.scalars(twins):
        twin.state, twin.decided_by, twin.decided_at = state, actor.id, datetime.now(UTC)


def _settle(session: Session, actor: User, row: PairRow, every: Sequence[FindingRow]) -> bool:
    """Put the stand-ins in once none of a pair's findings is open."""
    if any(finding.state is FindingState.OPEN for finding in every):
        return False
    accepted = [finding for finding in every if finding.state is FindingState.ACCEPTED]
    if not accepted:
        return False
    redaction.put(session, actor, row, accepted)
    return True
