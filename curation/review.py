"""Review: lease cards, take decisions, undo them; none is lost, doubled or put on another row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from curation import schema_check
from curation.ops import Answer, Op, Receipt
from storage import events, pairs, projects
from storage.access import allowed
from storage.errors import AssayError, BadInput, NotFound, RuleBroken
from storage.tables import (
    ClaimRow,
    DecisionRow,
    EraRow,
    MemberRow,
    PairRow,
    ProjectRow,
    ResolutionRow,
)
from storage.types import (
    Action,
    Card,
    Decision,
    Origin,
    Outcome,
    PairStatus,
    Project,
    Role,
    User,
)

LEASE = timedelta(minutes=15)
REASONS = (
    "Wrong answer",
    "Ambiguous input",
    "Not our policy",
    "Personal data",
    "Duplicate",
    "Other",
)
"""Offered for a rejection, on the keys 1 to 6."""

_STATUS = {Action.APPROVE: PairStatus.APPROVED, Action.REJECT: PairStatus.REJECTED}


@dataclass(frozen=True, slots=True)
class Recent:
    """One of a person's last decisions, as the right rail shows it."""

    op: str
    pair_id: int
    action: Action
    title: str
    undoable: bool
    version: int
    fence: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The figures above the card."""

    waiting: int
    approved: int
    decided_today: int
    median_s: float | None
    """Median seconds between this person's decisions today, pauses over 10 minutes left out."""


def _now() -> datetime:
    return datetime.now(UTC)


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def lease(
    session: Session,
    actor: User,
    project_id: int,
    have: Sequence[int] = (),
    limit: int = 20,
    now: datetime | None = None,
) -> list[Card]:
    """Cards for one person: renew what they hold, then claim more, up to `limit` in all.

    A row is held by one person at a time. Rows in `have` are renewed, not sent again. A person's
    own gold rows are left out where the project asks for two people; rows they skipped come last,
    as do flagged rows, which only leads get. `now` is for tests.
    """
    now = now or _now()
    project = projects.get(session, project_id)
    mine = _renew(session, actor, project_id, now)
    room = max(0, limit - len(mine))
    fresh = _claim(session, actor, project, room, now) if room else []
    wanted = [row for row in mine if row.id not in set(have)] + fresh
    return cards(session, wanted)


def _renew(session: Session, actor: User, project_id: int, now: datetime) -> list[PairRow]:
    query = (
        select(PairRow, ClaimRow)
        .join(ClaimRow, ClaimRow.pair_id == PairRow.id)
        .where(ClaimRow.user_id == actor.id, PairRow.project_id == project_id)
        .order_by(PairRow.id)
    )
    held = []
    for row, claim in session.execute(query).all():
        if row.status is PairStatus.WAITING:
            claim.lease_until = now + LEASE
            held.append(row)
        else:
            session.delete(claim)
    return held


def _claim(
    session: Session, actor: User, project: Project, room: int, now: datetime
) -> list[PairRow]:
    taken = exists().where(
        ClaimRow.pair_id == PairRow.id, ClaimRow.user_id != actor.id, ClaimRow.lease_until > now
    )
    skipped = exists().where(
        DecisionRow.pair_id == PairRow.id,
        DecisionRow.user_id == actor.id,
        DecisionRow.action == Action.SKIP,
        DecisionRow.seen_version == PairRow.version,
    )
    mine = exists().where(ClaimRow.pair_id == PairRow.id, ClaimRow.user_id == actor.id)
    query = (
        select(PairRow)
        .where(
            PairRow.project_id == project.id,
            PairRow.status == PairStatus.WAITING,
            ~taken,
            ~mine,
            *_may_review(actor, project),
        )
        .order_by(case((or_(skipped, PairRow.flagged), 1), else_=0), PairRow.id)
        .limit(room)
    )
    rows = list(session.scalars(query))
    for row in rows:
        _take(session, actor, row, now)
    session.flush()
    return rows


