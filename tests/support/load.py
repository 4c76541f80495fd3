"""Several reviewers at once on a real server, and what the database says of their decisions."""

import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from websockets.exceptions import WebSocketException

from tests.support.desk_client import DeskClient, Press
from tests.support.live import Live

_AGAIN_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Habits:
    """How reviewers behave; shares are of their decisions."""

    think_seconds: float
    """Mean of an exponential distribution."""
    double: float = 0.1
    """Sends the same twice."""
    drop: float = 0.05
    """Loses the connection with a decision on its way, and comes back."""


@dataclass(slots=True)
class Reviewer:
    """One reviewer at work."""

    client: DeskClient
    habits: Habits
    draw: random.Random
    broken: list[str] = field(default_factory=list)
    """Kinds of errors that ended a connection; expected where a server is killed."""

    def work(self, until: float, decisions: int | None = None) -> None:
        """Decide until a moment of the monotonic clock, or so many."""
        done = 0
        while time.monotonic() < until and (decisions is None or done < decisions):
            time.sleep(self.draw.expovariate(1 / self.habits.think_seconds))
            try:
                done += self._one()
            except (OSError, WebSocketException, EOFError) as error:
                self.broken.append(type(error).__name__)
                self.client.drop()
                time.sleep(_AGAIN_SECONDS)

    def _one(self) -> bool:
        client = self.client
        if client.outbox:  # of the connection before
            client.deliver()
        if client.cards and self.draw.random() < self.habits.drop:
            client.begin("approve")
            client.say()
            client.drop()
            client.deliver()
            return True
        action = "reject" if self.draw.random() < 0.1 else "approve"
        return client.decide(action, twice=self.draw.random() < self.habits.double) is not None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the decisions."""

    decisions: int
    """Answered as saved."""
    lost: int
    """Of these, how many the database does not hold."""
    doubled: int
    """Pairs that two decisions of this run were applied to."""
    shared: int
    """Cards that two people were shown under one claim."""
    unanswered: int
    statuses: dict[str, int]
    seconds: list[float]
    """From press to answer, sorted."""

    def quantile(self, share: float) -> float:
        """Seconds that this share of the answers took at most."""
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


def crew(live: Live, people: Sequence[int], habits: Habits, seed: int) -> list[Reviewer]:
    """A reviewer for each user id."""
    return [
        Reviewer(DeskClient(live, person), habits, random.Random(f"{seed}-{person}"))
        for person in people
    ]


def together(reviewers: Sequence[Reviewer], seconds: float, decisions: int | None = None) -> None:
    """Let all of them work at once."""
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=reviewer.work, args=(until, decisions)) for reviewer in reviewers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def outcome(live: Live, reviewers: Sequence[Reviewer]) -> Outcome:
    """Hold what the reviewers were told against the database, read without Assay's own code."""
    presses: list[Press] = [
        press for reviewer in reviewers for press in reviewer.client.presses.values()
    ]
    with closing(sqlite3.connect(f"file:{live.data}/assay.db?mode=ro", uri=True)) as database:
        applied = dict(
            database.execute(
                "SELECT op, pair_id FROM decision WHERE outcome = 'applied' AND action != 'undo'"
            ).fetchall()
        )
    saved = [press for press in presses if press.status == "saved"]
    by_pair = Counter(press.pair_id for press in presses if press.op in applied)
    holders: dict[tuple[int, int], set[int]] = {}
    for reviewer in reviewers:
        for card in reviewer.client.shown:
            holders.setdefault(card, set()).add(reviewer.client.user_id)
    return Outcome(
        decisions=len(saved),
        lost=sum(press.op not in applied for press in saved),
        doubled=sum(count > 1 for count in by_pair.values()),
        shared=sum(len(people) > 1 for people in holders.values()),
        unanswered=sum(not press.status for press in presses),
        statuses=dict(Counter(press.status or "unanswered" for press in presses)),
        seconds=sorted(press.seconds for press in presses if press.status),
    )
