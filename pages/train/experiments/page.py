"""Experiments page: runs beside each other, a sweep of settings, what more rows are worth."""

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.parts import job_panel
from pages.train.experiments import plan as experiment_plan
from pages.train.experiments import result, run_compare
from storage.types import JobKind, JobState
from training.proving import experiments
from training.work import jobs

user = require_user()
shell.header("Experiments", "Several runs that answer one question: which settings, how many rows?")
project = shell.require_project(user)
with looking() as session:
    runs = jobs.listing(session, project.id, JobKind.TRAIN)
    known = {one.id: one for one in experiments.listing(session, project.id)}
    asked = jobs.listing(session, project.id, JobKind.EVALUATE)
    measuring = [job for job in asked if job.state is JobState.RUNNING]
if not runs:
    shell.empty(
        "Nothing was trained yet. An experiment starts from a run: its version and settings.",
        "launch",
        "Launch the first run",
    )
    st.stop()

compare, plan, results = st.tabs(["Runs side by side", "Plan an experiment", "Experiments"])
with compare:
    run_compare.show(project, runs)
with plan:
    experiment_plan.show(user, project, runs)
with results:
    if not known:
        st.text("No experiment was planned yet. Plan one in the tab before this.")
    else:
        chosen = st.selectbox(
            "Experiment",
            list(known),
            format_func=lambda i: result.title(known[i]),
            key=f"experiment-{project.id}-{len(known)}",
        )
        for job in measuring:
            job_panel.panel(job)
        result.show(known[chosen])
