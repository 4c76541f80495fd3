"""What held when a version was frozen: counts, approvers, audit, waivers, duplicates, eras.

Gathered once, stored with the version and sealed, so that its card says the same ever after.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import statistics, strict_json
from curation.versions import certificate
from curation.versions.records import (
    Counts,
    SealedAudit,
    SealedEra,
    SealedFacts,
    SealedVerdicts,
    SealedWaiver,
)
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


def gather(session: Session, version: Version, rows: Sequence[VersionRow]) -> SealedFacts:
    """The facts. Shares are rounded: the last bits of a float differ between machines."""
    project = projects.get(session, version.project_id)
    query = select(PairRow.id, PairRow.topic, PairRow.era_id).where(
        PairRow.project_id == project.id
    )
    topics, era_ids = {}, {}
    for pair_id, topic, era_id in session.execute(query):
        topics[pair_id], era_ids[pair_id] = topic, era_id
    eras = projects.eras(session, project.id)
    names = {era.id: era.name for era in eras}
    labels = {
        row.pair_id: label(project, row.response, topics[row.pair_id]) or NO_LABEL for row in rows
    }
    return SealedFacts(
        by_origin=_by_split(rows, {row.pair_id: row.origin.value for row in rows}),
        label=project.label_field or "topic",
        by_label=_by_split(rows, labels),
        by_era=_by_split(
            rows, {row.pair_id: names.get(era_ids[row.pair_id] or 0, NO_ERA) for row in rows}
        ),
        eras=tuple(SealedEra(era.name, era.starts_on.isoformat(), era.retired) for era in eras),
        approvers=_approvers(session, rows),
        audit=audit(session, version, rows, until=version.created_at),
        waivers=_waivers(session, version),
        duplicates=_duplicates(session, project.id, rows),
        certificate=certificate.build(session, version.id, version.sha256),
        groups=len({row.group for row in rows}),
        not_nfc=sum(not _nfc(row) for row in rows),
    )


def _nfc(row: VersionRow) -> bool:
    return unicodedata.is_normalized("NFC", row.prompt) and unicodedata.is_normalized(
        "NFC", row.response
    )


def _by_split(rows: Iterable[VersionRow], kinds: Mapping[int, str]) -> Counts:
    counters: dict[str, Counter[str]] = {}
    for row in rows:
        counters.setdefault(kinds[row.pair_id], Counter())[row.split.value] += 1
    return _sorted(counters)


def _sorted(counters: Mapping[str, Counter[str]]) -> Counts:
    return {kind: dict(sorted(counters[kind].items())) for kind in sorted(counters)}


def _approvers(session: Session, rows: Sequence[VersionRow]) -> dict[str, int]:
    names = people.names(session)
    approvers = pairs.approvers(session, [row.pair_id for row in rows])
    counted = Counter(names.get(user, "someone") for user in approvers.values())
    return dict(sorted(counted.items()))


def audit(
    session: Session, version: Version, rows: Sequence[VersionRow], until: datetime | None = None
) -> SealedAudit | None:
    """The newest audit (up to a moment) with its intervals; None where there was none."""
    query = select(AuditRow).where(AuditRow.project_id == version.project_id)
    if until is not None:
        query = query.where(AuditRow.created_at <= until)
    row = session.scalar(query.order_by(AuditRow.id.desc()).limit(1))
    if row is None:
        return None
    of_audit = select(AuditVerdictRow).where(AuditVerdictRow.audit_id == row.id)
    if until is not None:
        of_audit = of_audit.where(AuditVerdictRow.created_at <= until)
    verdicts = list(session.scalars(of_audit))
    frozen = {member.pair_id: member.content_sha256 for member in rows}
    current = [v for v in verdicts if frozen.get(v.pair_id) == v.content_sha256]
    good, judged = sum(verdict.good for verdict in verdicts), len(verdicts)
    return SealedAudit(
        audit=row.id,
        population=row.population,
        drawn=len(row.drawn),
        judged=judged,
        good=good,
        in_version=SealedVerdicts(len(current), sum(verdict.good for verdict in current)),
        wilson_95=_rounded(statistics.wilson(good, judged)),
        clopper_pearson_95=_rounded(statistics.clopper_pearson(good, judged)),
        proven_95=round(statistics.proven_share(good, judged), 4),
    )


def _rounded(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    return round(low, 4), round(high, 4)


def _waivers(session: Session, version: Version) -> tuple[SealedWaiver, ...]:
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
    return tuple(
        SealedWaiver(
            line=signal,
            by=names.get(waiver.user_id, "someone"),
            reason=waiver.reason,
            until=waiver.expires_on.isoformat(),
        )
        for signal, waiver in sorted(newest.items())
    )


def _duplicates(session: Session, project_id: int, rows: Sequence[VersionRow]) -> Counts:
    """By kind of link that touches a pair of the version: how it was settled."""
    frozen = {row.pair_id: row.content_sha256 for row in rows}
    rejected = set(
        session.scalars(
            select(PairRow.id).where(
                PairRow.project_id == project_id, PairRow.status == PairStatus.REJECTED
            )
        )
    )
    counters: dict[str, Counter[str]] = {}
    for link in session.scalars(select(LinkRow).where(LinkRow.project_id == project_id)):
        ends = [frozen.get(link.a) == link.a_sha256, frozen.get(link.b) == link.b_sha256]
        if all(ends):
            settlement = "open" if link.state is LinkState.OPEN else "both_kept"
        elif any(ends) and {link.a, link.b} & rejected:
            settlement = "one_rejected"
        else:
            continue
        counters.setdefault(link.kind.value, Counter())[settlement] += 1
    return _sorted(counters)
