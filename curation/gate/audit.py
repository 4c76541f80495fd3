"""The random audit: approved rows drawn by a seed, judged by someone who did not approve them.

Acceptance sampling: the share of good rows is shown with its interval, because 19 of 20 good only
proves about 76 %. A row judged bad goes back to review; where a stratum (rows of one origin, author
and era) fails, a lead sends all of it back.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from sqlalchemy import ColumnElement, Engine, Select, and_, case, exists, func, not_, select
from sqlalchemy.orm import Session

from curation import statistics
from curation.gate import sampling
from curation.gate.sampling import Stratum
from curation.review import decisions
from storage import chunks, events, pairs, people, steps
from storage.access import allowed, require
from storage.blank import trim
from storage.engine import reading
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import AuditRow, AuditVerdictRow, DecisionRow, PairRow
from storage.types import Origin, Pair, PairStatus, Role, User
from storage.values import value_of

LARGE = 200
"""Pairs from which on a group goes back by a job where a page asks for it."""
_AT_ONCE = 20
"""Pairs a transaction of such a job: each takes a millisecond or two."""


@dataclass(frozen=True, slots=True)
class Part:
    """What the newest audit has shown of one stratum."""

    stratum: Stratum
    rows: int
    """Approved rows when the audit was drawn."""
    drawn: int
    judged: int
    bad: int
    low: float
    """Of the share of good rows, the two-sided exact (Clopper-Pearson) 95 % interval."""
    high: float
    failed: bool
    """See `sampling.fails`."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What the newest audit has shown so far.

    All shares are of the random sample alone: rows drawn beside it, so that each stratum has one,
    do not count. But for `proven_finite` no correction for the finite number of rows is made, so
    that the figures hold for later rows from the same hands as well.
    """

    audit_id: int
    seed: int
    population: int
    drawn: int
    judged: int
    good: int
    low: float
    """Lower end of the two-sided 95 % Wilson interval of the share of good rows."""
    high: float
    exact_low: float
    """The same by Clopper and Pearson: never too narrow."""
    exact_high: float
    proven: float
    """The share proven with 95 % confidence (exact, one-sided)."""
    proven_finite: float
    """The share proven of these very rows (exact, one-sided, with their finite number)."""
    more: int
    """Rows to judge beyond the drawn ones, all good, to prove `sampling.GOOD`."""
    beside: int = 0
    """Rows drawn beside, of strata that the random sample left out."""
    left: int = 0
    """Rows that nobody has judged yet, of both."""
    parts: tuple[Part, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every drawn row was judged."""
        return self.left == 0

    @property
    def failed(self) -> tuple[Part, ...]:
        """The strata that fail."""
        return tuple(part for part in self.parts if part.failed)


_Candidate: TypeAlias = tuple[int, Stratum]
"""A row that may be drawn: its id, and how it came about."""


def _candidates(session: Session, *conditions: ColumnElement[bool]) -> list[_Candidate]:
    query = select(PairRow.id, PairRow.origin, PairRow.author_id, PairRow.era_id)
    rows = session.execute(query.where(*conditions).order_by(PairRow.id))
    return [(pair_id, Stratum(origin.value, *traits)) for pair_id, origin, *traits in rows]


def _approved(session: Session, project_id: int) -> list[_Candidate]:
    approved = PairRow.status == PairStatus.APPROVED
    return _candidates(session, PairRow.project_id == project_id, approved)


