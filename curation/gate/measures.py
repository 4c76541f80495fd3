"""What the lines of the gate look at: counted by the database, so that a large set costs little.

What only reading the texts can tell is a report of its own, which pages take as it was last
computed; a launch computes it afresh.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, or_, select, union
from sqlalchemy.orm import Session, aliased

from curation import schema_check
from curation.gate import audit, decision
from curation.gate.signals import LinkCount
from curation.overlap import overlaps
from curation.personal import gaps
from curation.policy import belonging
from curation.versions import archive
from storage import pairs, projects
from storage.reports import Report
from storage.tables import ComparisonRow, LinkRow, PairRow
from storage.types import (
    LinkKind,
    LinkState,
    Origin,
    PairSample,
    PairStatus,
    Project,
    Version,
)

_NONE = PairSample(0, ())
_CHUNK = 1000
"""Rows in memory at once."""


@dataclass(frozen=True, slots=True)
class TextFigures:
    """What only the texts of the approved pairs tell."""

    misfits: PairSample
    """Their output does not fit the schema."""
    retired: PairSample
    """Of a retired era, by its tag or its wording."""
    eras: tuple[int, ...]
    """The retired eras that they belong to, by id."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What the lines look at, read once."""

    project: Project
    approved: int
    gold: int
    texts: TextFigures
    near: LinkCount
    contradictions: LinkCount
    leaks: LinkCount
    due: int
    gaps: gaps.Gaps
    audit: audit.AuditResult | None
    record: decision.DecisionRecord | None
    version: Version | None
    withdrawn: PairSample
    baseline: tuple[int, int] | None


def gather(
    session: Session, project_id: int, version: Version | None, texts: TextFigures | None
) -> Measures:
    """The measures, for a version or else the newest; the texts are read where not given."""
    if version is None:
        version = next(iter(archive.listing(session, project_id)), None)
    approved = [
        kind for kind in pairs.tally(session, project_id) if kind.status is PairStatus.APPROVED
    ]
    return Measures(
        project=projects.get(session, project_id),
        approved=sum(kind.count for kind in approved),
        gold=sum(kind.count for kind in approved if kind.origin is Origin.GOLD),
        texts=texts or read_texts(session, project_id),
        near=_links(session, project_id, LinkKind.EXACT, LinkKind.NEAR),
        contradictions=_links(session, project_id, LinkKind.CONTRADICTION),
        leaks=_links(session, project_id, LinkKind.LEAK),
        due=overlaps.due(session, project_id),
        gaps=gaps.approved(session, project_id),
        audit=audit.latest(session, project_id),
        record=decision.latest(session, project_id),
        version=version,
        withdrawn=archive.withdrawn(session, version.id) if version else _NONE,
        baseline=_baseline(session, version),
    )


def _baseline(session: Session, version: Version | None) -> tuple[int, int] | None:
    """The most that the base got right of the test rows, by any prompt that was tried on them."""
    if version is None:
        return None
    query = select(ComparisonRow.summary).where(ComparisonRow.version_id == version.id)
    summaries = session.scalars(query)
    return max(((base["base"]["correct"], base["n"]) for base in summaries), default=None)


def _links(session: Session, project_id: int, *kinds: LinkKind) -> LinkCount:
    """As `overlaps.current`, of approved pairs and in numbers."""
    a, b = aliased(PairRow), aliased(PairRow)
    holds = and_(
        LinkRow.project_id == project_id,
        LinkRow.kind.in_(kinds),
        LinkRow.state == LinkState.OPEN,
        a.id == LinkRow.a,
        b.id == LinkRow.b,
        LinkRow.a_sha256 == a.content_sha256,
        LinkRow.b_sha256 == b.content_sha256,
        a.status == PairStatus.APPROVED,
        b.status == PairStatus.APPROVED,
    )
    links = session.scalar(select(func.count(LinkRow.id)).where(holds)) or 0
    if not links:
        return LinkCount(0, _NONE)
    sides = union(select(a.id).where(holds), select(b.id).where(holds)).subquery()
    return LinkCount(links, pairs.sample(session, select(sides.c.id)))


def read_texts(session: Session, project_id: int) -> TextFigures:
    """Read the approved pairs as far as a schema or a retired era asks for it."""
    mine = and_(PairRow.project_id == project_id, PairRow.status == PairStatus.APPROVED)
    retired, present = _retired(session, project_id, mine)
    return TextFigures(_misfits(session, project_id, mine), retired, present)


def _misfits(session: Session, project_id: int, mine: ColumnElement[bool]) -> PairSample:
    """Rows whose output does not fit the schema; each different output is tried once."""
    schema = projects.get(session, project_id).output_schema
    if schema is None:
        return _NONE
    outputs = session.scalars(
        select(PairRow.response).where(mine).distinct().execution_options(yield_per=_CHUNK)
    )
    misfits = {output for output in outputs if schema_check.problems(output, schema)}
    if not misfits:
        return _NONE
    rows = session.execute(
        select(PairRow.id, PairRow.response)
        .where(mine)
        .order_by(PairRow.id)
        .execution_options(yield_per=_CHUNK)
    )
    return PairSample.of(pair_id for pair_id, output in rows if output in misfits)


def _retired(
    session: Session, project_id: int, mine: ColumnElement[bool]
) -> tuple[PairSample, tuple[int, ...]]:
    """The rows of retired eras, and which eras these are."""
    belong = {
        era.id: belonging.of_era(session, mine, era)
        for era in projects.eras(session, project_id)
        if era.retired
    }
    if not belong:
        return _NONE, ()
    rows = select(PairRow.id).where(mine)
    present = [
        era_id
        for era_id, belongs in belong.items()
        if session.scalar(rows.where(belongs).limit(1)) is not None
    ]
    return pairs.sample(session, rows.where(or_(*belong.values()))), tuple(present)


TEXTS = Report("gate_texts", TextFigures, read_texts)
