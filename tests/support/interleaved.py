"""Two scripted sessions over one pair, in every order: claim, decide, undo, expire, reassign.

A session acts as a browser does: it decides the card it was handed last, keeps every answer, and
sends each op again at the end. One that was handed no card makes one up. `Desk.check` says what
must hold after each step.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from curation.review import claims, decisions
from curation.review.ops import Answer, Op, Receipt
from storage import leases, pairs
from storage.errors import AssayError
from storage.tables import ClaimRow, DecisionRow
from storage.types import Action, Card, Origin, Outcome, PairStatus, Project, User
from tests.support import stories

STEPS = (
    *("ana claims", "ana decides", "ana undoes"),
    *("ben claims", "ben decides", "ben undoes"),
    *("leases expire", "lead reassigns"),
)


@dataclass(frozen=True, slots=True)
class Browser:
    """What one person's browser holds."""

    user: User
    card: Card | None = None
    sent: tuple[tuple[Op, Answer], ...] = ()


@dataclass(slots=True)
class Desk:
    """One pair, two browsers and a lead."""

    project: Project
    browsers: dict[str, Browser]
    lead: User
    pair_id: int = 0
    trouble: list[str] = field(default_factory=list)
    """What did not hold."""

    def open(self, session: Session) -> None:
        """A fresh pair that nobody was handed."""
        row = pairs.add(session, self.project.id, "Where is it?", stories.CARDS, Origin.IMPORT)
        self.pair_id = row.id
        self.browsers = {name: Browser(browser.user) for name, browser in self.browsers.items()}

    def step(self, session: Session, step: str) -> None:
        """Take one step, in a transaction of the caller."""
        who, verb = step.split()
        if verb == "expire":
            past = datetime.now(UTC) - timedelta(seconds=1)
            session.execute(update(ClaimRow).values(lease_until=past))
        elif verb == "reassigns":
            self._reassign(session)
        elif verb == "claims":
            user = self.browsers[who].user
            cards = claims.lease(session, user, self.project.id, limit=1000)
            card = next((card for card in cards if card.pair.id == self.pair_id), None)
            self.browsers[who] = replace(self.browsers[who], card=card)
        else:
            decides = verb == "decides"
            self._send(session, who, self._decision(session, who) if decides else self._undo(who))

    def _reassign(self, session: Session) -> None:
        """As a lead does who settles a late decision, or sends the pair back."""
        row = pairs.row_of(session, self.pair_id)
        if row.status is PairStatus.WAITING:
            claims.take(session, self.lead, row, datetime.now(UTC))
        else:
            decisions.reopen(session, self.lead, row.id, row.version, "Look again")

    def _decision(self, session: Session, who: str) -> Op:
        """About the card; who was handed none makes one up, of the pair as it stands."""
        card, words = self.browsers[who].card, f"{who} writes {len(self.browsers[who].sent)}"
        if card is not None:
            return stories.op(card, prompt=words)
        row = pairs.row_of(session, self.pair_id)
        op, approve = str(uuid.uuid4()), Action.APPROVE
        return Op(op, row.id, row.version, row.fence, approve, prompt=words)

    def _undo(self, who: str) -> Op | None:
        sent = self.browsers[who].sent
        done = next((op for op, answer in reversed(sent) if answer is Answer.SAVED), None)
        if done is None:
            return None
        target, action = done.op, Action.UNDO
        return replace(done, op=str(uuid.uuid4()), action=action, target=target, prompt=None)

    def _send(self, session: Session, who: str, op: Op | None) -> None:
        if op is None:
            return
        browser = self.browsers[who]
        claim = session.get(ClaimRow, self.pair_id)
        holds = claim is not None and claim.user_id == browser.user.id
        answer = _answer(session, browser.user, op)
        taken = answer is Answer.SAVED and op.action is not Action.UNDO
        self._hold(holds or not taken, "decided without a claim")
        self.browsers[who] = replace(browser, sent=(*browser.sent, (op, answer)))

    def check(self, session: Session) -> None:
        """What must hold: one live holder, each answer true, and the text of the last decision."""
        session.flush()
        self._holder(session)
        for browser in self.browsers.values():
            for op, answer in browser.sent:
                self._answered(session, browser.user, op, answer)
        self._text(session)

    def _holder(self, session: Session) -> None:
        row = pairs.row_of(session, self.pair_id)
        holding = session.scalars(select(ClaimRow).where(ClaimRow.pair_id == row.id)).all()
        live = [claim for claim in holding if claim.lease_until > datetime.now(UTC)]
        self._hold(len(live) <= 1, "more than one holder")
        self._hold(len(leases.holders(session, [row.id])) == len(live), "holders miscounted")
        self._hold(all(claim.fence == row.fence for claim in holding), "a claim of another fence")
        self._hold(not holding or row.status is PairStatus.WAITING, "a claim on a decided pair")

    def _answered(self, session: Session, user: User, op: Op, answer: Answer) -> None:
        rows = session.scalars(select(DecisionRow).where(DecisionRow.op == op.op)).all()
        outcomes = {Answer.SAVED: [Outcome.APPLIED], Answer.LATE: [Outcome.LATE]}
        wanted = outcomes.get(answer, [])
        self._hold([row.outcome for row in rows] == wanted, f"{answer} with {len(rows)} rows")
        self._hold(all(row.user_id == user.id for row in rows), "a decision of someone else")
        self._hold(all(row.prompt == op.prompt for row in rows), "words lost")

    def _text(self, session: Session) -> None:
        row = pairs.row_of(session, self.pair_id)
        applied = session.scalars(
            select(DecisionRow)
            .where(DecisionRow.pair_id == row.id, DecisionRow.outcome == Outcome.APPLIED)
            .order_by(DecisionRow.id)
        ).all()
        approved = bool(applied) and applied[-1].action is Action.APPROVE
        self._hold(approved == (row.status is PairStatus.APPROVED), "status and decisions differ")
        self._hold(not approved or row.prompt == applied[-1].prompt, "another text than decided")
        seen = [done.seen_version for done in applied if done.action is Action.APPROVE]
        self._hold(len(seen) == len(set(seen)), "one version approved twice")

    def again(self, session: Session) -> None:
        """Every op once more, as after a lost answer: the same answer, and no further row."""
        before = session.scalar(select(func.count(DecisionRow.id)))
        for browser in self.browsers.values():
            for op, answer in browser.sent:
                if answer in (Answer.SAVED, Answer.LATE):
                    same = _answer(session, browser.user, op) is answer
                    self._hold(same, f"{answer} answered otherwise when sent again")
        self._hold(session.scalar(select(func.count(DecisionRow.id))) == before, "doubled")

    def _hold(self, holds: bool, trouble: str) -> None:
        if not holds:
            self.trouble.append(trouble)


def _answer(session: Session, user: User, op: Op) -> Answer:
    try:
        return decisions.decide(session, user, op).status
    except AssayError as error:
        receipt: Receipt = decisions.refused(session, op, str(error))
        return receipt.status


def explore(session: Session, desk: Desk, depth: int, begun: Sequence[str] = ()) -> int:
    """Take every order of so many steps, each from a savepoint; how many orders there were."""
    if len(begun) == depth:
        desk.again(session)
        return 1
    orders = 0
    named = any(step.startswith(("ana", "ben")) for step in begun)
    for step in STEPS:
        if not named and step.startswith("ben"):
            continue  # the same with the names exchanged
        browsers = dict(desk.browsers)
        savepoint = session.begin_nested()
        desk.step(session, step)
        desk.check(session)
        orders += explore(session, desk, depth, (*begun, step))
        savepoint.rollback()
        desk.browsers = browsers
        if desk.trouble:
            raise AssertionError(f"{' > '.join((*begun, step))}: {desk.trouble}")
    return orders