@allowed(Role.LEAD, Role.REVIEWER, Role.EXPERT)
def draw(
    session: Session, actor: User, project_id: int, seed: int, share: float = sampling.SHARE
) -> AuditResult:
    """Draw a new audit. The same seed on the same approved rows draws the same rows.

    Each stratum gives in proportion; of one that would give none, one row is drawn beside.

    Raises:
        RuleBroken: nothing is approved yet, or an audit is still going on.
        BadInput: the share is not between 1 and 100 %.
    """
    if not 0.01 <= share <= 1:
        raise BadInput("The share to audit must lie between 1 and 100 %.")
    approved = _approved(session, project_id)
    if not approved:
        raise RuleBroken("No pair is approved yet. Review some pairs first.")
    going = latest(session, project_id)
    if going is not None and not going.complete:
        raise RuleBroken("An audit is going on. Finish it before drawing another.")
    strata = sampling.strata(approved)
    dice = random.Random(seed)  # noqa: S311 - reproducible
    drawn, beside = sampling.draw(strata, sampling.size(len(approved), share), dice)
    row = AuditRow(
        project_id=project_id,
        seed=seed,
        drawn=drawn,
        population=len(approved),
        strata=_stored(strata, drawn, beside),
        created_by=actor.id,
    )
    session.add(row)
    session.flush()
    events.record(
        session,
        actor,
        "draw",
        "audit",
        row.id,
        project_id=project_id,
        seed=seed,
        rows=len(drawn),
        beside=len(beside),
        strata=len(strata),
    )
    return _result(session, row)


@allowed(Role.LEAD, Role.REVIEWER, Role.EXPERT)
def extend(session: Session, actor: User, project_id: int) -> AuditResult:
    """Draw the rows that are still missing to prove `sampling.GOOD`, beside those already judged.

    The verdicts given so far are carried over, the bad ones too. Going on after a look at the
    result makes the bound a little too hopeful.

    Raises:
        RuleBroken: the audit is not complete, proves enough already, or no row is left to draw.
    """
    before = _latest_row(session, project_id)
    result = None if before is None else _result(session, before)
    if before is None or result is None or not result.complete:
        raise RuleBroken("Judge every pair of the present audit before drawing more.")
    if not result.more:
        raise RuleBroken(
            f"The present audit needs no more pairs to prove {sampling.GOOD * 100:.0f} %."
        )
    audited = set(_everything(before))
    remaining = [pair for pair in _approved(session, project_id) if pair[0] not in audited]
    if not remaining:
        raise RuleBroken("Every approved pair has been drawn. There is none left to audit.")
    count = min(result.more, len(remaining))
    dice = random.Random(f"{before.seed}:{len(before.drawn)}")  # noqa: S311 - reproducible draw
    fresh, _ = sampling.draw(sampling.strata(remaining), count, dice)
    drawn = sorted([*before.drawn, *fresh])
    row = AuditRow(
        project_id=project_id,
        seed=before.seed,
        created_by=actor.id,
        drawn=drawn,
        population=len(before.drawn) + len(remaining),
        strata=_stored(_strata_of(session, before, remaining), drawn, _beside(before)),
    )
    session.add(row)
    session.flush()
    _carry_over(session, before, row)
    events.record(
        session,
        actor,
        "extend",
        "audit",
        row.id,
        project_id=project_id,
        rows=count,
        before=before.id,
    )
    return _result(session, row)


class _Drawing(msgspec.Struct, frozen=True):
    """What an audit keeps of one stratum, as JSON: how many rows it had, and which were drawn."""

    origin: str
    author: int | None
    era: int | None
    rows: int
    drawn: list[int]
    beside: list[int]


def _stored(
    strata: dict[Stratum, list[int]], drawn: list[int], beside: list[int]
) -> list[dict[str, object]]:
    """The strata as the audit keeps them."""
    main, more = set(drawn), set(beside)
    drawings = [
        _Drawing(
            stratum.origin,
            stratum.author_id,
            stratum.era_id,
            len(ids),
            [i for i in ids if i in main],
            [i for i in ids if i in more],
        )
        for stratum, ids in sorted(strata.items())
    ]
    return msgspec.to_builtins(drawings)  # type: ignore[no-any-return]


def _drawings(audit: AuditRow) -> list[_Drawing]:
    return msgspec.convert(audit.strata or [], list[_Drawing])


def _beside(audit: AuditRow) -> list[int]:
    return [pair_id for drawing in _drawings(audit) for pair_id in drawing.beside]


def _everything(audit: AuditRow) -> list[int]:
    """All rows to judge, in an order that tells nothing."""
    return sorted([*audit.drawn, *_beside(audit)])


