"""How far a job is, read from its folder: step of total, time so far, time left, last message.

The time left is the recent pace carried on; it does not know of a slower part still to come.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from storage import settings
from storage.types import Job
from training.records.running import Heartbeat, Launch, ProgressLine
from training.work import evidence, health, jobs
from training.work.health import Health

_TAIL = 64 * 1024
"""Bytes at the end of the progress lines that tell the recent pace: some 400 steps."""
_CURVE = 400
"""Points a curve is thinned to; a screen shows no more."""
_SMALL = 150
GAUGES = {
    "learning_rate": "Learning rate",
    "grad_norm": "Gradient norm",
    "memory_mb": "Memory in use, MB",
    "rows_a_second": "Pairs a second",
}
"""What the progress lines hold beside the losses, in words."""
Point = dict[str, float | None]
"""One step of a curve: `step`, `training` and `validation`, None where it was not measured."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Where a job is now."""

    step: int
    total: int
    message: str
    elapsed: float | None
    """Seconds since its process began; None before that."""
    left: float | None
    """Seconds at the recent pace; None while there is no pace yet."""
    stopping: bool
    """Whether someone asked it to stop and throw away what it has."""
    saving: bool
    """Whether someone asked it to stop and keep what it learnt."""
    health: Health
    since: float
    """Seconds for which its health has been so, where it is not well."""


def folder(job: Job) -> Path:
    """The folder of a job."""
    return jobs.folder(settings.current(), job.id)


def read(job: Job) -> JobProgress:
    """Where a job is now; all zero before its process began."""
    directory = folder(job)
    events = _tail(directory)
    last = events[-1] if events else ProgressLine()
    launch = evidence.read(Launch, directory / "launch.json")
    messages = [event.message for event in events if event.message is not None]
    pace = _pace([event for event in events if not event.earlier])
    beat = evidence.read(Heartbeat, directory / "heartbeat.json")
    well, since = health.of(beat, events, datetime.now(UTC))
    return JobProgress(
        step=last.step,
        total=last.total,
        message=messages[-1] if messages else "",
        elapsed=_since(launch.at) if launch is not None else None,
        left=(last.total - last.step) * pace if pace is not None else None,
        stopping=evidence.cancel_requested(directory),
        saving=evidence.stop_requested(directory),
        health=well,
        since=since,
    )


def _tail(directory: Path) -> list[ProgressLine]:
    try:
        size = (directory / "events.jsonl").stat().st_size
    except FileNotFoundError:
        return []
    return evidence.read_events(directory, max(0, size - _TAIL))[0]


def _since(moment: str) -> float:
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())


def _pace(events: list[ProgressLine]) -> float | None:
    """Seconds a step, between the first lines of the first and the last step at hand."""
    reached: dict[int, str] = {}
    for event in events:
        if event.step and event.at and event.message is None:
            reached.setdefault(event.step, event.at)
    if len(reached) < 2:
        return None
    first, last = min(reached), max(reached)
    took = datetime.fromisoformat(reached[last]) - datetime.fromisoformat(reached[first])
    return max(0.0, took.total_seconds()) / (last - first)


def curve(job: Job) -> list[Point]:
    """Training and validation loss by step, thinned to what a screen can show."""
    points: dict[int, Point] = {}
    for event in evidence.every_event(folder(job)):
        step, loss, checked = event.step, event.number("loss"), event.number("eval_loss")
        if loss is not None or checked is not None:
            point = points.setdefault(step, {"step": step, "training": None, "validation": None})
            point["training"] = point["training"] if loss is None else loss
            point["validation"] = point["validation"] if checked is None else checked
    return _thinned([points[step] for step in sorted(points)])


def gauges(job: Job) -> dict[str, list[tuple[int, float]]]:
    """What else was measured at each step, by name: (step, value), thinned to what a small chart
    can show; a gauge that was never measured is left out.
    """
    series: dict[str, list[tuple[int, float]]] = {}
    for event in evidence.every_event(folder(job)):
        for name in GAUGES:
            value = event.number(name)
            if value is not None:
                series.setdefault(name, []).append((event.step, value))
    return {name: points[:: max(1, len(points) // _SMALL)] for name, points in series.items()}


def _thinned(points: list[Point]) -> list[Point]:
    every = max(1, len(points) // _CURVE)
    return [
        point
        for i, point in enumerate(points)
        if i % every == 0 or point["validation"] is not None or i == len(points) - 1
    ]


def duration(seconds: float) -> str:
    """Seconds in words, as "40 s", "2 min 5 s", "25 min" or "1 h 20 min"."""
    minutes, left = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{left} s"
    if minutes < 10:
        return f"{minutes} min {left} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
