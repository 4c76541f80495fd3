"""The scan for personal data itself: its button, how it goes, and what it could not read whole."""

import streamlit as st

from curation import statistics
from curation.personal.findings import Coverage
from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import job_panel, pair_view
from storage.types import JobKind, Project, User
from training import asks
from training.work import jobs


def start(user: User, project: Project, coverage: Coverage) -> None:
    """The one button of the page, and how the scan goes."""
    with looking() as session:
        newest = next(iter(jobs.listing(session, project.id, JobKind.SCAN)), None)
    due = coverage.unscanned or not coverage.message.scanned
    if due and (newest is None or newest.state.final):
        if coverage.stale:
            stale = statistics.count(len(coverage.stale), "pair was", "pairs were")
            shell.note(
                f"{stale} scanned with other settings than today's. What people decided before is "
                "kept."
            )
        st.button(
            _label(coverage),
            key=f"scan-{project.id}",
            type="primary",
            on_click=act,
            args=("The scan begins.", asks.scan, user, project.id),
        )
    job_panel.show(project.id, JobKind.SCAN)


def _label(coverage: Coverage) -> str:
    if not coverage.unscanned:
        return "Scan the system message"
    again = " again" if len(coverage.stale) == len(coverage.unscanned) else ""
    return f"Scan {statistics.count(len(coverage.unscanned), 'pair')}{again}"


def quarantine(coverage: Coverage) -> None:
    """Pairs that the scanner could not read whole: not clean until someone shortens them."""
    if not coverage.quarantined:
        return
    st.subheader("Set aside: could not be read whole", anchor=False)
    for pair_id, why in coverage.quarantined.items():
        with st.container(border=True):
            st.text(f"Pair {pair_id}: {why}")
            pair_view.link([pair_id], "Open it to shorten or reject it")