def _strata_of(
    session: Session, before: AuditRow, remaining: list[_Candidate]
) -> dict[Stratum, list[int]]:
    """The strata of an audit that goes on: its rows, and those that are left to draw."""
    drawn = pairs.among(PairRow.id, _everything(before))
    mine = PairRow.project_id == before.project_id
    return sampling.strata([*_candidates(session, mine, drawn), *remaining])


def _carry_over(session: Session, before: AuditRow, row: AuditRow) -> None:
    query = select(AuditVerdictRow).where(AuditVerdictRow.audit_id == before.id)
    session.add_all(
        AuditVerdictRow(
            audit_id=row.id,
            pair_id=verdict.pair_id,
            user_id=verdict.user_id,
            content_sha256=verdict.content_sha256,
            good=verdict.good,
            note=verdict.note,
        )
        for verdict in session.scalars(query).all()
    )
    session.flush()


def auditors(session: Session, project_id: int) -> list[User]:
    """The people who may judge at least one of the rows that wait in the audit, by name."""
    audit = _latest_row(session, project_id)
    if audit is None:
        return []
    authors = case((PairRow.origin == Origin.GOLD, PairRow.author_id))
    query = _waiting(session, audit).with_only_columns(DecisionRow.user_id, authors).distinct()
    sides = [set(row) for row in session.execute(query)]
    return [
        user
        for user in people.everyone(session)
        if user.roles & {Role.EXPERT, Role.REVIEWER, Role.LEAD}
        and any(user.id not in both for both in sides)
    ]


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def next_row(session: Session, actor: User, project_id: int) -> Pair | None:
    """The next drawn row that this person may judge: not approved and not written by them."""
    audit = _latest_row(session, project_id)
    if audit is None:
        return None
    wrote = and_(PairRow.origin == Origin.GOLD, PairRow.author_id.is_not_distinct_from(actor.id))
    query = _waiting(session, audit).where(
        DecisionRow.user_id.is_distinct_from(actor.id), not_(wrote)
    )
    row = session.scalar(query.order_by(PairRow.id).limit(1))
    return None if row is None else value_of(Pair, row)


def _waiting(session: Session, audit: AuditRow) -> Select[PairRow]:
    """The rows that nobody has judged, with the approval that counts."""
    return (
        select(PairRow)
        .outerjoin(DecisionRow, DecisionRow.id == PairRow.approval_id)
        .where(pairs.among(PairRow.id, _open(session, audit)))
    )


def _independent(actor: User, pair: Pair, approver: int | None) -> bool:
    wrote = pair.origin is Origin.GOLD and pair.author_id == actor.id
    return approver != actor.id and not wrote


def _open(session: Session, audit: AuditRow) -> list[int]:
    verdicts = _verdicts(session, audit)
    return [pair_id for pair_id in _everything(audit) if pair_id not in verdicts]


def _verdicts(session: Session, audit: AuditRow) -> dict[int, bool]:
    """Whether each judged row is good, by row. One value for all: faster than many rows."""
    both = func.json_group_array(func.json_array(AuditVerdictRow.pair_id, AuditVerdictRow.good))
    judged = session.scalar(select(both).where(AuditVerdictRow.audit_id == audit.id))
    return {pair_id: bool(good) for pair_id, good in json.loads(judged or "[]")}


