"""Experiments page: runs beside each other, a sweep of settings, what more pairs are worth."""

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.parts import job_panel
from pages.train.experiments import plan, result, run_compare
from storage.types import JobKind, JobState
from training.proving import experiments
from training.work import jobs

user = require_user()
shell.header(
    "Experiments", "Several runs that answer one question: which settings, how many pairs?"
)
project = shell.require_project(user)
with looking() as session:
    runs = jobs.listing(session, project.id, JobKind.TRAIN)
    planned = {experiment.id: experiment for experiment in experiments.listing(session, project.id)}
    comparisons = jobs.listing(session, project.id, JobKind.EVALUATE)
    measuring = [job for job in comparisons if job.state is JobState.RUNNING]
if not runs:
    shell.empty(
        "Nothing was trained yet. An experiment starts from a run: its version and settings.",
        "launch",
        "Launch the first run",
    )
    st.stop()

side_by_side, planning, results = st.tabs(
    ["Runs side by side", "Plan an experiment", "Experiments"]
)
with side_by_side:
    run_compare.show(project, runs)
with planning:
    plan.show(user, project, runs)
with results:
    if not planned:
        st.text("No experiment was planned yet. Plan one in the tab before this.")
    else:
        chosen = st.selectbox(
            "Experiment",
            list(planned),
            format_func=lambda i: result.title(planned[i]),
            key=f"experiment-{project.id}-{len(planned)}",
        )
        for job in measuring:
            job_panel.panel(job)
        result.show(planned[chosen])
