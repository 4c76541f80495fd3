"""Sealed blind trials: frozen answers, sides drawn per reviewer and item, votes, and the verdict.

While a trial is open nothing here tells which side is which: reviewers get opaque items with a
left and a right text, and nobody, lead included, gets a running score. Whether reviewers really
could not tell is not measured here.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from curation import statistics
from curation.review.ops import Answer, BallotOp, Receipt
from curation.versions import archive
from storage import events, pairs, people
from storage.access import allowed, beforehand
from storage.blank import trim
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import (
    OutputRow,
    TrialCloseRow,
    TrialItemRow,
    TrialRow,
    VoteRow,
)
from storage.types import Arm, Ballot, Choice, Output, Role, Trial, User, VersionRow
from storage.values import value_of
from training.proving import comparisons
from training.proving.verdicts import TrialResult, judge, mac, sum_tallies, tally, tuned_left

QUESTION = "Which answer would you rather have sent?"


def _trial(session: Session, row: TrialRow) -> Trial:
    closed = session.get(TrialCloseRow, row.id)
    return value_of(Trial, row, closed_at=closed.created_at if closed else None)


def _row(session: Session, trial_id: int) -> TrialRow:
    row = session.get(TrialRow, trial_id)
    if row is None:
        raise NotFound(f"There is no trial {trial_id}.")
    return row


def get(session: Session, trial_id: int) -> Trial:
    """One trial."""
    return _trial(session, _row(session, trial_id))


def listing(session: Session, project_id: int) -> list[Trial]:
    """The trials of a project, newest first."""
    query = select(TrialRow).where(TrialRow.project_id == project_id).order_by(TrialRow.id.desc())
    return [_trial(session, row) for row in session.scalars(query)]


def sealed(session: Session, evaluation_id: int) -> bool:
    """Whether messages of this evaluation are being judged blind now, so nobody may see its arms.

    It counts by message, not by evaluation: another run of the same models gives the same answers.
    """
    query = (
        select(TrialItemRow.id)
        .join(OutputRow, OutputRow.pair_id == TrialItemRow.pair_id)
        .outerjoin(TrialCloseRow, TrialCloseRow.trial_id == TrialItemRow.trial_id)
        .where(OutputRow.evaluation_id == evaluation_id, TrialCloseRow.trial_id.is_(None))
    )
    return session.scalar(query.limit(1)) is not None


def going(session: Session, project_id: int) -> bool:
    """Whether a blind trial is open in a project."""
    query = (
        select(TrialRow.id)
        .outerjoin(TrialCloseRow, TrialCloseRow.trial_id == TrialRow.id)
        .where(TrialRow.project_id == project_id, TrialCloseRow.trial_id.is_(None))
    )
    return session.scalar(query.limit(1)) is not None


def opened(session: Session, evaluation_id: int) -> dict[int, dict[Arm, Output]]:
    """The frozen answers by held-out pair and arm, for whoever compares them.

    Raises:
        RuleBroken: a blind trial on these answers is open.
    """
    if sealed(session, evaluation_id):
        raise RuleBroken(
            "A blind trial on these answers is open, so they are sealed for everyone. "
            "They can be compared once a lead has closed it."
        )
    return comparisons.outputs(session, evaluation_id)


def _compared_proven(
    session: Session, _actor: User, evaluation_id: int, *_: object, **__: object
) -> AbstractContextManager[None]:
    version_id = comparisons.get(session, evaluation_id).version_id
    return archive.trusting(archive.prove(session, [version_id]))


@beforehand(_compared_proven)
@allowed(Role.LEAD)
def plan(
    session: Session,
    actor: User,
    evaluation_id: int,
    planned: int,
    question: str = QUESTION,
    reviewers: Sequence[str] = (),
) -> Trial:
    """Register and open a trial of `planned` items drawn from an evaluation's frozen answers.

    Question, items, n, tie rule and stopping rule are fixed and hashed before the first vote.

    Raises:
        RuleBroken: the evaluation has no tuned answers, or too few rows, or is on trial already.
        BadInput: no question.
    """
    comparison = comparisons.get(session, evaluation_id)
    answers = comparisons.outputs(session, evaluation_id)
    both = sorted(pair_id for pair_id, arms in answers.items() if len(arms) == len(Arm))
    if not both:
        raise RuleBroken("This comparison has no tuned answers. Compare an adapter first.")
    if not 1 <= planned <= len(both):
        raise RuleBroken(f"Plan 1 to {len(both)} items: so many held-out pairs were answered.")
    if sealed(session, evaluation_id):
        raise RuleBroken("These inputs are on trial already. Close that trial first.")
    if not trim(question):
        raise BadInput("A trial needs the question that reviewers answer.")
    secret = secrets.token_hex(32)
    drawn = sorted(both, key=lambda pair_id: mac(secret, "draw", str(pair_id)))[:planned]
    registration = _registration(session, comparison, answers, drawn, question, reviewers)
    row = TrialRow(
        project_id=comparison.project_id,
        evaluation_id=evaluation_id,
        planned=planned,
        question=trim(question),
        secret=secret,
        commitment=hashlib.sha256(secret.encode()).hexdigest(),
        registration=registration,
        created_by=actor.id,
    )
    session.add(row)
    session.flush()
    session.add_all(
        TrialItemRow(id=secrets.token_hex(8), trial_id=row.id, position=i, pair_id=pair_id)
        for i, pair_id in enumerate(drawn)
    )
    session.flush()
    events.record(
        session,
        actor,
        "plan",
        "trial",
        row.id,
        project_id=row.project_id,
        planned=planned,
        commitment=row.commitment,
        registration=registration["sha256"],
    )
    return _trial(session, row)


def _registration(
    session: Session,
    comparison: Any,  # noqa: ANN401 - storage.types.Evaluation; kept short
    answers: Mapping[int, Mapping[Arm, Any]],
    drawn: Sequence[int],
    question: str,
    reviewers: Sequence[str],
) -> dict[str, Any]:
    version = archive.verify(session, comparison.version_id)
    body: dict[str, Any] = {
        "question": trim(question),
        "planned": len(drawn),
        "reviewers": list(reviewers),
        "version_sha256": version.sha256,
        "answers_sha256": hashlib.sha256(
            "".join(answers[i][arm].sha256 for i in sorted(drawn) for arm in Arm).encode()
        ).hexdigest(),
        "primary": "share of decisive votes for the tuned model, exact two-sided sign test, 5 %",
        "ties": "left out of the test, always reported",
        "stopping": "fixed n: closed by a lead; nobody sees a score before",
    }
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {**body, "sha256": hashlib.sha256(canonical.encode()).hexdigest()}


def _items(session: Session, trial_id: int) -> list[TrialItemRow]:
    query = select(TrialItemRow).where(TrialItemRow.trial_id == trial_id)
    return list(session.scalars(query.order_by(TrialItemRow.position)))


def _standing(session: Session, trial_id: int, user_id: int | None = None) -> list[VoteRow]:
    """Votes that were not taken back."""
    query = select(VoteRow).where(VoteRow.trial_id == trial_id).order_by(VoteRow.id)
    if user_id is not None:
        query = query.where(VoteRow.user_id == user_id)
    votes = list(session.scalars(query))
    gone = {vote.supersedes_id for vote in votes}
    return [v for v in votes if v.id not in gone and v.choice is not Choice.WITHDRAWN]


@allowed(Role.REVIEWER, Role.EXPERT, Role.LEAD)
def ballots(
    session: Session, actor: User, trial_id: int, have: Sequence[str] = (), limit: int = 20
) -> list[Ballot]:
    """The next items for one reviewer in their own random order, without those in `have`.

    Raises:
        RuleBroken: the trial is closed.
    """
    row = _row(session, trial_id)
    _refuse_closed(session, row)
    items = _items(session, trial_id)
    left = tuned_left(row.secret, [item.id for item in items], actor.id)
    done = {vote.item_id for vote in _standing(session, trial_id, actor.id)}
    ordered = sorted(items, key=lambda item: mac(row.secret, "order", str(actor.id), item.id))
    answers = comparisons.outputs(session, row.evaluation_id)
    open_items = [item for item in ordered if item.id not in done and item.id not in set(have)]
    next_items = open_items[:limit]
    inputs = _frozen_inputs(session, row, [item.pair_id for item in next_items])
    drawn = []
    for item in next_items:
        tuned, base = (_trimmed(answers[item.pair_id][arm].text) for arm in (Arm.TUNED, Arm.BASE))
        first, second = (tuned, base) if item.id in left else (base, tuned)
        drawn.append(
            Ballot(
                item=item.id,
                prompt=inputs[item.pair_id].prompt,
                left=first,
                right=second,
                position=ordered.index(item) + 1,
                planned=row.planned,
            )
        )
    return drawn


def _frozen_inputs(
    session: Session, row: TrialRow, pair_ids: Sequence[int]
) -> dict[int, VersionRow]:
    """The messages as they were frozen and answered, whatever became of the rows since."""
    comparison = comparisons.get(session, row.evaluation_id)
    return archive.texts(session, comparison.version_id, pair_ids)


def _trimmed(text: str) -> str:
    """An answer as both sides show it: outer white space would give the model away."""
    return text.strip()


def _refuse_closed(session: Session, row: TrialRow) -> None:
    if session.get(TrialCloseRow, row.id) is not None:
        raise RuleBroken("This trial is closed. Its result stands on the Blind page.")


@allowed(Role.REVIEWER, Role.EXPERT, Role.LEAD)
def vote(session: Session, actor: User, trial_id: int, op: BallotOp) -> Receipt:
    """Take one vote exactly once; a withdrawal is a vote of its own.

    Raises:
        RuleBroken: the trial is closed, or this item was voted on already.
        NotFound: the item or the vote to take back is not there.
    """
    earlier = session.scalar(select(VoteRow).where(VoteRow.op == op.op))
    if earlier is not None and (earlier.user_id, earlier.trial_id) != (actor.id, trial_id):
        raise RuleBroken("This vote was cast by someone else, or in another trial.")
    if earlier is not None:
        return Receipt(op.op, Answer.SAVED, "Already saved.", None, None)
    row = _row(session, trial_id)
    _refuse_closed(session, row)
    item = session.get(TrialItemRow, op.item)
    if item is None or item.trial_id != trial_id:
        raise NotFound("This item is not part of the trial.")
    standing = {v.item_id: v for v in _standing(session, trial_id, actor.id)}
    supersedes = None
    if op.choice is Choice.WITHDRAWN:
        if op.item not in standing or standing[op.item].op != op.target:
            raise NotFound("There is no vote of yours to take back here.")
        supersedes = standing[op.item].id
    elif op.item in standing:
        raise RuleBroken("You have voted on this item. Take that vote back first.")
    vote_row = VoteRow(
        op=op.op,
        trial_id=trial_id,
        item_id=op.item,
        user_id=actor.id,
        choice=op.choice,
        supersedes_id=supersedes,
    )
    session.add(vote_row)
    session.flush()
    events.record(
        session, actor, "vote", "trial", trial_id, project_id=row.project_id, vote=vote_row.id
    )
    return Receipt(op.op, Answer.SAVED, "Saved.", None, None)


def voted(session: Session, trial_id: int, user_id: int) -> int:
    """How many items a reviewer has voted on; the only figure shown while a trial is open."""
    return len(_standing(session, trial_id, user_id))


def turnout(session: Session, trial_id: int) -> dict[str, int]:
    """Votes cast by name: how far each reviewer is, never for which side."""
    names = people.names(session)
    cast: dict[str, int] = {}
    for standing in _standing(session, trial_id):
        name = names.get(standing.user_id, "someone")
        cast[name] = cast.get(name, 0) + 1
    return cast


@allowed(Role.LEAD)
def close(session: Session, actor: User, trial_id: int) -> TrialResult:
    """Close a trial for good and reveal the sides.

    Raises:
        RuleBroken: it is closed already, or nobody has voted on every planned item.
    """
    row = _row(session, trial_id)
    _refuse_closed(session, row)
    cast = turnout(session, trial_id)
    if not cast or max(cast.values()) < row.planned:
        raise RuleBroken(
            f"The trial was registered with {row.planned} items; no reviewer has judged them all. "
            "Closing earlier would let the score choose the sample."
        )
    session.add(TrialCloseRow(trial_id=trial_id, user_id=actor.id))
    try:
        session.flush()
    except IntegrityError as error:
        raise RuleBroken("This trial is closed already.") from error
    outcome = result(session, trial_id)
    events.record(
        session,
        actor,
        "close",
        "trial",
        trial_id,
        project_id=row.project_id,
        votes=outcome.total.n,
        verdict=outcome.verdict,
    )
    return outcome


def result(session: Session, trial_id: int) -> TrialResult:
    """The verdict of a closed trial, recomputed from its votes and its secret.

    Raises:
        RuleBroken: the trial is open; nobody sees a score before it is closed.
    """
    row = _row(session, trial_id)
    if session.get(TrialCloseRow, trial_id) is None:
        raise RuleBroken("The trial is open. Scores are shown once a lead has closed it.")
    votes = _standing(session, trial_id)
    items = [item.id for item in _items(session, trial_id)]
    sides = {user: tuned_left(row.secret, items, user) for user in {v.user_id for v in votes}}
    names = people.names(session)
    reviewers = tuple(
        tally(names.get(user, "someone"), [v for v in votes if v.user_id == user], left)
        for user, left in sorted(sides.items())
    )
    total = sum_tallies(reviewers)
    low, high = statistics.wilson(total.tuned, total.decisive)
    p_value = statistics.sign_test(total.tuned, total.base)
    verdict, why = judge(total, len(reviewers), p_value)
    on_left = sum(v.item_id in sides[v.user_id] for v in votes)
    return TrialResult(
        total=total,
        reviewers=reviewers,
        win_low=low,
        win_high=high,
        p_value=p_value,
        verdict=verdict,
        why=why,
        secret=row.secret,
        familiar=_familiar(session, trial_id, votes),
        left_tuned=on_left / len(votes) if votes else 0.0,
        left_presses=sum(v.choice is Choice.LEFT for v in votes),
    )


def ledger(session: Session, trial_id: int) -> dict[str, Any]:
    """Everything by which anyone can recompute the sides and the score of a closed trial.

    Ids and choices only, no texts. The rule: for reviewer r, order the items by
    HMAC-SHA256(secret, "side" U+001F r U+001F item); the tuned answer stood left in the first half
    (of an odd number: with the middle one where HMAC-SHA256(secret, "odd" U+001F r) is odd).

    Raises:
        RuleBroken: the trial is open.
    """
    outcome, row = result(session, trial_id), _row(session, trial_id)
    items = [item.id for item in _items(session, trial_id)]
    votes = _standing(session, trial_id)
    return {
        "trial": trial_id,
        "registration": row.registration,
        "commitment": row.commitment,
        "secret": row.secret,
        "items": items,
        "tuned_left": {
            str(user): sorted(tuned_left(row.secret, items, user))
            for user in sorted({vote.user_id for vote in votes})
        },
        "votes": [
            {"reviewer": vote.user_id, "item": vote.item_id, "choice": vote.choice.value}
            for vote in votes
        ],
        "tuned": outcome.total.tuned,
        "base": outcome.total.base,
        "verdict": outcome.verdict,
    }


def _familiar(session: Session, trial_id: int, votes: Sequence[VoteRow]) -> int:
    items = {item.id: item.pair_id for item in _items(session, trial_id)}
    approvers = pairs.approvers(session, items.values())
    authors = {i: pairs.get(session, i).author_id for i in set(items.values())}
    return sum(
        v.user_id in (approvers.get(items[v.item_id]), authors[items[v.item_id]]) for v in votes
    )
