"""How long work tells how far it is, and is ended between two steps."""

from collections.abc import Callable
from typing import TypeAlias

Step: TypeAlias = Callable[[int, int], None]
"""Called between two chunks with what is done and what there is in all, while nothing is written.
It may raise, which ends the work there."""


def quiet(_done: int, _total: int) -> None:
    """Tells nobody."""


def part(step: Step, begin: float, end: float, count: int) -> Step:
    """Tells of one part of the work, which reaches from `begin` to `end` (0 to 1) of the whole, as
    so much of `count`: over all parts what is done never falls."""

    def tell(done: int, total: int) -> None:
        share = done / total if total else 1.0
        step(round(count * (begin + (end - begin) * share)), count)

    return tell
