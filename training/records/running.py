"""What a process shows of itself while it runs: who it is, that it lives, how far it is."""

from datetime import datetime

from msgspec import UNSET, UnsetType

from training.records.record import JsonRecord, always

Number = float | UnsetType | None
"""A measured number: None where it was not finite, UNSET where it was not measured."""


def _need_moment(*moments: str) -> None:
    """Refuse what pages could not reckon with.

    Raises:
        ValueError: one is no time with its zone, in ISO 8601.
    """
    for moment in moments:
        if datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError("a time without its zone")


class Launch(JsonRecord, frozen=True, kw_only=True):
    """The process of a job (`launch.json`)."""

    pid: int
    create_time: float
    """Seconds since the epoch: a number alone may be another process's by now."""
    boot_id: str
    """Changes when the machine restarts."""
    token: str = always("")
    at: str

    def __post_init__(self) -> None:
        _need_moment(self.at)


class Heartbeat(JsonRecord, frozen=True, kw_only=True):
    """That it lives (`heartbeat.json`)."""

    at: str
    step: int = always(0)
    total: int = always(0)
    moved: str | None = None
    """When the work last went on."""

    def __post_init__(self) -> None:
        _need_moment(self.at, self.moved or self.at)


class ProgressLine(JsonRecord, frozen=True, kw_only=True):
    """A progress line (`events.jsonl`): what was measured at a step, or a message."""

    at: str = ""
    step: int = always(0)
    total: int = always(0)
    loss: Number = UNSET
    eval_loss: Number = UNSET
    learning_rate: Number = UNSET
    grad_norm: Number = UNSET
    memory_mb: Number = UNSET
    rows_a_second: Number = UNSET
    message: str | None = None
    earlier: bool = False
    """Whether the run that this one goes on from measured it."""

    def __post_init__(self) -> None:
        if self.at:
            _need_moment(self.at)

    def number(self, name: str) -> float | None:
        """A number by the name of its field; None where there is none."""
        value = getattr(self, name)
        return None if value is UNSET else value
