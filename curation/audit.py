"""The random audit: approved rows drawn by a seed, judged by someone who did not approve them.

Acceptance sampling: the share of good rows is shown with its interval, because 19 of 20 good only
proves about 76 %. A row judged bad goes back to review.
"""

import random
from dataclasses import dataclass
from math import ceil

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import review, statistics
from storage import events, pairs, people
from storage.access import allowed
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import AuditRow, AuditVerdictRow, PairRow
from storage.types import Origin, Pair, PairStatus, Role, User

SHARE = 0.10


@dataclass(frozen=True, slots=True)
class Result:
    """What the newest audit has shown so far."""

    audit_id: int
    seed: int
    population: int
    drawn: int
    judged: int
    good: int
    low: float
    """Lower end of the two-sided 95 % Wilson interval of the share of good rows."""
    high: float
    proven: float
    """The share proven with 95 % confidence (exact, one-sided)."""
    more: int
    """Rows to judge beyond the drawn ones, all good, to prove 95 %."""

    @property
    def complete(self) -> bool:
        """Whether every drawn row was judged."""
        return self.judged == self.drawn


def _approved(session: Session, project_id: int) -> list[int]:
    rows = pairs.listing(session, project_id, status=PairStatus.APPROVED)
    return [pair.id for pair in rows]


@allowed(Role.LEAD, Role.REVIEWER, Role.EXPERT)
def draw(session: Session, actor: User, project_id: int, seed: int, share: float = SHARE) -> Result:
    """Draw a new audit. The same seed on the same approved rows draws the same rows.

    Raises:
        RuleBroken: nothing is approved yet, or an audit is still going on.
        BadInput: the share is not between 1 and 100 %.
    """
    if not 0.01 <= share <= 1:
        raise BadInput("The share to audit must lie between 1 and 100 %.")
    approved = _approved(session, project_id)
    if not approved:
        raise RuleBroken("No row is approved yet. Review some rows first.")
    going = latest(session, project_id)
    if going is not None and not going.complete:
        raise RuleBroken("An audit is going on. Finish it before drawing another.")
    count = ceil(len(approved) * share - 1e-9)
    drawn = sorted(random.Random(seed).sample(approved, count))  # noqa: S311 - reproducible draw
    row = AuditRow(
        project_id=project_id,
        seed=seed,
        drawn=drawn,
        population=len(approved),
        created_by=actor.id,
    )
    session.add(row)
    session.flush()
    events.record(
        session, actor, "draw", "audit", row.id, project_id=project_id, seed=seed, rows=len(drawn)
    )
    return _result(session, row)


@allowed(Role.LEAD, Role.REVIEWER, Role.EXPERT)
def extend(session: Session, actor: User, project_id: int) -> Result:
    """Draw the rows that are still missing to prove 95 %, beside those already judged.

    The verdicts given so far are carried over, the bad ones too. Going on after a look at the
    result makes the bound a little too hopeful.

    Raises:
        RuleBroken: the audit is not complete, proves enough already, or no row is left to draw.
    """
    before = _latest_row(session, project_id)
    result = None if before is None else _result(session, before)
    if before is None or result is None or not result.complete:
        raise RuleBroken("Judge every row of the present audit before drawing more.")
    if not result.more:
        raise RuleBroken("The present audit needs no more rows to prove 95 %.")
    rest = sorted(set(_approved(session, project_id)) - set(before.drawn))
    if not rest:
        raise RuleBroken("Every approved row has been drawn. There is none left to audit.")
    count = min(result.more, len(rest))
    dice = random.Random(f"{before.seed}:{len(before.drawn)}")  # noqa: S311 - reproducible draw
    row = AuditRow(
        project_id=project_id, seed=before.seed, created_by=actor.id,
        drawn=sorted([*before.drawn, *dice.sample(rest, count)]),
        population=len({*before.drawn, *rest}),
    )  # fmt: skip
    session.add(row)
    session.flush()
    _carry_over(session, before, row)
    events.record(
        session, actor, "extend", "audit", row.id, project_id=project_id, rows=count,
        before=before.id,
    )  # fmt: skip
    return _result(session, row)