def _may_review(actor: User, project: Project) -> list[ColumnElement[bool]]:
    rules: list[ColumnElement[bool]] = []
    if project.two_people:
        own = and_(PairRow.origin == Origin.GOLD, PairRow.author_id == actor.id)
        rules.append(or_(PairRow.author_id.is_(None), ~own))
    if Role.LEAD not in actor.roles:
        rules.append(PairRow.flagged.is_(False))
    return rules


def _take(session: Session, actor: User, row: PairRow, now: datetime) -> ClaimRow:
    """Give the row to a person; the fence rises, so a decision of the holder before is late."""
    row.fence += 1
    claim = session.get(ClaimRow, row.id)
    if claim is None:
        claim = ClaimRow(pair_id=row.id)
        session.add(claim)
    claim.user_id, claim.fence, claim.lease_until = actor.id, row.fence, now + LEASE
    return claim


def cards(session: Session, rows: Sequence[PairRow]) -> list[Card]:
    """The rows as cards, with the words they arrived with and their era."""
    ids = [row.id for row in rows]
    first = pairs.first_texts(session, ids)
    claims = {
        claim.pair_id: claim
        for claim in session.scalars(select(ClaimRow).where(ClaimRow.pair_id.in_(ids)))
    }
    named = {era.id: era.name for era in session.scalars(select(EraRow))}
    return [
        Card(
            pair=pairs.pair(row),
            fence=row.fence,
            lease_until=claims[row.id].lease_until,
            draft_prompt=first[row.id][0],
            draft_response=first[row.id][1],
            era=named.get(row.era_id) if row.era_id is not None else None,
        )
        for row in rows
    ]


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def decide(session: Session, actor: User, op: Op) -> Receipt:
    """Take one decision exactly once.

    The same op again is answered as before. If someone else has taken the row over, or it changed
    since it was shown, the decision and its words are kept aside for a lead, never dropped and
    never applied unseen.

    Raises:
        NotFound: there is no such pair.
        RuleBroken: the row is the person's own gold, or its output does not fit the schema.
    """
    known = session.scalar(select(DecisionRow).where(DecisionRow.op == op.op))
    if known is not None:
        return _again(session, actor, known)
    if op.action is Action.UNDO:
        return _undo(session, actor, op)
    row = pairs.row_of(session, op.row)
    if row.fence != op.fence or row.version != op.version or row.status is not PairStatus.WAITING:
        return _late(session, actor, row, op)
    return _apply(session, actor, row, op)


def refused(session: Session, op: Op, why: str) -> Receipt:
    """The answer to an op that a rule refused, with the row as it stands."""
    row = session.get(PairRow, op.row)
    version, fence = (None, None) if row is None else (row.version, row.fence)
    return Receipt(op.op, Answer.REFUSED, why, version, fence)


def _again(session: Session, actor: User, known: DecisionRow) -> Receipt:
    if known.user_id != actor.id:
        raise RuleBroken("This decision was made by someone else.")
    row = pairs.row_of(session, known.pair_id)
    answer = Answer.LATE if known.outcome is Outcome.LATE else Answer.SAVED
    return Receipt(known.op, answer, "Already saved.", row.version, row.fence)


def _late(session: Session, actor: User, row: PairRow, op: Op) -> Receipt:
    pairs.decide(
        session,
        actor,
        row,
        op.action,
        op=op.op,
        before_sha256=row.content_sha256,
        seen_version=op.version,
        fence=op.fence,
        outcome=Outcome.LATE,
        prompt=op.prompt,
        response=op.response,
        reason=op.reason,
    )
    _log(session, actor, row, "late", action=op.action, seen=op.version)
    message = f"Pair {row.id} had moved on. Your decision is kept for a lead to settle."
    return Receipt(op.op, Answer.LATE, message, row.version, row.fence)


