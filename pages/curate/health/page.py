"""Health page: what the set holds, what is thin, and which pairs deserve a second look."""

import streamlit as st

from curation.health import pair_marks, project_rows
from pages.curate.health import views
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import engine, looking

_ALIVE, _APPROVED = "Approved and waiting", "Approved only"

user = require_user()
shell.header("Health", "What the set holds, what is thin, and pairs that deserve a second look.")
project = shell.require_project(user)
chosen = st.segmented_control(
    "Pairs",
    [_ALIVE, _APPROVED],
    default=_ALIVE,
    required=True,
    key=f"health-{project.id}",
    label_visibility="collapsed",
)
with looking() as session:
    task = project_rows.task_of(session, project.id)
for _ in pair_marks.catch_up(engine(), project.id, task):
    pass
with looking() as session:
    report = project_rows.measure(session, project.id, approved=chosen == _APPROVED)
if not report.n:
    if chosen == _APPROVED:
        shell.empty("No pair is approved yet.", "review", "Review some pairs first")
    else:
        shell.empty("There are no pairs to measure yet.", "import", "Import pairs")
    st.stop()

views.figures(report)
views.checks(report)
views.pictures(report, f"{project.id}-{chosen}")
views.limits(report)
shell.note("All of these are hints. None of them blocks a version: the Ready page does that.")
