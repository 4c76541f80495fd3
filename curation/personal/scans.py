"""The pairs that wait for a scan for personal data, and what a scan found in them, taken in."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec import structs
from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.personal import findings, messages, scan_settings, surfaces
from curation.personal.scan_lines import ScanInput, ScannedPair
from storage import events, pairs
from storage.tables import FindingRow, PairRow, ScanRow
from storage.types import FindingState, User

_CHUNK = 500
"""Results of a scan that are taken in with one look at what is stored about them."""


def to_scan(
    session: Session, project_id: int, *, after: int | None = None, limit: int | None = None
) -> list[ScanInput]:
    """What `personal.scanning` reads: the system message as pair 0, and pairs by id, at most
    `limit` of them; those `after` a pair alone where one is named.
    """
    message = messages.to_scan(session, project_id) if after is None else []
    waiting = findings.unscanned(session, project_id, after=after or 0, limit=limit)
    return [
        *message,
        *(ScanInput(pair.id, pair.content_sha256, findings.texts(pair)) for pair in waiting),
    ]


def left(session: Session, project_id: int) -> int:
    """How many texts wait for a scan: pairs, and the system message."""
    config = scan_settings.current(session, project_id).config
    message = len(messages.to_scan(session, project_id))
    return message + findings.count_unscanned(session, project_id, config.sha256)


def store(session: Session, actor: User, project_id: int, results: Iterable[ScannedPair]) -> int:
    """Take in what a scan found; results for a text that changed meanwhile are left out.

    Returns how many pairs counted; the system message (pair 0) is none.
    """
    stored = 0
    waiting = iter(results)
    while chunk := list(islice(waiting, _CHUNK)):
        stored += take_in(session, project_id, chunk)
    log(session, actor, project_id, stored)
    return stored


def take_in(session: Session, project_id: int, results: Sequence[ScannedPair]) -> int:
    """A chunk of `store`, which is to be followed by one `log` of them all."""
    for result in results:
        if result.pair_id == 0:
            messages.store(session, project_id, result)
    return _store(session, project_id, [result for result in results if result.pair_id])


def log(session: Session, actor: User, project_id: int, stored: int) -> None:
    """Record that so many pairs were scanned."""
    events.record(session, actor, "scan", "project", project_id, project_id=project_id, rows=stored)


def _store(session: Session, project_id: int, results: Sequence[ScannedPair]) -> int:
    """Store the results for texts that still stand and have no such scan; how many there were."""
    ids = [result.pair_id for result in results]
    rows = {
        (row.id, row.content_sha256): row
        for row in session.scalars(
            select(PairRow).where(PairRow.project_id == project_id, PairRow.id.in_(ids))
        )
    }
    stored = {
        (scan.pair_id, scan.content_sha256, scan.config_sha256): scan
        for scan in session.scalars(select(ScanRow).where(ScanRow.pair_id.in_(ids)))
    }
    fresh: list[tuple[PairRow, ScanRow, ScannedPair]] = []
    for result in results:
        key = (result.pair_id, result.content_sha256, result.config_sha256)
        row = rows.get(key[:2])
        if row is not None and key not in stored:
            stored[key] = ScanRow(
                pair_id=result.pair_id,
                content_sha256=result.content_sha256,
                config_sha256=result.config_sha256,
                quarantined=result.quarantined,
            )
            fresh.append((row, stored[key], result))
    session.add_all(scan for _, scan, _ in fresh)
    session.flush()
    for result in results:
        row = rows.get((result.pair_id, result.content_sha256))
        if row is not None:
            pairs.scanned(row, stored[row.id, row.content_sha256, result.config_sha256])
    dismissed, name = _dismissed(session, ids), surfaces.hashing(session, project_id)
    for row, scan, result in fresh:
        for finding in _findings(session, row, scan, result, dismissed.get(row.id, [])):
            finding.surface = name(surfaces.of(row, finding))
            session.add(finding)
    session.flush()
    return len(fresh)


def _findings(
    session: Session,
    row: PairRow,
    scan: ScanRow,
    result: ScannedPair,
    dismissed: Sequence[tuple[FindingRow, str]],
) -> Iterator[FindingRow]:
    """The findings of a result; those about words already settled in this pair ask nobody again."""
    harmless, inventions = _settled(session, row, dismissed)
    texts = findings.texts(row)
    for line in result.findings or ():
        finding = FindingRow(
            scan_id=scan.id, pair_id=row.id, state=FindingState.OPEN, **structs.asdict(line)
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
