"""The certificate about personal data in a version: what was scanned, found and decided, in counts.

It shows that each pair was scanned whole under a named configuration and that people decided each
finding. It does not show that no personal data is left: `LIMITS` says why.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable

import msgspec
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from curation.personal import findings
from curation.versions import verify_version
from curation.versions.records import Certificate, Counts
from storage import people
from storage.tables import FindingRow, MemberRow, ScanRow
from storage.types import FindingState

LIMITS = (
    "A scanner misses some names and most free descriptions of a person.",
    "A finding that a person dismissed stays in the text, and people err.",
    "Names of imported files, and what Assay itself writes down about a row, are not scanned.",
    "It holds for the configuration named here; another one may find more.",
)
"""What the certificate does not prove."""


def build(session: Session, version_id: int, sha256: str) -> Certificate:
    """Counts over the pairs of a version whose stored sha256 is `sha256`.

    A pair counts by the newest scan of the very text that was frozen. Findings accepted in an
    earlier text of a pair count too: they are the placeholders of the frozen one.
    """
    scans = _newest_scans(session, version_id)
    rows = session.scalar(
        select(func.count()).select_from(MemberRow).where(MemberRow.version_id == version_id)
    )
    rows = rows or 0
    quarantined = sum(quarantine is not None for _, quarantine in scans.values())
    findings_by_type, decided_by = _findings(session, version_id, set(scans))
    undecided = sum(states["open"] for states in findings_by_type.values())
    certificate = Certificate(
        version_sha256=sha256,
        rows=rows,
        fully_scanned=len(scans) - quarantined,
        not_scanned=rows - len(scans),
        quarantined=quarantined,
        configurations=_counted(
            config for config, quarantine in scans.values() if quarantine is None
        ),
        findings=findings_by_type,
        decided_by=decided_by,
        does_not_prove=LIMITS,
        complete=len(scans) - quarantined == rows and undecided == 0,
    )
    body = msgspec.to_builtins(certificate)
    del body["certificate_sha256"]
    named = hashlib.sha256(verify_version.compact(body).encode()).hexdigest()
    return msgspec.structs.replace(certificate, certificate_sha256=named)


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _newest_scans(session: Session, version_id: int) -> dict[int, tuple[str, str | None]]:
    """By scan: the configuration and why the pair was quarantined, for the newest of each pair."""
    newest = (
        select(func.max(ScanRow.id))
        .join(
            MemberRow,
            and_(
                MemberRow.pair_id == ScanRow.pair_id,
                MemberRow.content_sha256 == ScanRow.content_sha256,
            ),
        )
        .where(MemberRow.version_id == version_id)
        .group_by(ScanRow.pair_id)
    )
    query = select(ScanRow.id, ScanRow.config_sha256, ScanRow.quarantined).where(
        ScanRow.id.in_(newest)
    )
    return {row[0]: (row[1], row[2]) for row in session.execute(query)}


def _findings(session: Session, version_id: int, scans: set[int]) -> tuple[Counts, dict[str, int]]:
    """How many findings there are by type and state, and by who decided them."""
    query = (
        select(FindingRow, ScanRow.content_sha256)
        .join(ScanRow, ScanRow.id == FindingRow.scan_id)
        .join(MemberRow, MemberRow.pair_id == FindingRow.pair_id)
        .where(MemberRow.version_id == version_id, FindingRow.type != findings.INVENTED)
        .order_by(FindingRow.id)
    )
    # The same stretch of the same text, found again under other settings, counts once.
    distinct = {
        (row.pair_id, text, row.field, row.key, row.start, row.end): row
        for row, text in session.execute(query)
        if row.scan_id in scans or row.state is FindingState.ACCEPTED
    }
    names = people.names(session)
    types: Counts = {}
    deciders: list[str] = []
    for row in distinct.values():
        counted = types.setdefault(row.type, {state.value: 0 for state in FindingState})
        counted[row.state.value] += 1
        if row.state is not FindingState.OPEN:
            deciders.append(names.get(row.decided_by or 0, "someone"))
    return dict(sorted(types.items())), _counted(deciders)
