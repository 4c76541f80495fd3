"""Review: take decisions and undo them; none is lost, doubled or put on another row."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from curation import schema_check
from curation.review import claims, late
from curation.review.ops import Answer, Op, Receipt
from storage import events, leases, pairs, projects
from storage.access import allowed, require
from storage.blank import trim
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import (
    DecisionRow,
    MemberRow,
    PairRow,
)
from storage.types import (
    Action,
    Origin,
    Outcome,
    PairStatus,
    Project,
    Role,
    User,
)


class Reason(StrEnum):
    """Why a pair is rejected, as it is shown and stored; the first is on the key 1, and so on.

    One more line here is a further reason everywhere: the card numbers those it is sent, of which
    nine have a key, and the database keeps any words.
    """

    WRONG_ANSWER = "Wrong answer"
    AMBIGUOUS_INPUT = "Ambiguous input"
    NOT_OUR_POLICY = "Not our policy"
    PERSONAL_DATA = "Personal data"
    DUPLICATE = "Duplicate"
    OTHER = "Other"


_STATUS = {Action.APPROVE: PairStatus.APPROVED, Action.REJECT: PairStatus.REJECTED}


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def decide(session: Session, actor: User, op: Op) -> Receipt:
    """Take one decision exactly once.

    The same op again is answered as before. Only who holds the row may decide it, under the fence
    it was handed out with. If someone else has taken it over, or it changed since it was shown,
    the decision and its text are kept aside for a lead, never dropped and never applied unseen.

    Raises:
        NotFound: there is no such pair.
        NotAllowed: the row is flagged, and the person is no lead.
        RuleBroken: the row is the person's own gold, its output does not fit the schema, or too
            many late decisions of theirs wait for a lead.
    """
    earlier = session.scalar(select(DecisionRow).where(DecisionRow.op == op.op))
    if earlier is not None:
        return _again(session, actor, earlier)
    if op.action is Action.UNDO:
        return _undo(session, actor, op)
    row = pairs.row_of(session, op.row)
    held = claims.holds(session, actor, row, op.fence) and row.status is PairStatus.WAITING
    if not held or row.version != op.version:
        return _late(session, actor, row, op)
    if row.flagged:
        require(session, actor, (Role.LEAD,), "decide a flagged pair")
    return apply(session, actor, row, op)


def refused(session: Session, op: Op, why: str) -> Receipt:
    """The answer to an op that a rule refused, with the row as it stands."""
    row = session.get(PairRow, op.row)
    version, fence = (None, None) if row is None else (row.version, row.fence)
    return Receipt(op.op, Answer.REFUSED, why, version, fence)


def _again(session: Session, actor: User, earlier: DecisionRow) -> Receipt:
    if earlier.user_id != actor.id:
        raise RuleBroken("This decision was made by someone else.")
    row = pairs.row_of(session, earlier.pair_id)
    answer = Answer.LATE if earlier.outcome is Outcome.LATE else Answer.SAVED
    return Receipt(earlier.op, answer, "Already saved.", row.version, row.fence)


def _late(session: Session, actor: User, row: PairRow, op: Op) -> Receipt:
    if not claims.was_handed(session, actor, row.id, op.fence):
        message = f"Pair {row.id} is not in your hands any more, so this was not saved."
        return Receipt(op.op, Answer.CONFLICT, message, row.version, row.fence)
    message = f"Pair {row.id} had moved on."
    if op.action is not Action.SKIP:
        late.check_room(session, actor, row.id)
        _record(session, actor, row, op, row.content_sha256, Outcome.LATE)
        log(session, actor, row, "late", action=op.action, seen=op.version)
        message += " Your decision is kept for a lead to settle."
    return Receipt(op.op, Answer.LATE, message, row.version, row.fence)


def apply(session: Session, actor: User, row: PairRow, op: Op) -> Receipt:
    """Carry out a decision on a row that its maker holds.

    Raises:
        RuleBroken: a rule of approval is broken.
    """
    before = row.content_sha256
    if op.action is Action.SKIP:
        bare = replace(op, prompt=None, response=None, reason=None)
        _record(session, actor, row, bare, before)
        claims.release(session, row)
        return Receipt(op.op, Answer.SAVED, "Skipped.", row.version, row.fence)
    op = replace(op, reason=trim(op.reason or "") or None)
    prompt = row.prompt if op.prompt is None else op.prompt
    response = row.response if op.response is None else op.response
    if op.action is Action.APPROVE:
        check(session, actor, row, prompt, response)
    author = actor if (prompt, response) != (row.prompt, row.response) else None
    pairs.rewrite(session, row, prompt, response, author)
    row.status = _STATUS.get(op.action, row.status)
    row.flagged = op.action is Action.FLAG
    row.reject_reason = op.reason if op.action is Action.REJECT else None
    decision = _record(session, actor, row, op, before)
    row.approval_id = decision.id if op.action is Action.APPROVE else None
    claims.release(session, row)
    log(
        session,
        actor,
        row,
        op.action,
        decision=decision.id,
        before=before,
        after=row.content_sha256,
    )
    return Receipt(op.op, Answer.SAVED, "Saved.", row.version, row.fence)


def _record(
    session: Session,
    actor: User,
    row: PairRow,
    op: Op,
    before: str,
    outcome: Outcome = Outcome.APPLIED,
) -> DecisionRow:
    return pairs.decide(
        session,
        actor,
        row,
        op.action,
        op=op.op,
        before_sha256=before,
        seen_version=op.version,
        fence=op.fence,
        outcome=outcome,
        prompt=op.prompt,
        response=op.response,
        reason=op.reason,
    )


def check(session: Session, actor: User, row: PairRow, prompt: str, response: str) -> None:
    """The rules of approval: words on both sides, not one's own gold, and the schema.

    Raises:
        RuleBroken: one of them is broken.
    """
    if not trim(prompt) or not trim(response):
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


def _undo(session: Session, actor: User, op: Op) -> Receipt:
    """Take back one's own newest decision about a row, by a new event."""
    done = session.scalar(select(DecisionRow).where(DecisionRow.op == op.target))
    if done is None or done.user_id != actor.id or done.action is Action.UNDO:
        raise NotFound("There is no decision of yours to undo here.")
    row = pairs.row_of(session, done.pair_id)
    check_undoable(session, done)
    before = row.content_sha256
    prompt, response = pairs.text_at(session, row.id, done.seen_version)
    pairs.rewrite(session, row, prompt, response, None)  # a skip too: the browser counts on it
    if done.action is not Action.SKIP:
        row.status, row.approval_id, row.reject_reason = PairStatus.WAITING, None, None
        row.flagged = False
    decision = pairs.decide(
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
    claims.give_back(session, actor, row)
    log(session, actor, row, "undo", decision=decision.id, undone=done.id)
    return Receipt(op.op, Answer.SAVED, "Undone.", row.version, row.fence)


def check_undoable(session: Session, done: DecisionRow) -> None:
    """Let a decision be taken back only while it is the row's newest and nothing rests on it.

    Raises:
        RuleBroken: it was decided again, is part of a version, or someone else holds the row.
    """
    obstacle = undo_obstacles(session, [done]).get(done.id)
    if obstacle is not None:
        raise RuleBroken(obstacle)


def undo_obstacles(session: Session, decisions: Sequence[DecisionRow]) -> dict[int, str]:
    """Why each of these decisions cannot be taken back; those that can are left out."""
    rows = [done.pair_id for done in decisions]
    newest = dict(
        session.execute(
            select(DecisionRow.pair_id, func.max(DecisionRow.id))
            .where(DecisionRow.pair_id.in_(rows), DecisionRow.outcome == Outcome.APPLIED)
            .group_by(DecisionRow.pair_id)
        ).all()
    )
    frozen = set(session.scalars(select(MemberRow.pair_id).where(MemberRow.pair_id.in_(rows))))
    holders = leases.holders(session, rows)
    obstacles = {}
    for done in decisions:
        if newest.get(done.pair_id) != done.id:
            why = f"Pair {done.pair_id} was decided again since. Open it from Browse instead."
        elif done.pair_id in frozen:
            why = f"Pair {done.pair_id} is part of a frozen version. Reopen it from Browse."
        elif holders.get(done.pair_id, done.user_id) != done.user_id:
            why = f"Someone else is looking at pair {done.pair_id} now."
        else:
            continue
        obstacles[done.id] = why
    return obstacles


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def reopen(session: Session, actor: User, pair_id: int, seen_version: int, reason: str) -> None:
    """Send a decided row back to review.

    Raises:
        BadInput: no reason was given.
        RuleBroken: it is waiting already, or it changed since it was shown.
    """
    if not trim(reason):
        raise BadInput("Say in a few words why this pair goes back to review.")
    row = pairs.row_of(session, pair_id)
    if row.status is PairStatus.WAITING and not row.flagged:
        raise RuleBroken(f"Pair {pair_id} is already waiting for review.")
    if row.version != seen_version:
        raise RuleBroken(f"Pair {pair_id} changed since it was shown. Look at it again.")
    send_back(session, actor, row, trim(reason))


def send_back(session: Session, actor: User, row: PairRow, reason: str) -> None:
    """The reopening itself, for verbs that have checked their own rules (audit, duplicates)."""
    _set(session, actor, row, Action.REOPEN, PairStatus.WAITING, reason)


def reject(session: Session, actor: User, row: PairRow, reason: str) -> None:
    """Reject a row outside the review stream, for verbs that have checked their own rules."""
    _set(session, actor, row, Action.REJECT, PairStatus.REJECTED, reason)


def _set(
    session: Session, actor: User, row: PairRow, action: Action, status: PairStatus, reason: str
) -> None:
    """Move a row outside the stream; the fence rises, so a decision in someone's hand is late."""
    before, version = row.content_sha256, row.version
    pairs.rewrite(session, row, row.prompt, row.response, None)
    row.status, row.approval_id, row.flagged = status, None, False
    row.reject_reason = reason if status is PairStatus.REJECTED else None
    row.fence += 1
    claims.release(session, row)
    decision = pairs.decide(
        session,
        actor,
        row,
        action,
        op=f"{action}-{row.id}-{row.version}",
        before_sha256=before,
        seen_version=version,
        reason=reason,
    )
    log(session, actor, row, action, decision=decision.id)


def log(session: Session, actor: User, row: PairRow, verb: str, **detail: object) -> None:
    """Record what happened to a row: ids and hashes, never its text."""
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
