"""Decisions about findings of personal data; stand-ins take the place of what people accept.

A pair is clean only when its present text was scanned whole with the present settings and every
finding was decided. What the scanner does not catch is listed by `curation.personal.detect.limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from curation.personal import findings, pii, redaction, surfaces
from storage import chunks, events, leases, pairs, steps
from storage.access import allowed, require
from storage.engine import writing
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import FindingRow, PairRow, ScanRow
from storage.types import FindingState, Role, User

LARGE = 50
"""Pairs from which on the same words are decided by a job where a page asks for it."""
_AT_ONCE = 5
"""Pairs a transaction of such a job: each takes several milliseconds."""
_ROLES = (Role.EXPERT, Role.REVIEWER, Role.LEAD)


@dataclass(frozen=True, slots=True)
class Spread:
    """What became of a decision about the same words in all pairs."""

    pairs: int
    findings: int
    in_review: tuple[int, ...]
    """Pairs left alone because someone is reviewing them."""
    refused: tuple[int, ...]
    """Pairs left alone because a placeholder would break their JSON."""

    def __add__(self, more: Spread) -> Spread:
        """Both together."""
        return Spread(
            self.pairs + more.pairs,
            self.findings + more.findings,
            self.in_review + more.in_review,
            self.refused + more.refused,
        )


@dataclass(frozen=True, slots=True)
class _Words:
    """Words that are decided wherever they stand."""

    finding_id: int
    """Where someone decided them."""
    project_id: int
    type: str
    surface: str
    state: FindingState


@allowed(*_ROLES)
def decide(
    session: Session,
    actor: User,
    finding_id: int,
    state: FindingState,
    type_: str | None = None,
) -> bool:
    """Accept a finding (perhaps under another type), dismiss it, or open it again.

    When the last finding of a pair is decided, stand-ins take the place of the accepted ones.
    Returns whether that happened.

    Raises:
        NotFound: there is no such finding.
        RuleBroken: the pair's text changed since; scan it again.
        BadInput: the type is not one of `pii.TYPES`.
    """
    finding, row = _present(session, finding_id)
    if type_ is not None and type_ not in pii.TYPES:
        raise BadInput(f"{type_!r} is not a type of personal data known here.")
    if _in_review(session, actor, row):
        raise RuleBroken(f"Someone is reviewing pair {row.id} now. Try again in a few minutes.")
    finding.type = type_ or finding.type
    _note(session, actor, row, finding, state)
    session.flush()
    events.record(
        session,
        actor,
        f"finding_{state}",
        "finding",
        finding_id,
        project_id=row.project_id,
        pair=row.id,
        type=finding.type,
    )
    return _settle(session, actor, row, findings.current(session, row.project_id, row.id))


@allowed(*_ROLES)
def everywhere(session: Session, actor: User, finding_id: int, state: FindingState) -> Spread:
    """Accept or dismiss the same words (but for case and spacing) of the same type in all pairs.

    Only findings that nobody has decided yet. A pair that someone is reviewing, or whose JSON would
    break, is left as it is and reported. What is done can be undone finding by finding, until the
    last one of its pair is decided.

    Raises:
        NotFound: there is no such finding.
        RuleBroken: the pair's text changed since; scan it again.
        BadInput: `state` is neither accepted nor dismissed.
    """
    words = _words(session, finding_id, state)
    return _spread(session, actor, words, _pairs_with(session, finding_id))


def everywhere_in_chunks(
    engine: Engine,
    actor: User,
    finding_id: int,
    state: FindingState,
    *,
    step: steps.Step = steps.quiet,
    settle: Callable[[Session, Spread], None] = lambda _session, _spread: None,
) -> Spread:
    """As `everywhere`, a few pairs a transaction. Each is whole: what ends the work between two
    leaves the pairs before it decided and those after it open, and the log says which.

    `settle` is called at the end of each transaction with what was done so far.

    Raises:
        NotAllowed: the person may not decide.
        NotFound, RuleBroken, BadInput: as `everywhere`.
    """
    with writing(engine) as session:  # the project's secret is made where it has none
        require(session, actor, _ROLES, "decide findings")
        words = _words(session, finding_id, state)
        ids = _pairs_with(session, finding_id)
    done = Spread(0, 0, (), ())

    def decide_some(session: Session, some: Sequence[int]) -> None:
        nonlocal done
        done = done + _spread(session, actor, words, some)
        settle(session, done)

    chunks.write(engine, ids, decide_some, step, rows=_AT_ONCE)
    return done


def _words(session: Session, finding_id: int, state: FindingState) -> _Words:
    if state is FindingState.OPEN:
        raise BadInput("Choose whether the words are personal data or not.")
    finding, pair = _present(session, finding_id)
    return _Words(finding_id, pair.project_id, finding.type, surfaces.of(pair, finding), state)


def _pairs_with(session: Session, finding_id: int) -> list[int]:
    finding, pair = _present(session, finding_id)
    return surfaces.alike(session, pair, finding)


def _spread(session: Session, actor: User, words: _Words, ids: Sequence[int]) -> Spread:
    """Decide the words in these pairs, with one event."""
    rows, decided = 0, 0
    in_review: list[int] = []
    refused: list[int] = []
    for row, alike, every in _alike(session, words, ids):
        if _in_review(session, actor, row):
            in_review.append(row.id)
            continue
        try:
            with session.begin_nested():
                for twin in alike:
                    _note(session, actor, row, twin, words.state)
                session.flush()
                _settle(session, actor, row, every)
        except RuleBroken:
            refused.append(row.id)
            continue
        rows, decided = rows + 1, decided + len(alike)
    events.record(
        session,
        actor,
        f"everywhere_{words.state}",
        "finding",
        words.finding_id,
        project_id=words.project_id,
        type=words.type,
        rows=rows,
        findings=decided,
        held=len(in_review),
        refused=len(refused),
    )
    return Spread(rows, decided, tuple(in_review), tuple(refused))


def _alike(
    session: Session, words: _Words, ids: Sequence[int]
) -> Iterator[tuple[PairRow, list[FindingRow], list[FindingRow]]]:
    """Those of these pairs with open findings of the words: these, and every one of the pair."""
    for pair_id in ids:
        row = pairs.row_of(session, pair_id)
        every = findings.current(session, words.project_id, pair_id)
        same = [
            candidate
            for candidate in every
            if candidate.type == words.type
            and candidate.state is FindingState.OPEN
            and surfaces.of(row, candidate) == words.surface
        ]
        if same:
            yield row, same, every


def _present(session: Session, finding_id: int) -> tuple[FindingRow, PairRow]:
    """A finding that still stands in its pair's text, and the pair."""
    finding = session.get(FindingRow, finding_id)
    if finding is None:
        raise NotFound(f"There is no finding {finding_id}.")
    row, scan = pairs.row_of(session, finding.pair_id), session.get(ScanRow, finding.scan_id)
    if scan is None or scan.content_sha256 != row.content_sha256 or finding.settled:
        raise RuleBroken(f"The text of pair {row.id} changed since the scan. Scan it again.")
    return finding, row


