"""Decide page: why to tune at all, written down and signed by two owners."""

import streamlit as st

from curation import decision
from pages.parts import decision_form, shell
from pages.parts.identity import require_user
from pages.parts.wiring import looking

user = require_user()
shell.header("Decide", "Write down why tuning is the answer; two owners sign before a run.")
project = shell.require_project(user)
with looking() as session:
    newest = decision.latest(session, project.id)

decision_form.advice(expanded=newest is None)
decision_form.record(user, project, newest)
if newest is None:
    decision_form.questions(user, project, newest)
else:
    if len(newest.signatures) == 2:
        shell.link("pages/curate/ready.py", "Next: see what is still missing for a training run")
    with st.expander("Write it anew (both owners sign again)"):
        decision_form.questions(user, project, newest)
shell.note(
    "What Assay cannot check: whether those prompts were really tried, and whether the signers "
    "read the record."
)
