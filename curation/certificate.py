"""What can be said about the personal data of some rows: settings, counts, and what stays unsaid.

A certificate says what was scanned and decided, never that a row is free of personal data: what
the scan misses is listed by `curation.detect.limits`, how much by `curation.recall`.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import findings, scan_settings
from storage.tables import FindingRow, PairRow, ScanRow
from storage.types import FindingState


def certificate(session: Session, project_id: int, ids: Iterable[int]) -> dict[str, Any]:
    """Hash of the settings and counts over these pairs, as JSON; holds no text and no pair.

    `accepted` and `dismissed` count, by type, the stretches that people decided about, in present
    and earlier texts; the same stretch under two settings counts once.
    """
    wanted = set(ids)
    settings = scan_settings.current(session, project_id)
    seen = findings.coverage(session, project_id, wanted)
    decided: dict[FindingState, Counter[str]] = {state: Counter() for state in FindingState}
    for state, kind in _stretches(session, project_id, wanted):
        decided[state][kind] += 1
    return {
        "settings": settings.number,
        "config_sha256": settings.config.sha256,
        "replacement": settings.replacement.value,
        "rows": seen.rows,
        "unscanned": len(seen.unscanned),
        "quarantined": len(seen.quarantined),
        "open": len(seen.open),
        "system_message": {"scanned": seen.message.scanned, "open": seen.message.open},
        "accepted": dict(sorted(decided[FindingState.ACCEPTED].items())),
        "dismissed": dict(sorted(decided[FindingState.DISMISSED].items())),
    }


def _stretches(
    session: Session, project_id: int, wanted: set[int]
) -> list[tuple[FindingState, str]]:
    query = (
        select(
            FindingRow.pair_id, ScanRow.content_sha256, FindingRow.field, FindingRow.key,
            FindingRow.start, FindingRow.end, FindingRow.state, FindingRow.type,
        )
        .join(ScanRow, ScanRow.id == FindingRow.scan_id)
        .join(PairRow, PairRow.id == FindingRow.pair_id)
        .where(PairRow.project_id == project_id, FindingRow.type != findings.INVENTED)
    )  # fmt: skip
    distinct = {tuple(row): row for row in session.execute(query) if row.pair_id in wanted}
    return [(row.state, row.type) for row in distinct.values()]
