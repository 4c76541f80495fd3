"""The certificate about personal data in a version: what was scanned, found and decided, in counts.

It shows that each row was scanned whole under a named configuration and that people decided each
finding. It does not show that no personal data is left: `LIMITS` says why.
"""

import hashlib
from collections import Counter
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from curation.personal import findings
from curation.versions import verify_version
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


def build(session: Session, version_id: int, sha256: str) -> dict[str, Any]:
    """Counts over the rows of a version whose stored sha256 is `sha256`, as JSON values.

    A row counts by the newest scan of the very text that was frozen. Findings accepted in an
    earlier text of a row count too: they are the placeholders of the frozen one.
    """
    scans = _newest_scans(session, version_id)
    rows = session.scalar(
        select(func.count()).select_from(MemberRow).where(MemberRow.version_id == version_id)
    )
    quarantined = sum(held is not None for _, held in scans.values())
    found = _findings(session, version_id, set(scans))
    body: dict[str, Any] = {
        "version_sha256": sha256,
        "rows": rows,
        "scanned_whole": len(scans) - quarantined,
        "not_scanned": (rows or 0) - len(scans),
        "quarantined": quarantined,
        "configurations": _counted(config for config, held in scans.values() if held is None),
        "findings": found["types"],
        "decided_by": found["people"],
        "does_not_prove": list(LIMITS),
    }
    body["complete"] = (
        body["scanned_whole"] == rows
        and sum(states["open"] for states in body["findings"].values()) == 0
    )
    named = hashlib.sha256(verify_version.compact(body).encode()).hexdigest()
    return {**body, "certificate_sha256": named}


def _counted(values: Any) -> dict[str, int]:  # noqa: ANN401 - an iterable of texts
    return dict(sorted(Counter(values).items()))


def _newest_scans(session: Session, version_id: int) -> dict[int, tuple[str, str | None]]:
    """By scan: the configuration and why the row was quarantined, for the newest of each row."""
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


def _findings(session: Session, version_id: int, scans: set[int]) -> dict[str, Any]:
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
    types: dict[str, dict[str, int]] = {}
    deciders: Counter[str] = Counter()
    for row in distinct.values():
        counted = types.setdefault(row.type, {one.value: 0 for one in FindingState})
        counted[row.state.value] += 1
        if row.state is not FindingState.OPEN:
            deciders[names.get(row.decided_by or 0, "someone")] += 1
    return {"types": dict(sorted(types.items())), "people": dict(sorted(deciders.items()))}