def _apply(session: Session, actor: User, row: PairRow, op: Op) -> Receipt:
    before = row.content_sha256
    if op.action is Action.SKIP:
        pairs.decide(
            session,
            actor,
            row,
            op.action,
            op=op.op,
            before_sha256=before,
            seen_version=op.version,
            fence=op.fence,
        )
        _release(session, row)
        return Receipt(op.op, Answer.SAVED, "Skipped.", row.version, row.fence)
    prompt = row.prompt if op.prompt is None else op.prompt
    response = row.response if op.response is None else op.response
    if op.action is Action.APPROVE:
        check(session, actor, row, prompt, response)
    author = actor if (prompt, response) != (row.prompt, row.response) else None
    pairs.rewrite(session, row, prompt, response, author)
    row.status = _STATUS.get(op.action, row.status)
    row.flagged = op.action is Action.FLAG
    row.reject_reason = op.reason if op.action is Action.REJECT else None
    made = pairs.decide(
        session,
        actor,
        row,
        op.action,
        op=op.op,
        before_sha256=before,
        seen_version=op.version,
        fence=op.fence,
        prompt=op.prompt,
        response=op.response,
        reason=op.reason,
    )
    row.approval_id = made.id if op.action is Action.APPROVE else None
    _release(session, row)
    _log(session, actor, row, op.action, decision=made.id, before=before, after=row.content_sha256)
    return Receipt(op.op, Answer.SAVED, "Saved.", row.version, row.fence)


def check(session: Session, actor: User, row: PairRow, prompt: str, response: str) -> None:
    """The rules of approval: words on both sides, not one's own gold, and the schema.

    Raises:
        RuleBroken: one of them is broken.
    """
    if not prompt.strip() or not response.strip():
        raise RuleBroken(f"Pair {row.id} needs words on both sides. Fill in the empty one.")
    project = projects.get(session, row.project_id)
    if project.two_people and row.origin is Origin.GOLD and row.author_id == actor.id:
        raise RuleBroken(f"You wrote pair {row.id}. Ask another reviewer to approve it.")
    wrong = problems(project, response)
    if wrong:
        raise RuleBroken(f"The output of pair {row.id} does not fit the schema: {wrong[0]}")


def problems(project: Project, response: str) -> tuple[str, ...]:
    """Why an output does not fit the project's schema; nothing where there is no schema."""
    if project.output_schema is None:
        return ()
    return schema_check.problems(response, project.output_schema)


def _release(session: Session, row: PairRow) -> None:
    claim = session.get(ClaimRow, row.id)
    if claim is not None:
        session.delete(claim)
    session.flush()


def _undo(session: Session, actor: User, op: Op) -> Receipt:
    """Take back one's own newest decision about a row, by a new event."""
    done = session.scalar(select(DecisionRow).where(DecisionRow.op == op.target))
    if done is None or done.user_id != actor.id or done.action is Action.UNDO:
        raise NotFound("There is no decision of yours to undo here.")
    row = pairs.row_of(session, done.pair_id)
    _undoable(session, row, done)
    before = row.content_sha256
    prompt, response = pairs.text_at(session, row.id, done.seen_version)
    pairs.rewrite(session, row, prompt, response, None)  # a skip too: the browser counts on it
    if done.action is not Action.SKIP:
        row.status, row.approval_id, row.reject_reason = PairStatus.WAITING, None, None
        row.flagged = False
    made = pairs.decide(
        session,
        actor,
        row,
        Action.UNDO,
        op=op.op,
        before_sha256=before,
        seen_version=op.version,
        fence=row.fence,
        supersedes_id=done.id,
    )
    _reclaim(session, actor, row)
    _log(session, actor, row, "undo", decision=made.id, undone=done.id)
    return Receipt(op.op, Answer.SAVED, "Undone.", row.version, row.fence)


def _undoable(session: Session, row: PairRow, done: DecisionRow) -> None:
    newest = session.scalar(
        select(DecisionRow)
        .where(DecisionRow.pair_id == row.id, DecisionRow.outcome == Outcome.APPLIED)
        .order_by(DecisionRow.id.desc())
        .limit(1)
    )
    if newest is None or newest.id != done.id:
        raise RuleBroken(f"Pair {row.id} was decided again since. Open it from Browse instead.")
    if session.scalar(select(MemberRow.pair_id).where(MemberRow.pair_id == row.id).limit(1)):
        raise RuleBroken(f"Pair {row.id} is part of a frozen version. Reopen it from Browse.")
    holder = session.get(ClaimRow, row.id)
    if holder is not None and holder.user_id != done.user_id and holder.lease_until > _now():
        raise RuleBroken(f"Someone else is looking at pair {row.id} now.")