def _carry_over(session: Session, before: AuditRow, row: AuditRow) -> None:
    query = select(AuditVerdictRow).where(AuditVerdictRow.audit_id == before.id)
    session.add_all(
        AuditVerdictRow(
            audit_id=row.id, pair_id=one.pair_id, user_id=one.user_id,
            content_sha256=one.content_sha256, good=one.good, note=one.note,
        )
        for one in session.scalars(query).all()
    )  # fmt: skip
    session.flush()


def auditors(session: Session, project_id: int) -> list[User]:
    """The people who may judge at least one of the rows that wait in the audit, by name."""
    audit = _latest_row(session, project_id)
    if audit is None:
        return []
    rows = pairs.listing(session, project_id, ids=_open(session, audit))
    approvers = pairs.approvers(session, [pair.id for pair in rows])
    return [
        user
        for user in people.everyone(session)
        if user.roles & {Role.EXPERT, Role.REVIEWER, Role.LEAD}
        and any(_independent(user, pair, approvers.get(pair.id)) for pair in rows)
    ]


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def next_row(session: Session, actor: User, project_id: int) -> Pair | None:
    """The next drawn row that this person may judge: not approved and not written by them."""
    audit = _latest_row(session, project_id)
    if audit is None:
        return None
    approvers = pairs.approvers(session, audit.drawn)
    for pair_id in _open(session, audit):
        pair = pairs.get(session, pair_id)
        if _independent(actor, pair, approvers.get(pair_id)):
            return pair
    return None


def _independent(actor: User, pair: Pair, approver: int | None) -> bool:
    wrote = pair.origin is Origin.GOLD and pair.author_id == actor.id
    return approver != actor.id and not wrote


def _open(session: Session, audit: AuditRow) -> list[int]:
    query = select(AuditVerdictRow.pair_id).where(AuditVerdictRow.audit_id == audit.id)
    judged = set(session.scalars(query))
    return [pair_id for pair_id in audit.drawn if pair_id not in judged]


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
) -> Result:
    """Judge one drawn row. A bad one goes back to review.

    Raises:
        NotFound: the row is not in the audit, or was judged already.
        RuleBroken: this person approved or wrote it, or it changed since it was shown.
    """
    row = pairs.row_of(session, pair_id)
    audit = _latest_row(session, row.project_id)
    if audit is None or pair_id not in _open(session, audit):
        raise NotFound(f"Pair {pair_id} is not waiting in an audit. Go on with the next row.")
    approver = pairs.approvers(session, [pair_id]).get(pair_id)
    if not _independent(actor, pairs.pair(row), approver):
        raise RuleBroken(f"You approved or wrote pair {pair_id}. Someone else must audit it.")
    if row.version != seen_version:
        raise RuleBroken(f"Pair {pair_id} changed since it was shown. Look at it again.")
    session.add(
        AuditVerdictRow(
            audit_id=audit.id, pair_id=pair_id, user_id=actor.id,
            content_sha256=row.content_sha256, good=good, note=note,
        )
    )  # fmt: skip
    session.flush()
    events.record(
        session, actor, "judge", "pair", pair_id, project_id=row.project_id, audit=audit.id,
        good=good,
    )  # fmt: skip
    if not good and row.status is PairStatus.APPROVED:
        review.send_back(session, actor, row, "Judged bad in the audit")
    return _result(session, audit)


def _latest_row(session: Session, project_id: int) -> AuditRow | None:
    query = select(AuditRow).where(AuditRow.project_id == project_id).order_by(AuditRow.id.desc())
    return session.scalar(query.limit(1))


def latest(session: Session, project_id: int) -> Result | None:
    """The newest audit; None where there was none."""
    row = _latest_row(session, project_id)
    return None if row is None else _result(session, row)


def _result(session: Session, audit: AuditRow) -> Result:
    query = select(AuditVerdictRow.good).where(AuditVerdictRow.audit_id == audit.id)
    verdicts = list(session.scalars(query))
    good = sum(verdicts)
    bad = len(verdicts) - good
    low, high = statistics.wilson(good, len(verdicts))
    return Result(
        audit_id=audit.id,
        seed=audit.seed,
        population=audit.population,
        drawn=len(audit.drawn),
        judged=len(verdicts),
        good=good,
        low=low,
        high=high,
        proven=statistics.proven_share(good, len(verdicts)),
        more=max(0, statistics.rows_to_prove(bad) - len(audit.drawn)),
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
