"""Scrub page: scan for personal data, decide each finding in its row, see what was set aside."""

import streamlit as st

from curation import detect, scrub
from pages.parts import findings, job_panel, rows, shell
from pages.parts.identity import require_user
from pages.parts.wiring import act, looking
from storage.types import FindingState, JobKind, Project, User
from training import jobs

_QUEUES = {FindingState.OPEN: "To decide", FindingState.DISMISSED: "Called harmless"}


def scan(user: User, project: Project, seen: scrub.Coverage) -> None:
    """The one button of the page, and how the scan goes."""
    if seen.unscanned:
        st.button(
            f"Scan {rows.count(len(seen.unscanned), 'row', 'rows')}",
            key=f"scan-{project.id}",
            type="primary",
            on_click=act,
            args=("The scan begins.", jobs.scan, user, project.id),
        )
    job_panel.show(project.id, JobKind.SCAN)


def queue(user: User, project: Project, seen: scrub.Coverage) -> None:
    """One row at a time."""
    state = st.segmented_control(
        "Show rows", list(_QUEUES), format_func=_QUEUES.__getitem__, required=True,
        default=FindingState.OPEN, key="scrub-queue",
    )  # fmt: skip
    with looking() as session:
        marked = scrub.marked(session, project.id, state)
    if not marked:
        _nothing(seen, state)
        return
    by_id = {one.pair.id: one for one in marked}
    chosen = st.selectbox(
        f"Row, {len(marked)} in this list",
        list(by_id),
        format_func=lambda number: (
            f"Pair {number}: {rows.count(len(by_id[number].findings), 'finding', 'findings')}"
        ),
        key=f"scrub-row-{state}",
        width=360,
    )
    findings.card(user, by_id[chosen])


def _nothing(seen: scrub.Coverage, state: FindingState | None) -> None:
    if state is FindingState.DISMISSED:
        shell.note("Nobody has called a finding harmless in a row that stands as it was scanned.")
    elif seen.unscanned:
        shell.note("Nothing waits for a decision. The rows not scanned yet may change that.")
    else:
        st.success("Every scanned row is decided.")
        shell.link("pages/curate/duplicates.py", "Next: look for rows that repeat or contradict")


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
queue(user, project, seen)
quarantine(seen)
with st.expander("What this scan does not catch"):
    st.text("\n".join(f"• {limit}" for limit in detect.limits()))
