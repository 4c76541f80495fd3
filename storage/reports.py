"""Costly figures, computed once per state of the data and shared by everyone who looks.

A report is small: counts, hashes, the first few hundred ids, never the text of a pair. What is
decided upon (freezing, launching) is checked afresh by its verb, never by a stored report.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Generic, TypeVar

import msgspec
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from storage.tables import EventRow, PairRow, ReportRow

T = TypeVar("T")

AT_ONCE = 2000
"""Pairs up to which a report is computed where it is looked at."""
_LEASE = timedelta(minutes=5)
"""After which a computation that never ended no longer keeps another one from beginning. One that
would take longer than that began before the clock was set back."""
_PAUSE = 10.0
"""Seconds between the end of a computation and the next one, at least; and so many times its own
length, so that a set that changes all the time costs a tenth of a core at most."""


def newest_event(session: Session, project_id: int) -> str:
    """The state of a project: its newest event. Whatever a verb changes leaves one."""
    query = select(func.max(EventRow.id)).where(EventRow.project_id == project_id)
    return str(session.scalar(query) or 0)


def pairs_of(session: Session, project_id: int) -> int:
    """How many pairs a project has; counted no further than `AT_ONCE` asks for."""
    some = select(PairRow.id).where(PairRow.project_id == project_id).limit(AT_ONCE + 1)
    return session.scalar(select(func.count()).select_from(some.subquery())) or 0


@dataclass(frozen=True, slots=True)
class Report(Generic[T]):
    """What is computed, and when it is due again. The subject is an id: of a project, a version."""

    name: str
    form: type[T]
    """A frozen type that msgspec writes as JSON and reads back."""
    compute: Callable[[Session, int], T]
    state: Callable[[Session, int], str] = newest_event
    """Names the data that the content depends on; another name, and it is due."""
    pairs: Callable[[Session, int], int] = pairs_of
    """How many pairs are looked at."""
    prepare: Callable[[Engine, int], object] | None = None
    """What is done before in transactions of its own, each of a moment; where it does nothing the
    content is the same, only slower."""


@dataclass(frozen=True, slots=True)
class Reported(Generic[T]):
    """A report's content, and of which moment it is."""

    content: T
    at: datetime
    current: bool
    """Whether it is of the data as they are now."""
    resting: bool = False
    """Whether it is too new to be computed anew although the data changed since."""


def small(session: Session, report: Report[T], subject: int) -> bool:
    """Whether the report is computed at once, by whoever looks."""
    return report.pairs(session, subject) <= AT_ONCE


def fresh(session: Session, report: Report[T], subject: int) -> Reported[T]:
    """The report computed now, and not stored."""
    return Reported(report.compute(session, subject), datetime.now(UTC), current=True)


def _state(session: Session, report: Report[T], subject: int) -> str:
    """The state of the data, and the release of Assay: another one may count otherwise."""
    return f"{version('assay')}:{report.state(session, subject)}"


def latest(session: Session, report: Report[T], subject: int) -> Reported[T] | None:
    """The report as it was last computed; None where it never was, or not in the present form."""
    row = session.get(ReportRow, (report.name, subject), populate_existing=True)
    if row is None or row.content is None or row.computed_at is None:
        return None
    try:
        content = msgspec.json.decode(row.content, type=report.form)
    except msgspec.MsgspecError:
        return None
    pause = timedelta(seconds=_PAUSE * max(1.0, row.seconds))
    return Reported(
        content,
        row.computed_at,
        current=row.state == _state(session, report, subject),
        resting=abs(datetime.now(UTC) - row.computed_at) < pause,
    )


def begin(session: Session, report: Report[T], subject: int) -> bool:
    """Whether the caller shall compute the report now: nobody else does, and it is due."""
    now = datetime.now(UTC)
    row = session.get(ReportRow, (report.name, subject))
    if row is None:
        session.add(ReportRow(name=report.name, subject=subject, busy_until=now + _LEASE))
        return True
    if row.busy_until is not None and now < row.busy_until <= now + _LEASE:
        return False
    reported = latest(session, report, subject)
    if reported is not None and reported.current:
        return False
    row.busy_until = now + _LEASE
    return True


def compute(session: Session, report: Report[T], subject: int) -> tuple[str, bytes, float]:
    """The state of the data, the content of it as JSON, and the seconds that it took."""
    began = time.monotonic()
    state = _state(session, report, subject)
    content = msgspec.json.encode(report.compute(session, subject))
    return state, content, time.monotonic() - began


def store(
    session: Session, report: Report[T], subject: int, computed: tuple[str, bytes, float]
) -> None:
    """Put the result of `compute` in the place of the one before, and end what `begin` began."""
    row = session.get_one(ReportRow, (report.name, subject))
    row.state, content, row.seconds = computed
    row.content, row.computed_at, row.busy_until = content.decode(), datetime.now(UTC), None


def give_up(session: Session, report: Report[T], subject: int) -> None:
    """End what `begin` began, without a result."""
    session.get_one(ReportRow, (report.name, subject)).busy_until = None
