"""Whether a running job is well, decided from its heartbeat and its pace alone.

What it cannot tell: a process that is frozen from one that waits for a disk or a busy machine, and
work that moves but learns nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from statistics import median

from msgspec import UNSET

from training.records.running import Heartbeat, ProgressLine

UNRESPONSIVE_SECONDS = 60.0
"""A heartbeat comes every five seconds; twelve in a row do not get lost."""
STALLED_STEPS = 20
"""Steps of the usual length without a move after which a living process stands still."""
STALLED_SECONDS = 120.0
"""Never said sooner: saving, and a machine that is busy with other work, take their time."""


class Health(StrEnum):
    """How a running job is."""

    WELL = "well"
    UNRESPONSIVE = "unresponsive"
    STALLED = "stalled"


def judge(beat_age: float | None, still: float | None, step_seconds: float | None) -> Health:
    """The health of a job.

    Args:
        beat_age: seconds since the last heartbeat; None before the first.
        still: seconds since the work last moved; None where nothing tells.
        step_seconds: the median step; None while there is no pace, when nothing can stall.
    """
    if beat_age is None:
        return Health.WELL
    if beat_age > UNRESPONSIVE_SECONDS:
        return Health.UNRESPONSIVE
    if still is None or step_seconds is None:
        return Health.WELL
    frozen = still > max(STALLED_SECONDS, STALLED_STEPS * step_seconds)
    return Health.STALLED if frozen else Health.WELL


def of(
    beat: Heartbeat | None, events: Sequence[ProgressLine], now: datetime
) -> tuple[Health, float]:
    """The health of a job from its heartbeat and progress lines, and the seconds it has been so."""
    if beat is None:
        return Health.WELL, 0.0
    age = _since(beat.at, now)
    still = _since(beat.moved, now) if beat.moved is not None else None
    health = judge(age, still, step_seconds(events))
    return health, age if health is Health.UNRESPONSIVE else still or 0.0


def step_seconds(events: Sequence[ProgressLine]) -> float | None:
    """The median time between two steps; None before there are two."""
    measured = [event.at for event in events if event.at and event.loss is not UNSET]
    times = [datetime.fromisoformat(moment) for moment in measured]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    return median(gaps) if gaps else None


def _since(moment: str, now: datetime) -> float:
    """Seconds between the two, also where the clock was set back meanwhile."""
    return abs((now - datetime.fromisoformat(moment)).total_seconds())
