"""What the votes of a blind trial say: which side was which, the tallies, and the verdict.

Pure: `blind` keeps the trials and asks. The sides follow from a trial's secret alone, so anyone who
has the secret and the votes comes to the same verdict.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from storage.tables import VoteRow
from storage.types import Choice

NO_DIFFERENCE_SHARE = 0.5
"""Above this share of ties and both-bad votes the verdict is that no difference was seen."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes of one reviewer or of all, by what the pressed side turned out to be."""

    name: str
    tuned: int
    base: int
    tie: int
    both_bad: int

    @property
    def n(self) -> int:
        """All votes."""
        return self.tuned + self.base + self.tie + self.both_bad

    @property
    def decisive(self) -> int:
        """Votes for one of the two."""
        return self.tuned + self.base


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What a closed trial showed."""

    total: Tally
    reviewers: tuple[Tally, ...]
    win_low: float
    win_high: float
    """95 % Wilson interval of the tuned model's share of decisive votes."""
    p_value: float
    """Exact two-sided sign test on decisive votes."""
    verdict: str
    """One of: better, worse, no difference shown, too few votes."""
    why: str
    secret: str
    familiar: int
    """Votes by people who had approved or written the item's gold answer themselves."""
    left_tuned: float
    """Share of votes where the tuned answer stood on the left; near a half by design."""
    left_presses: int
    """Decisive votes that went to the left side: a habit of pressing left shows here."""


def mac(secret: str, *parts: str) -> str:
    """HMAC-SHA256 of the parts, in hexadecimal digits: everything a trial draws is drawn by it."""
    return hmac.new(secret.encode(), "\x1f".join(parts).encode(), hashlib.sha256).hexdigest()


def tuned_left(secret: str, items: Sequence[str], reviewer_id: int) -> set[str]:
    """The items whose tuned answer stands left for a reviewer: half of them, by the secret."""
    ordered = sorted(items, key=lambda item: mac(secret, "side", str(reviewer_id), item))
    half = len(items) // 2 + (int(mac(secret, "odd", str(reviewer_id)), 16) & len(items) & 1)
    return set(ordered[:half])


def tally(name: str, votes: Sequence[VoteRow], left: set[str]) -> Tally:
    """The votes of one reviewer; `left` are the items whose tuned answer stood left for them."""
    for_tuned = sum(
        (v.choice is Choice.LEFT and v.item_id in left)
        or (v.choice is Choice.RIGHT and v.item_id not in left)
        for v in votes
    )
    sided = sum(v.choice in (Choice.LEFT, Choice.RIGHT) for v in votes)
    return Tally(
        name=name,
        tuned=for_tuned,
        base=sided - for_tuned,
        tie=sum(v.choice is Choice.TIE for v in votes),
        both_bad=sum(v.choice is Choice.BOTH_BAD for v in votes),
    )


def sum_tallies(tallies: Sequence[Tally]) -> Tally:
    """The votes of all reviewers."""
    return Tally(
        name="All reviewers",
        tuned=sum(t.tuned for t in tallies),
        base=sum(t.base for t in tallies),
        tie=sum(t.tie for t in tallies),
        both_bad=sum(t.both_bad for t in tallies),
    )


def judge(total: Tally, reviewers: int, p_value: float) -> tuple[str, str]:
    """The verdict, from a fixed list of words, and why."""
    who = (
        "for these reviewers and inputs"
        if reviewers < 6  # with fewer, reviewers in general cannot be spoken for
        else "over these reviewers"
    )
    if total.n == 0:
        return "too few votes", "Nobody voted."
    if (total.tie + total.both_bad) / total.n > NO_DIFFERENCE_SHARE:
        return "no difference shown", "More than half of the votes were ties or both bad."
    if p_value > 0.05:
        return (
            "no difference shown",
            f"The sign test gives p = {p_value:.3f}; chance alone could do this.",
        )
    word = "better" if total.tuned > total.base else "worse"
    return word, f"The tuned model is {word} {who} (sign test p = {p_value:.4f})."
