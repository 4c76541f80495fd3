"""The same words in other pairs: found by a keyed hash of them, never by reading every text.

The key is the project's secret, which never leaves the server; without it a hash tells nothing.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence

from sqlalchemy import Select, func
from sqlalchemy.orm import Session

from curation.personal import findings, gaps, placeholders
from storage.tables import FindingRow, PairRow, ProjectRow
from storage.types import Finding, FindingState, Pair, PairStatus

_LENGTH = 16
TypedSurface = tuple[str, str]
"""A type and the surface of a finding of it."""


def of(pair: Pair | PairRow, finding: Finding | FindingRow) -> str:
    """The words of a finding, but for case, spacing, width and JSON escapes."""
    return placeholders.surface(findings.excerpt(findings.texts(pair), finding), structured=True)


def hashing(session: Session, project_id: int) -> Callable[[str], str]:
    """What names words in a project; its secret is made where it has none yet."""
    project = session.get_one(ProjectRow, project_id)
    if project.scrub_key is None:
        project.scrub_key = secrets.token_hex(32)
    key = bytes.fromhex(project.scrub_key)

    def name(surface: str) -> str:
        message = b"surface\0" + surface.encode(errors="surrogatepass")
        return hmac.new(key, message, hashlib.sha256).hexdigest()[:_LENGTH]

    return name


def repeats(session: Session, pair: Pair, shown: Sequence[Finding]) -> dict[int, int]:
    """In how many pairs the words of each open finding of a pair wait for a decision, by id."""
    wanted = {
        finding.id: (finding.type, of(pair, finding))
        for finding in shown
        if finding.state is FindingState.OPEN
    }
    if not wanted:
        return {}
    name = hashing(session, pair.project_id)
    hashes = {finding_id: (kind, name(surface)) for finding_id, (kind, surface) in wanted.items()}
    number = func.count(FindingRow.pair_id.distinct())
    query = (
        _named(pair.project_id, {hashed for _, hashed in hashes.values()})
        .with_only_columns(FindingRow.type, FindingRow.surface, number)
        .group_by(FindingRow.type, FindingRow.surface)
    )
    counts = {(kind, hashed): count for kind, hashed, count in session.execute(query)}
    older = _older(session, pair.project_id, set(wanted.values()))
    return {
        finding_id: counts.get(hashes[finding_id], 0) + len(older.get(both, ()))
        for finding_id, both in wanted.items()
    }


def alike(session: Session, pair: PairRow, finding: FindingRow) -> list[int]:
    """The pairs in which the words of a finding wait for a decision under the same type."""
    both = (finding.type, of(pair, finding))
    query = _named(pair.project_id, {hashing(session, pair.project_id)(both[1])})
    named = session.scalars(query.where(FindingRow.type == finding.type).distinct())
    return sorted({*named, *_older(session, pair.project_id, {both})[both]})


def _named(project_id: int, hashes: set[str]) -> Select[int]:
    return _open(project_id).where(FindingRow.surface.in_(hashes))


def _older(
    session: Session, project_id: int, wanted: set[TypedSurface]
) -> dict[TypedSurface, set[int]]:
    """The pairs in which words were found before surfaces were kept: compared by their text."""
    in_pairs: dict[TypedSurface, set[int]] = {both: set() for both in wanted}
    query = _open(project_id).where(
        FindingRow.surface.is_(None), FindingRow.type.in_({kind for kind, _ in wanted})
    )
    for row, finding in session.execute(query.with_only_columns(PairRow, FindingRow)):
        both = (finding.type, of(row, finding))
        if both in in_pairs:
            in_pairs[both].add(row.id)
    return in_pairs


def _open(project_id: int) -> Select[int]:
    """Open findings in the present texts of pairs that are not rejected."""
    return gaps.unsettled(project_id, PairRow.status != PairStatus.REJECTED).where(
        FindingRow.state == FindingState.OPEN
    )
