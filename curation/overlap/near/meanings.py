"""Rows that ask nearly the same in other words, by vectors that a local model made of them.

The cosine of two vectors is the opinion of that model, not a fact about the words: what counts as
close differs from model to model, "not" changes it little, and rows are only proposed. A pair found
this way is a near-duplicate like any other: people keep one row or say why both are right, the gate
waits for that, and a split keeps both rows on one side.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from curation.overlap import overlaps
from storage import events, pairs
from storage.errors import BadInput, RuleBroken
from storage.tables import LinkRow, PairRow
from storage.types import Link, LinkKind, LinkState, PairStatus, User

DEFAULT, LOWEST = 0.9, 0.5
"""From which cosine on rows are proposed unless someone says otherwise, and the lowest to ask."""
MOST = 200
"""So many pairs are proposed at once, the closest first; settle them to see the next."""
SOURCE = "Close in meaning: the cosine of a local model's sentence vectors"
"""Stands as the reason of an open link that was found this way."""

Vectors = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]
_CELLS = 1 << 22
"""Cosines worked out at once."""


@dataclass(frozen=True, slots=True)
class Closest:
    """The closest pairs of places, a < b, with their cosine, and how many there were in all."""

    pairs: tuple[tuple[int, int, float], ...]
    total: int


def closest(
    vectors: Vectors, minimum: float, skip: Set[tuple[int, int]] = frozenset(), limit: int = MOST
) -> Closest:
    """The pairs of rows of `vectors` with at least this cosine, the closest first.

    Every row is compared with every other, in blocks, to the precision of 32-bit floats. A vector
    of zeros, or with a number that is none, is close to nothing. `skip` are pairs of places, the
    lower first, that are linked already.
    """
    unit = _unit(vectors)
    count = max(1, len(unit))
    passed_over = np.sort(np.array([a * count + b for a, b in skip], np.int64))
    codes, cosines = np.zeros(0, np.int64), np.zeros(0, np.float32)
    total = 0
    for first, block in _blocks(unit):
        a, b = np.nonzero(np.triu(block >= np.float32(minimum), 1))
        code, cosine = (a + first) * count + b + first, block[a, b]
        fresh = np.isin(code, passed_over, invert=True)
        total += int(fresh.sum())
        codes, cosines = _best(
            np.append(codes, code[fresh]), np.append(cosines, cosine[fresh]), limit
        )
    pairs = zip((codes // count).tolist(), (codes % count).tolist(), cosines.tolist(), strict=True)
    return Closest(tuple((a, b, min(1.0, cosine)) for a, b, cosine in pairs), total)


def _best(codes: Codes, cosines: Vectors, limit: int) -> tuple[Codes, Vectors]:
    """So many with the highest cosine, of equal ones the first rows."""
    order = np.lexsort((codes, -cosines))[:limit]
    return codes[order], cosines[order]


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    usable = np.isfinite(lengths) & (lengths > 0)
    unit: Vectors = np.where(usable, vectors / np.where(usable, lengths, 1), 0).astype(np.float32)
    return unit


def _blocks(unit: Vectors) -> Iterator[tuple[int, Vectors]]:
    """From which row on, and the cosines of some rows with themselves and all that follow."""
    step = max(1, _CELLS // max(1, len(unit)))
    for first in range(0, len(unit), step):
        yield first, unit[first : first + step] @ unit[first:].T


class Input(msgspec.Struct, frozen=True):
    """A line of what a comparison is given: one row."""

    pair_id: int
    content_sha256: str
    text: str


class Proposal(msgspec.Struct, frozen=True):
    """A line of what a comparison found: two rows, a < b, as they stood when it began."""

    a: int
    b: int
    a_sha256: str
    b_sha256: str
    cosine: float


def check(session: Session, project_id: int) -> None:
    """Refuse a comparison that cannot be made now.

    Raises:
        RuleBroken: there are under two rows, or some were not compared word by word yet.
    """
    if overlaps.due(session, project_id):
        raise RuleBroken("Pairs changed since they were compared word by word. Do that first.")
    if len(session.scalars(_alive(project_id).with_only_columns(PairRow.id).limit(2)).all()) < 2:
        raise RuleBroken("There are no two pairs to compare. Write or import some first.")


def to_compare(session: Session, project_id: int) -> list[Input]:
    """What is compared: the input of each row that is not rejected, with the hash of the row.

    Raises:
        RuleBroken: see `check`.
    """
    check(session, project_id)
    rows = session.execute(_alive(project_id))
    return [Input(pair_id, sha256, prompt) for pair_id, sha256, prompt in rows]


def _alive(project_id: int) -> Select[int, str, str]:
    return (
        select(PairRow.id, PairRow.content_sha256, PairRow.prompt)
        .where(PairRow.project_id == project_id, PairRow.status != PairStatus.REJECTED)
        .order_by(PairRow.id)
    )


def linked(session: Session, project_id: int) -> list[tuple[int, int]]:
    """Pairs of ids, the lower first, that are linked already, settled ones too."""
    links = overlaps.current(session, project_id, state=None)
    return sorted({(link.a, link.b) for link in links})


def checked(minimum: float) -> float:
    """The cosine asked for.

    Raises:
        BadInput: it is under 0.5 or over 1.
    """
    if not LOWEST <= minimum <= 1:
        raise BadInput(f"A cosine of {minimum} cannot be used: give {LOWEST} to 1.")
    return minimum


def store(
    session: Session,
    actor: User,
    project_id: int,
    proposals: Iterable[Proposal],
    model_sha256: str,
) -> int:
    """Take in what a comparison found; pairs of which a row changed meanwhile are left out.

    Returns how many are new.
    """
    proposed = list(proposals)
    sides = {side for proposal in proposed for side in (proposal.a, proposal.b)}
    rows = session.execute(
        select(PairRow.id, PairRow.content_sha256).where(
            PairRow.project_id == project_id, pairs.among(PairRow.id, sides)
        )
    )
    hashes = {row.id: row.content_sha256 for row in rows}
    query = select(LinkRow.a, LinkRow.b, LinkRow.a_sha256, LinkRow.b_sha256)
    links = {tuple(link) for link in session.execute(query.where(LinkRow.project_id == project_id))}
    fresh = [
        p
        for p in proposed
        if (hashes.get(p.a), hashes.get(p.b)) == (p.a_sha256, p.b_sha256)
        and (p.a, p.b, p.a_sha256, p.b_sha256) not in links
    ]
    session.add_all(
        LinkRow(
            project_id=project_id,
            a=proposal.a,
            b=proposal.b,
            a_sha256=proposal.a_sha256,
            b_sha256=proposal.b_sha256,
            kind=LinkKind.NEAR,
            similarity=proposal.cosine,
            state=LinkState.OPEN,
            reason=SOURCE,
        )
        for proposal in fresh
    )
    session.flush()
    events.record(
        session,
        actor,
        "meanings",
        "project",
        project_id,
        project_id=project_id,
        new=len(fresh),
        model_sha256=model_sha256,
    )
    return len(fresh)


def by_meaning(links: Sequence[Link]) -> list[Link]:
    """Those of the open links that were found by meaning."""
    return [link for link in links if link.reason == SOURCE]
