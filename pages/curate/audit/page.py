"""Audit page: judge a random sample of the approved pairs, and see what that proves."""

import streamlit as st

from curation.gate import audit, sampling
from pages.curate.audit import views
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.parts import job_panel
from storage import pairs
from storage.types import JobKind, PairStatus

user = require_user()
shell.header(
    "Audit",
    f"A second person judges {sampling.SHARE * 100:.0f} % of what was approved, drawn at random.",
)
project = shell.require_project(user)
with looking() as session:
    ready = pairs.counts(session, project.id)[PairStatus.APPROVED]
    result = audit.latest(session, project.id)
    pair = audit.next_row(session, user, project.id)
    waiting = audit.waiting(session, project.id)
    bad = audit.bad_rows(session, result.audit_id) if result else []
if not ready and result is None:
    shell.empty("No pair is approved yet.", "review", "Review some pairs first")
    st.stop()

shell.note(
    "Nobody can read every pair twice, so a random sample stands for all of them: if someone who "
    "did not approve these pairs finds them good, most of the others are good too. How many at "
    "least is the proven share; it rises with each good pair and falls with each bad one."
)
job_panel.show(project.id, JobKind.REOPEN)
if result is None:
    views.draw(user, project, ready, "Draw the audit")
else:
    if pair is not None:
        views.judge(user, project, pair)
    elif waiting:
        views.someone_else(user, project, waiting)
    views.outcome(result)
    if result.complete:
        views.after(user, project, result, ready, bad)
with st.expander("What this audit does not catch"):
    st.text(
        "• Rare faults: 20 good pairs of 20 still leave room for 1 bad pair in 7.\n"
        "• Groups of few pairs: one of each is looked at, which proves next to nothing of it.\n"
        "• Faults that approver and auditor share, such as a rule both misread.\n"
        "• Going on until the figure looks good makes the bound a little too hopeful."
    )
