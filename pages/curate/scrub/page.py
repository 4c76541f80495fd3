"""Scrub page: scan for personal data, decide each finding in its row, see what was set aside."""

import streamlit as st

from curation import statistics
from curation.personal.findings import Coverage, coverage
from pages.curate.scrub import findings, message_findings, scan_form, scan_limits
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import act, looking
from pages.parts import job_panel, pair_view
from storage.types import JobKind, Project, Role, User
from training import asks
from training.work import jobs


def scan(user: User, project: Project, seen: Coverage) -> None:
    """The one button of the page, and how the scan goes."""
    with looking() as session:
        newest = next(iter(jobs.listing(session, project.id, JobKind.SCAN)), None)
    due = seen.unscanned or not seen.message.scanned
    if due and (newest is None or newest.state.final):
        if seen.stale:
            shell.note(
                f"{statistics.count(len(seen.stale), 'row was', 'rows were')} scanned with other "
                "settings than today's. What people decided before is kept."
            )
        st.button(
            what(seen),
            key=f"scan-{project.id}",
            type="primary",
            on_click=act,
            args=("The scan begins.", asks.scan, user, project.id),
        )
    job_panel.show(project.id, JobKind.SCAN)


def what(seen: Coverage) -> str:
    """What the button does."""
    if not seen.unscanned:
        return "Scan the system message"
    again = " again" if len(seen.stale) == len(seen.unscanned) else ""
    return f"Scan {statistics.count(len(seen.unscanned), 'row')}{again}"


def quarantine(seen: Coverage) -> None:
    """Rows that the scanner could not read whole: not clean until someone shortens them."""
    if not seen.quarantined:
        return
    st.subheader("Set aside: could not be read whole", anchor=False)
    for pair_id, why in seen.quarantined.items():
        with st.container(border=True):
            st.text(f"Pair {pair_id}: {why}")
            pair_view.link([pair_id], "Open it to shorten or reject it")


user = require_user()
shell.header("Scrub", "Find personal data in the rows and decide what becomes a placeholder.")
project = shell.require_project(user)
with looking() as session:
    seen = coverage(session, project.id)
if not seen.rows:
    shell.empty("There are no rows to scan yet.", "import", "Import rows")
    st.stop()
shell.stats(
    {
        "Rows": f"{seen.rows}",
        "Not scanned yet": f"{len(seen.unscanned)}",
        "Rows to decide": f"{len(seen.open)}",
        "Could not be read": f"{len(seen.quarantined)}",
    }
)
scan(user, project, seen)
findings.queue(user, project, seen)
message_findings.show(user, project, seen.message)
quarantine(seen)
if Role.LEAD in user.roles:
    scan_form.show(user, project)
scan_limits.show(project)