def _reclaim(session: Session, actor: User, row: PairRow) -> None:
    """Hand the row back under the same fence, so that the browser can show it at once."""
    claim = session.get(ClaimRow, row.id)
    if claim is None:
        claim = ClaimRow(pair_id=row.id)
        session.add(claim)
    claim.user_id, claim.fence, claim.lease_until = actor.id, row.fence, _now() + LEASE
    session.flush()


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def reopen(session: Session, actor: User, pair_id: int, seen_version: int, reason: str) -> None:
    """Send a decided row back to review.

    Raises:
        BadInput: no reason was given.
        RuleBroken: it is waiting already, or it changed since it was shown.
    """
    if not reason.strip():
        raise BadInput("Say in a few words why this row goes back to review.")
    row = pairs.row_of(session, pair_id)
    if row.status is PairStatus.WAITING and not row.flagged:
        raise RuleBroken(f"Pair {pair_id} is already waiting for review.")
    if row.version != seen_version:
        raise RuleBroken(f"Pair {pair_id} changed since it was shown. Look at it again.")
    send_back(session, actor, row, reason.strip())


def send_back(session: Session, actor: User, row: PairRow, reason: str) -> None:
    """The reopening itself, for verbs that have checked their own rules (audit, duplicates)."""
    before, seen = row.content_sha256, row.version
    pairs.rewrite(session, row, row.prompt, row.response, None)
    row.status, row.approval_id, row.reject_reason = PairStatus.WAITING, None, None
    row.flagged = False
    row.fence += 1
    _release(session, row)
    made = pairs.decide(
        session,
        actor,
        row,
        Action.REOPEN,
        op=f"reopen-{row.id}-{row.version}",
        before_sha256=before,
        seen_version=seen,
        reason=reason,
    )
    _log(session, actor, row, "reopen", decision=made.id)


def reject(session: Session, actor: User, row: PairRow, reason: str) -> None:
    """Reject a row outside the review stream, for verbs that have checked their own rules."""
    before, seen = row.content_sha256, row.version
    pairs.rewrite(session, row, row.prompt, row.response, None)
    row.status, row.approval_id, row.reject_reason = PairStatus.REJECTED, None, reason
    row.flagged = False
    row.fence += 1
    _release(session, row)
    made = pairs.decide(
        session,
        actor,
        row,
        Action.REJECT,
        op=f"reject-{row.id}-{row.version}",
        before_sha256=before,
        seen_version=seen,
        reason=reason,
    )
    _log(session, actor, row, "reject", decision=made.id)


def _log(session: Session, actor: User, row: PairRow, verb: str, **detail: object) -> None:
    events.record(
        session,
        actor,
        str(verb),
        "pair",
        row.id,
        project_id=row.project_id,
        version=row.version,
        **detail,
    )


def late(session: Session, project_id: int) -> list[Decision]:
    """Decisions that came after the row had moved on and that no lead has settled yet.

    A late skip decides nothing, so it is not among them.
    """
    query = (
        select(DecisionRow)
        .join(PairRow, PairRow.id == DecisionRow.pair_id)
        .outerjoin(ResolutionRow, ResolutionRow.decision_id == DecisionRow.id)
        .where(
            PairRow.project_id == project_id,
            DecisionRow.outcome == Outcome.LATE,
            DecisionRow.action != Action.SKIP,
            ResolutionRow.decision_id.is_(None),
        )
        .order_by(DecisionRow.id)
    )
    return [pairs.decision(row) for row in session.scalars(query)]


