"""A costly report on a page: the newest there is, and of which moment it is."""

from datetime import datetime
from typing import TypeVar

import streamlit as st

from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import engine
from storage.errors import AssayError
from storage.reports import Report, Reported
from training import reports

T = TypeVar("T")

_WAIT = 120.0
"""Seconds that the first look at a large project waits at most."""
_LOOK = "5s"
"""How often an open page looks for newer figures."""


def read(report: Report[T], subject: int, *, quiet: bool = False) -> Reported[T]:
    """The report, and a note where the data changed since; the page ends where there is none.

    `quiet` leaves the note out, where what is used of the report does not change.
    """
    latest = reports.look(engine(), report, subject)
    if latest is None:
        latest = _first(report, subject)
    if not (latest.current or quiet):
        shell.note(
            f"As of {latest.at:%d %b %Y %H:%M:%S} UTC. The pairs have changed since; newer figures "
            "are counted in the background and shown when they are there."
        )
        _follow(report, subject, latest.at)
    return latest


def to_come(report: Report[T], subject: int) -> bool:
    """Whether a report that a press needs is still to come; then the page is drawn anew.
    A small subject has none: the press looks for itself.
    """
    if not reports.begun(engine(), report, subject):
        return False
    _await(report, subject)
    return True


@st.fragment(run_every=_LOOK)
def _await(report: Report[T], subject: int) -> None:
    if not reports.begun(engine(), report, subject):
        st.rerun()


@st.fragment(run_every=_LOOK)
def _follow(report: Report[T], subject: int, drawn: datetime) -> None:
    """Draw the page anew once there are newer figures than those drawn."""
    latest = reports.look(engine(), report, subject)
    if latest is not None and latest.at != drawn:
        st.rerun()


def _first(report: Report[T], subject: int) -> Reported[T]:
    try:
        with st.spinner("Counting a large set for the first time."):
            return reports.wait(engine(), report, subject, _WAIT)
    except AssayError as error:
        st.error(plain(str(error)))
        st.stop()
