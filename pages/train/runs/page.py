"""Runs page: every training run of the project, and one of them in full, live while it trains."""

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.parts import job_panel, progress, table
from pages.train.runs import curves, record
from storage import people
from storage.types import Job, JobKind, JobState
from training.records import specs
from training.work import jobs

_WIDTHS = (4, 2, 1, 3, 2, 1, 1)


def _took(run: Job) -> str:
    if run.ended_at is None:
        return ""
    return progress.duration((run.ended_at - run.created_at).total_seconds())


def _choose(run_id: str) -> None:
    st.query_params["run"] = run_id


def _line(run: Job, by: str, chosen: bool) -> None:
    cells = st.columns(_WIDTHS, vertical_alignment="center")
    spec = specs.train(run)
    base = "packaged" if spec.base.kind == "packaged" else spec.base.where
    version = str(spec.version_number)
    texts = (spec.name, job_panel.STATES[run.state], version, base, by, _took(run))
    for cell, word in zip(cells, texts, strict=False):
        cell.text(word)
    cells[-1].button(
        "Show", key=f"show-{run.id}", disabled=chosen, on_click=_choose, args=(run.id,)
    )


user = require_user()
shell.header("Runs", "What is training, what was trained, and with what.")
project = shell.require_project(user)
with looking() as session:
    runs = jobs.listing(session, project.id, JobKind.TRAIN)
    names = people.names(session)
if not runs:
    shell.empty("Nothing was trained yet.", "launch", "Launch the first run")
    st.stop()

wanted = st.query_params.get("run")
chosen = next((run for run in runs if run.id == wanted), runs[0])
with st.container(border=True):
    heads = ("Name", "State", "Version", "Base model", "Started by", "Took")
    table.heads(_WIDTHS, heads)
    listed = len(runs) if st.session_state.get("all-runs") else 8
    for run in runs[:listed]:
        _line(run, names.get(run.requested_by, "someone"), run.id == chosen.id)
    if len(runs) > 8:
        st.toggle(f"Show all {len(runs)} runs", key="all-runs")

st.subheader(f"Run {chosen.id[:8]}", anchor=False)
st.text(specs.train(chosen).name)
job_panel.panel(chosen)
job_panel.go_on(chosen)
curves.show(chosen)
record.show(chosen)
if chosen.state is JobState.FINISHED:
    shell.link("adapters", "See the adapter it made")
elif chosen.state.final:
    shell.link("launch", "Launch again")
