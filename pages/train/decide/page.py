"""Decide page: why to tune at all, written down and signed by two owners."""

import streamlit as st

from curation.gate import decision
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.train.decide import form

user = require_user()
shell.header("Decide", "Write down why tuning is the answer; two owners sign before a run.")
project = shell.require_project(user)
with looking() as session:
    newest = decision.latest(session, project.id)

form.advice(expanded=newest is None)
form.record(user, project, newest)
if newest is None:
    form.questions(user, project, newest)
else:
    if set(decision.OWNERS) <= set(newest.signatures):
        shell.link("ready", "Next: see what is still missing for a training run")
    with st.expander("Write it anew (both owners sign again)"):
        form.questions(user, project, newest)
shell.note(
    "What Assay cannot check: whether those prompts were really tried, and whether the signers "
    "read the record."
)