def _in_review(session: Session, actor: User, row: PairRow) -> bool:
    """A pair in someone's review hand is not rewritten under their eyes."""
    return leases.holders(session, [row.id]).get(row.id, actor.id) != actor.id


def _note(
    session: Session, actor: User, row: PairRow, finding: FindingRow, state: FindingState
) -> None:
    """Note a decision, also where a scan with other settings found the very same words."""
    twins = select(FindingRow).where(
        FindingRow.pair_id == row.id,
        FindingRow.field == finding.field,
        FindingRow.key.is_not_distinct_from(finding.key),
        FindingRow.start == finding.start,
        FindingRow.end == finding.end,
        FindingRow.scan_id.in_(
            select(ScanRow.id).where(
                ScanRow.pair_id == row.id, ScanRow.content_sha256 == row.content_sha256
            )
        ),
    )
    for twin in session.scalars(twins):
        twin.state, twin.decided_by, twin.decided_at = state, actor.id, datetime.now(UTC)


def _settle(session: Session, actor: User, row: PairRow, every: Sequence[FindingRow]) -> bool:
    """Put the stand-ins in once none of a pair's findings is open."""
    if any(finding.state is FindingState.OPEN for finding in every):
        return False
    accepted = [finding for finding in every if finding.state is FindingState.ACCEPTED]
    if not accepted:
        return False
    redaction.put(session, actor, row, accepted)
    return True
