"""Health page: what the set holds, what is thin, and which pairs deserve a second look."""

import streamlit as st

from curation.health import project_rows
from pages.curate.health import views
from pages.frame import reported, shell
from pages.frame.identity import require_user

_APPROVED = "Approved only"
_REPORTS = {"Approved and waiting": project_rows.ALIVE, _APPROVED: project_rows.APPROVED}

user = require_user()
shell.header("Health", "What the set holds, what is thin, and pairs that deserve a second look.")
project = shell.require_project(user)
chosen = st.segmented_control(
    "Pairs",
    list(_REPORTS),
    default=next(iter(_REPORTS)),
    required=True,
    key=f"health-{project.id}",
    label_visibility="collapsed",
)
report = reported.read(_REPORTS[chosen], project.id).content
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