def waiting(session: Session, project_id: int) -> int:
    """How many drawn rows nobody has judged."""
    audit = _latest_row(session, project_id)
    return 0 if audit is None else len(_open(session, audit))


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def judge(
    session: Session,
    actor: User,
    pair_id: int,
    seen_version: int,
    *,
    good: bool,
    note: str | None = None,
) -> AuditResult:
    """Judge one drawn row. A bad one goes back to review.

    Raises:
        NotFound: the row is not in the audit, or was judged already.
        RuleBroken: this person approved or wrote it, or it changed since it was shown.
    """
    row = pairs.row_of(session, pair_id)
    audit = _latest_row(session, row.project_id)
    if audit is None or pair_id not in _open(session, audit):
        raise NotFound(f"Pair {pair_id} is not waiting in an audit. Go on with the next pair.")
    approver = pairs.approvers(session, [pair_id]).get(pair_id)
    if not _independent(actor, value_of(Pair, row), approver):
        raise RuleBroken(f"You approved or wrote pair {pair_id}. Someone else must audit it.")
    if row.version != seen_version:
        raise RuleBroken(f"Pair {pair_id} changed since it was shown. Look at it again.")
    session.add(
        AuditVerdictRow(
            audit_id=audit.id,
            pair_id=pair_id,
            user_id=actor.id,
            content_sha256=row.content_sha256,
            good=good,
            note=trim(note or "") or None,
        )
    )
    session.flush()
    events.record(
        session,
        actor,
        "judge",
        "pair",
        pair_id,
        project_id=row.project_id,
        audit=audit.id,
        good=good,
    )
    if not good and row.status is PairStatus.APPROVED:
        decisions.send_back(session, actor, row, "Judged bad in the audit")
    return _result(session, audit)


def _latest_row(session: Session, project_id: int) -> AuditRow | None:
    query = select(AuditRow).where(AuditRow.project_id == project_id).order_by(AuditRow.id.desc())
    return session.scalar(query.limit(1))


def latest(session: Session, project_id: int) -> AuditResult | None:
    """The newest audit; None where there was none."""
    row = _latest_row(session, project_id)
    return None if row is None else _result(session, row)


def _result(session: Session, audit: AuditRow) -> AuditResult:
    verdicts = _verdicts(session, audit)
    judged = [verdicts[pair_id] for pair_id in audit.drawn if pair_id in verdicts]
    good, n = sum(judged), len(judged)
    low, high = statistics.wilson(good, n)
    exact_low, exact_high = statistics.clopper_pearson(good, n)
    return AuditResult(
        audit_id=audit.id,
        seed=audit.seed,
        population=audit.population,
        drawn=len(audit.drawn),
        judged=n,
        good=good,
        low=low,
        high=high,
        exact_low=exact_low,
        exact_high=exact_high,
        proven=statistics.proven_share(good, n),
        proven_finite=statistics.proven_of(good, n, max(n, audit.population)),
        more=max(0, statistics.rows_to_prove(n - good, sampling.GOOD) - len(audit.drawn)),
        beside=len(_beside(audit)),
        left=sum(pair_id not in verdicts for pair_id in _everything(audit)),
        parts=tuple(_part(drawing, verdicts) for drawing in _drawings(audit)),
    )


def _part(drawing: _Drawing, verdicts: dict[int, bool]) -> Part:
    drawn = [*drawing.drawn, *drawing.beside]
    judged = [verdicts[pair_id] for pair_id in drawn if pair_id in verdicts]
    good, n = sum(judged), len(judged)
    low, high = statistics.clopper_pearson(good, n)
    stratum = Stratum(drawing.origin, drawing.author, drawing.era)
    return Part(
        stratum, drawing.rows, len(drawn), n, n - good, low, high, sampling.fails(n - good, n)
    )


def reopening(
    session: Session, project_id: int, stratum: Stratum, among: Sequence[int] | None = None
) -> list[int]:
    """The approved rows (of some, or of all) that go back if a stratum is reopened: all but those
    that were judged good as they stand."""
    audit = _latest_row(session, project_id)
    good = exists().where(
        AuditVerdictRow.audit_id == (audit.id if audit else None),
        AuditVerdictRow.pair_id == PairRow.id,
        AuditVerdictRow.content_sha256 == PairRow.content_sha256,
        AuditVerdictRow.good,
    )
    query = select(PairRow.id).where(
        PairRow.project_id == project_id,
        PairRow.status == PairStatus.APPROVED,
        PairRow.origin == Origin(stratum.origin),
        PairRow.author_id.is_not_distinct_from(stratum.author_id),
        PairRow.era_id.is_not_distinct_from(stratum.era_id),
        ~good,
    )
    if among is not None:
        query = query.where(pairs.among(PairRow.id, among))
    return list(session.scalars(query.order_by(PairRow.id)))


