"""Scrub page: scan for personal data, decide each finding in its row, see what was set aside."""

import streamlit as st

from curation import detect, scrub
from pages.parts import findings, job_panel, rows, shell
from pages.parts.identity import require_user
from pages.parts.wiring import act, looking
from storage.types import JobKind, Project, User
from training import jobs


def scan(user: User, project: Project, seen: scrub.Coverage) -> None:
    """The one button of the page, and how the scan goes."""
    with looking() as session:
        newest = next(iter(jobs.listing(session, project.id, JobKind.SCAN)), None)
    if seen.unscanned and (newest is None or newest.state.final):
        st.button(
            f"Scan {rows.count(len(seen.unscanned), 'row', 'rows')}",
            key=f"scan-{project.id}",
            type="primary",
            on_click=act,
            args=("The scan begins.", jobs.scan, user, project.id),
        )
    job_panel.show(project.id, JobKind.SCAN)


def quarantine(seen: scrub.Coverage) -> None:
    """Rows that the scanner could not read whole: not clean until someone shortens them."""
    if not seen.quarantined:
        return
    st.subheader("Set aside: could not be read whole", anchor=False)
    for pair_id, why in seen.quarantined.items():
        with st.container(border=True):
            st.text(f"Pair {pair_id}: {why}")
            rows.browse([pair_id], "Open it to shorten or reject it")


user = require_user()
shell.header("Scrub", "Find personal data in the rows and decide what becomes a placeholder.")
project = shell.require_project(user)
with looking() as session:
    seen = scrub.coverage(session, project.id)
if not seen.rows:
    shell.empty("There are no rows to scan yet.", "pages/label/import.py", "Import rows")
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
quarantine(seen)
with st.expander("What this scan does not catch"):
    st.text("\n".join(f"• {limit}" for limit in detect.limits()))
