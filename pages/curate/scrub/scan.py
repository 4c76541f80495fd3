"""The scan for personal data itself: its button, how it goes, and what it could not read whole."""

import streamlit as st

from curation import statistics
from curation.personal import waiting
from curation.personal.gaps import Gaps
from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import job_panel, pair_view
from storage.types import JobKind, Project, User
from training import asks
from training.work import jobs

_LISTED = 50
"""Pairs set aside that are shown at once."""


def start(user: User, project: Project, left: Gaps) -> None:
    """The one button of the page, and how the scan goes."""
    with looking() as session:
        newest = next(iter(jobs.listing(session, project.id, JobKind.SCAN)), None)
    due = left.unscanned or not left.message.scanned
    if due and (newest is None or newest.state.final):
        if left.stale:
            stale = statistics.count(left.stale, "pair was", "pairs were")
            shell.note(
                f"{stale} scanned with other settings than today's. What people decided before is "
                "kept."
            )
        st.button(
            _label(left),
            key=f"scan-{project.id}",
            type="primary",
            on_click=act,
            args=("The scan begins.", asks.scan, user, project.id),
        )
    job_panel.show(project.id, JobKind.SCAN)


def _label(left: Gaps) -> str:
    if not left.unscanned:
        return "Scan the system message"
    again = " again" if left.stale == left.unscanned.count else ""
    return f"Scan {statistics.count(left.unscanned.count, 'pair')}{again}"


def quarantine(left: Gaps) -> None:
    """Pairs that the scanner could not read whole: not clean until someone shortens them."""
    if not left.quarantined:
        return
    st.subheader("Set aside: could not be read whole", anchor=False)
    with looking() as session:
        reasons = waiting.reasons(session, left.quarantined.ids[:_LISTED])
    for pair_id, why in reasons.items():
        with st.container(border=True):
            st.text(f"Pair {pair_id}: {why}")
            pair_view.link([pair_id], "Open it to shorten or reject it")
    if left.quarantined.count > _LISTED:
        shell.note(f"The first {_LISTED} of {left.quarantined.count} are shown.")
