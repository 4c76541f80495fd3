"""Health of a running job: well, unresponsive or stalled, from heartbeat and pace alone."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from training.records.running import Heartbeat, ProgressLine
from training.work import health
from training.work.health import Health

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("beat_age", "still", "step", "found"),
    [
        (None, None, None, Health.WELL),
        (60, 3, 2, Health.WELL),
        (61, 3, 2, Health.UNRESPONSIVE),
        (61, 5000, 2, Health.UNRESPONSIVE),
        (5, 119, 2, Health.WELL),
        (5, 121, 2, Health.STALLED),
        (5, 121, 10, Health.WELL),
        (5, 201, 10, Health.STALLED),
        (5, 5000, None, Health.WELL),
        (5, None, 2, Health.WELL),
    ],
)
def test_health_follows_from_three_figures(
    beat_age: float | None, still: float | None, step: float | None, found: Health
) -> None:
    assert health.judge(beat_age, still, step) is found


def test_health_is_read_from_the_files_of_a_job() -> None:
    events = [ProgressLine(at=_ago(200 - 2 * i), step=i, loss=1.0) for i in range(10)]
    events.append(ProgressLine(at=_ago(150), step=10, message="Saving."))
    assert health.step_seconds(events) == 2
    beat = Heartbeat(at=_ago(3), step=10, total=40, moved=_ago(180))
    assert health.of(beat, events, NOW) == (Health.STALLED, 180)
    assert health.of(structs.replace(beat, moved=_ago(1)), events, NOW) == (Health.WELL, 1)
    assert health.of(structs.replace(beat, at=_ago(90)), events, NOW) == (Health.UNRESPONSIVE, 90)
    assert health.of(None, events, NOW) == (Health.WELL, 0)


def test_a_clock_set_back_hides_no_silent_job() -> None:
    beat = Heartbeat(at=_ago(-86400), step=10, total=40, moved=_ago(-86400))
    assert health.of(beat, [], NOW)[0] is Health.UNRESPONSIVE
    events = [ProgressLine(at=_ago(200 - 2 * i), step=i, loss=1.0) for i in range(10)]
    assert health.of(structs.replace(beat, at=_ago(1)), events, NOW)[0] is Health.STALLED
