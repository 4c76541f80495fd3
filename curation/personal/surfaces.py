"""The same words in other pairs: found by a keyed hash of them, never by reading every text.

The key is the project's secret, which never leaves the server; without it a hash tells nothing.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Select
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
    in_pairs = _in_pairs(session, pair.project_id, set(wanted.values()))
    return {finding_id: len(in_pairs[both]) for finding_id, both in wanted.items()}


def alike(session: Session, pair: PairRow, finding: FindingRow) -> list[int]:
    """The pairs in which the words of a finding wait for a decision under the same type."""
    both = (finding.type, of(pair, finding))
    return sorted(_in_pairs(session, pair.project_id, {both})[both])


def _in_pairs(
    session: Session, project_id: int, wanted: set[TypedSurface]
) -> dict[TypedSurface, set[int]]:
    """The pairs, not rejected, by words and type."""
    in_pairs: dict[TypedSurface, set[int]] = {both: set() for both in wanted}
    if not wanted:
        return in_pairs
    name = hashing(session, project_id)
    by_hash = {name(surface): surface for _, surface in wanted}
    query = _open(project_id).where(FindingRow.surface.in_(list(by_hash)))
    columns = query.with_only_columns(FindingRow.pair_id, FindingRow.type, FindingRow.surface)
    for pair_id, kind, hashed in session.execute(columns):
        both = (kind, by_hash[hashed or ""])
        if both in in_pairs:
            in_pairs[both].add(pair_id)
    for pair_id, both in _unnamed(session, project_id, {kind for kind, _ in wanted}):
        if both in in_pairs:
            in_pairs[both].add(pair_id)
    return in_pairs


def _unnamed(
    session: Session, project_id: int, kinds: Iterable[str]
) -> Iterable[tuple[int, TypedSurface]]:
    """What was found before surfaces were kept: compared by its text."""
    query = _open(project_id).where(FindingRow.surface.is_(None), FindingRow.type.in_(list(kinds)))
    for row, finding in session.execute(query.with_only_columns(PairRow, FindingRow)):
        yield row.id, (finding.type, of(row, finding))


def _open(project_id: int) -> Select[int]:
    """Open findings in the present texts of pairs that are not rejected."""
    return gaps.unsettled(project_id, PairRow.status != PairStatus.REJECTED).where(
        FindingRow.state == FindingState.OPEN
    )
