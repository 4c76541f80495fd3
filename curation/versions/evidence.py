"""What held when a version was frozen: counts, approvers, audit, waivers, duplicates, eras.

Gathered once, stored with the version and sealed, so that its card says the same ever after.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import statistics, strict_json
from curation.versions import certificate
from storage import pairs, people, projects
from storage.errors import AssayError
from storage.tables import AuditRow, AuditVerdictRow, LinkRow, PairRow, WaiverRow
from storage.types import LinkState, PairStatus, Project, Version, VersionRow

NO_ERA, NO_LABEL = "none given", "none"


def label(project: Project, response: str, topic: str | None) -> str:
    """What the split keeps in proportion: the label in a JSON output, else the topic."""
    if project.label_field is not None:
        try:
            answer = strict_json.loads(response)
        except AssayError:
            answer = None
        if isinstance(answer, dict):
            return str(answer.get(project.label_field, ""))
    return topic or ""


def gather(session: Session, version: Version, rows: Sequence[VersionRow]) -> dict[str, Any]:
    """The facts as JSON values. Shares are rounded to four decimals: the last bits of a float
    differ between machines."""
    project = projects.get(session, version.project_id)
    stored = {
        row[0]: (row[1], row[2])
        for row in session.execute(
            select(PairRow.id, PairRow.topic, PairRow.era_id).where(
                PairRow.project_id == project.id
            )
        )
    }
    eras = projects.eras(session, project.id)
    named = {era.id: era.name for era in eras}
    by_era = {row.pair_id: named.get(stored[row.pair_id][1] or 0, NO_ERA) for row in rows}
    labels = {
        row.pair_id: label(project, row.response, stored[row.pair_id][0]) or NO_LABEL
        for row in rows
    }
    return {
        "by_origin": _by_split(rows, {row.pair_id: row.origin.value for row in rows}),
        "label": project.label_field or "topic",
        "by_label": _by_split(rows, labels),
        "by_era": _by_split(rows, by_era),
        "eras": [
            {"name": era.name, "starts_on": era.starts_on.isoformat(), "retired": era.retired}
            for era in eras
        ],
        "approvers": _approvers(session, rows),
        "audit": audit(session, version, rows, until=version.created_at),
        "waivers": _waivers(session, version),
        "duplicates": _duplicates(session, project.id, rows),
        "certificate": certificate.build(session, version.id, version.sha256),
        "groups": len({row.group for row in rows}),
        "not_nfc": sum(not _nfc(row) for row in rows),
    }


def _nfc(row: VersionRow) -> bool:
    return unicodedata.is_normalized("NFC", row.prompt) and unicodedata.is_normalized(
        "NFC", row.response
    )


def _by_split(rows: Iterable[VersionRow], kinds: Mapping[int, str]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(kinds[row.pair_id], Counter())[row.split.value] += 1
    return {kind: dict(sorted(found[kind].items())) for kind in sorted(found)}


def _approvers(session: Session, rows: Sequence[VersionRow]) -> dict[str, int]:
    names = people.names(session)
    given = pairs.approvers(session, [row.pair_id for row in rows])
    counted = Counter(names.get(user, "someone") for user in given.values())
    return dict(sorted(counted.items()))


def audit(
    session: Session, version: Version, rows: Sequence[VersionRow], until: datetime | None = None
) -> dict[str, Any] | None:
    """The newest audit (up to a moment) with its intervals; None where there was none.

    `here` counts the verdicts about the very texts of this version.
    """
    query = select(AuditRow).where(AuditRow.project_id == version.project_id)
    if until is not None:
        query = query.where(AuditRow.created_at <= until)
    row = session.scalar(query.order_by(AuditRow.id.desc()).limit(1))
    if row is None:
        return None
    asked = select(AuditVerdictRow).where(AuditVerdictRow.audit_id == row.id)
    if until is not None:
        asked = asked.where(AuditVerdictRow.created_at <= until)
    verdicts = list(session.scalars(asked))
    frozen = {one.pair_id: one.content_sha256 for one in rows}
    here = [one for one in verdicts if frozen.get(one.pair_id) == one.content_sha256]
    good, judged = sum(one.good for one in verdicts), len(verdicts)
    return {
        "audit": row.id,
        "population": row.population,
        "drawn": len(row.drawn),
        "judged": judged,
        "good": good,
        "here": {"judged": len(here), "good": sum(one.good for one in here)},
        "wilson_95": _rounded(statistics.wilson(good, judged)),
        "clopper_pearson_95": _rounded(statistics.clopper_pearson(good, judged)),
        "proven_95": round(statistics.proven_share(good, judged), 4),
    }


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(bound, 4) for bound in interval]


def _waivers(session: Session, version: Version) -> list[dict[str, Any]]:
    """Those in force when the version was frozen, the newest of each line."""
    query = (
        select(WaiverRow)
        .where(
            WaiverRow.project_id == version.project_id,
            WaiverRow.signal.not_like("%:%"),  # lines of an adapter's gate have a colon
            WaiverRow.created_at <= version.created_at,
            WaiverRow.expires_on >= version.created_at.date(),
        )
        .order_by(WaiverRow.id)
    )
    names = people.names(session)
    newest = {row.signal: row for row in session.scalars(query)}
    return [
        {
            "line": signal,
            "by": names.get(newest[signal].user_id, "someone"),
            "reason": newest[signal].reason,
            "until": newest[signal].expires_on.isoformat(),
        }
        for signal in sorted(newest)
    ]


def _duplicates(
    session: Session, project_id: int, rows: Sequence[VersionRow]
) -> dict[str, dict[str, int]]:
    """By kind of link that touches a row of the version: how it was settled."""
    frozen = {row.pair_id: row.content_sha256 for row in rows}
    rejected = set(
        session.scalars(
            select(PairRow.id).where(
                PairRow.project_id == project_id, PairRow.status == PairStatus.REJECTED
            )
        )
    )
    found: dict[str, Counter[str]] = {}
    for link in session.scalars(select(LinkRow).where(LinkRow.project_id == project_id)):
        here = [
            frozen.get(link.a) == link.a_sha256,
            frozen.get(link.b) == link.b_sha256,
        ]
        if all(here):
            said = link.state is not LinkState.OPEN
            found.setdefault(link.kind.value, Counter())["both_kept" if said else "open"] += 1
        elif any(here) and {link.a, link.b} & rejected:
            found.setdefault(link.kind.value, Counter())["one_rejected"] += 1
    return {kind: dict(sorted(found[kind].items())) for kind in sorted(found)}