@allowed(Role.LEAD)
def settle(
    session: Session, actor: User, decision_id: int, *, take: bool, seen_version: int | None = None
) -> None:
    """Take a late decision over the row as it stands, or keep the row as it is.

    Taking an approval makes the lead its approver: they saw both texts.

    Raises:
        RuleBroken: it was settled already, or the row changed since it was shown.
    """
    kept = session.get(DecisionRow, decision_id)
    if kept is None or kept.outcome is not Outcome.LATE:
        raise NotFound(f"There is no late decision {decision_id}.")
    if session.get(ResolutionRow, decision_id) is not None:
        raise RuleBroken("This late decision was settled already.")
    row = pairs.row_of(session, kept.pair_id)
    if take and seen_version is not None and row.version != seen_version:
        raise RuleBroken(f"Pair {row.id} changed since it was shown. Look at it again.")
    session.add(
        ResolutionRow(decision_id=decision_id, user_id=actor.id, choice="take" if take else "keep")
    )
    _log(session, actor, row, "settle", decision=decision_id, take=take)
    if take:
        _take_over(session, actor, row, kept)


def _take_over(session: Session, actor: User, row: PairRow, kept: DecisionRow) -> None:
    if row.status is not PairStatus.WAITING:
        send_back(session, actor, row, "late decision taken")
    _take(session, actor, row, _now())
    session.flush()
    op = Op(
        op=f"settle-{kept.id}",
        row=row.id,
        version=row.version,
        fence=row.fence,
        action=kept.action,
        prompt=kept.prompt,
        response=kept.response,
        reason=kept.reason,
        target=None,
    )
    _apply(session, actor, row, op)


def recent(session: Session, actor: User, project_id: int, limit: int = 10) -> list[Recent]:
    """A person's last decisions, newest first, without those taken back."""
    undo = aliased(DecisionRow)
    query = (
        select(DecisionRow, PairRow)
        .join(PairRow, PairRow.id == DecisionRow.pair_id)
        .where(
            PairRow.project_id == project_id,
            DecisionRow.user_id == actor.id,
            DecisionRow.outcome == Outcome.APPLIED,
            DecisionRow.action.in_([Action.APPROVE, Action.REJECT, Action.FLAG, Action.SKIP]),
            ~exists().where(undo.supersedes_id == DecisionRow.id),
        )
        .order_by(DecisionRow.id.desc())
        .limit(limit)
    )
    return [_recent(session, done, row) for done, row in session.execute(query).all()]


def _recent(session: Session, done: DecisionRow, row: PairRow) -> Recent:
    try:
        _undoable(session, row, done)
        undoable = True
    except AssayError:
        undoable = False
    title = row.prompt[:60]
    return Recent(done.op, row.id, done.action, title, undoable, row.version, row.fence)


def progress(session: Session, actor: User, project_id: int) -> Progress:
    """The figures above the card: the project's queue and the person's own pace."""
    stands = pairs.counts(session, project_id)
    today = _now().replace(hour=0, minute=0, second=0, microsecond=0)
    query = (
        select(DecisionRow.created_at)
        .join(PairRow, PairRow.id == DecisionRow.pair_id)
        .where(
            PairRow.project_id == project_id,
            DecisionRow.user_id == actor.id,
            DecisionRow.created_at >= today,
            DecisionRow.action.in_([Action.APPROVE, Action.REJECT]),
        )
        .order_by(DecisionRow.id)
    )
    moments = list(session.scalars(query))
    gaps = [(b - a).total_seconds() for a, b in pairwise(moments)]
    worked = [gap for gap in gaps if gap <= 600]
    return Progress(
        waiting=stands[PairStatus.WAITING],
        approved=stands[PairStatus.APPROVED],
        decided_today=len(moments),
        median_s=median(worked) if worked else None,
    )


def held_by_others(session: Session, actor: User, project_id: int) -> int:
    """How many waiting rows other people are looking at now."""
    query = (
        select(func.count())
        .select_from(ClaimRow)
        .join(PairRow, PairRow.id == ClaimRow.pair_id)
        .where(
            PairRow.project_id == project_id,
            ClaimRow.user_id != actor.id,
            ClaimRow.lease_until > _now(),
        )
    )
    return session.scalar(query) or 0


def needs_two_people(session: Session, project_id: int) -> bool:
    """Whether gold rows need someone else's approval here."""
    row = session.get(ProjectRow, project_id)
    return bool(row and row.two_people)