@allowed(Role.LEAD)
def reopen_stratum(
    session: Session, actor: User, project_id: int, stratum: Stratum, figures: tuple[int, int, int]
) -> int:
    """Send the approved rows of one stratum back to review, each by a decision of its own.

    `figures` are the bad, the judged and the rows to go back, as the lead had them in view. Returns
    how many went back.

    Raises:
        NotFound: the newest audit has no such stratum.
        RuleBroken: none of it was judged bad, or the figures changed since they were shown.
    """
    failed = to_reopen(session, project_id, stratum, figures)
    _send_back(session, actor, failed, failed.rows)
    return len(failed.rows)


def reopen_in_chunks(
    engine: Engine,
    actor: User,
    project_id: int,
    stratum: Stratum,
    figures: tuple[int, int, int],
    *,
    step: steps.Step = steps.quiet,
    settle: Callable[[Session, int], None] = lambda _session, _back: None,
) -> int:
    """As `reopen_stratum`, a few rows a transaction. What ends the work between two leaves the rows
    before it in review and those after it approved, and the log says how many.

    A row that someone moved or judged good meanwhile is left as it is. `settle` is called at the
    end of each transaction with how many went back so far.

    Raises:
        NotAllowed: the person is no lead.
        NotFound, RuleBroken: as `reopen_stratum`.
    """
    with reading(engine) as session:
        require(session, actor, (Role.LEAD,), "reopen a stratum")
        failed = to_reopen(session, project_id, stratum, figures)
    back = 0

    def send_some(session: Session, some: Sequence[int]) -> None:
        nonlocal back
        rows = reopening(session, project_id, stratum, some)
        if rows:
            _send_back(session, actor, failed, rows)
        settle(session, back + len(rows))
        back += len(rows)

    chunks.write(engine, failed.rows, send_some, step, rows=_AT_ONCE)
    return back


@dataclass(frozen=True, slots=True)
class _Failed:
    """A stratum that may be reopened, and its rows that go back."""

    project_id: int
    audit_id: int
    part: Part
    rows: list[int]


def to_reopen(
    session: Session, project_id: int, stratum: Stratum, figures: tuple[int, int, int]
) -> _Failed:
    """What `reopen_stratum` sends back, where it may.

    Raises:
        NotFound, RuleBroken: as `reopen_stratum`.
    """
    result = latest(session, project_id)
    parts = [part for part in result.parts if part.stratum == stratum] if result else []
    if result is None or not parts:
        raise NotFound("The newest audit has no such stratum. Look at the Audit page again.")
    part, rows = parts[0], reopening(session, project_id, stratum)
    if not part.bad:
        raise RuleBroken("No pair of this stratum was judged bad, so there is no reason to reopen.")
    if (part.bad, part.judged, len(rows)) != figures:
        raise RuleBroken("The audit went on since these figures were shown. Look at them again.")
    return _Failed(project_id, result.audit_id, part, rows)


def _send_back(session: Session, actor: User, failed: _Failed, rows: Sequence[int]) -> None:
    """Send these rows of a stratum back, with one event."""
    for pair_id in rows:
        decisions.send_back(session, actor, pairs.row_of(session, pair_id), "Its stratum failed")
    stratum = failed.part.stratum
    events.record(
        session,
        actor,
        "reopen_stratum",
        "audit",
        failed.audit_id,
        project_id=failed.project_id,
        origin=stratum.origin,
        author=stratum.author_id,
        era=stratum.era_id,
        rows=len(rows),
        bad=failed.part.bad,
        judged=failed.part.judged,
    )


def bad_rows(session: Session, audit_id: int) -> list[int]:
    """Rows of an audit that were judged bad and have not been approved again since."""
    query = (
        select(AuditVerdictRow.pair_id)
        .join(PairRow, PairRow.id == AuditVerdictRow.pair_id)
        .where(
            AuditVerdictRow.audit_id == audit_id,
            AuditVerdictRow.good.is_(False),
            PairRow.status == PairStatus.WAITING,
        )
    )
    return list(session.scalars(query))
