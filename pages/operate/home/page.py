"""Home: where the project stands, what comes next, and the ways to begin one."""

import streamlit as st

from curation.gate import measures
from pages.frame import reported, shell
from pages.frame.identity import require_user
from pages.frame.wiring import current_project, looking
from pages.operate.home import alerts, project_forms, steps
from storage import projects
from training import progress

user = require_user()
project = current_project(user)

if project is None:
    shell.header("Assay", "From gold pairs that experts write to a small model judged blind.")
    if not project_forms.may_start(user):
        st.info("There is no project yet. Someone with the role lead or admin starts one here.")
        st.stop()
    project_forms.sample_offer(user)
    st.subheader("Start your own", anchor=False)
    project_forms.own(user)
    st.stop()

shell.header(project.name, "Where this project stands, and the one thing to do next.")
texts = reported.read(measures.TEXTS, project.id).content
with looking() as session:
    listed = progress.steps(progress.standing(session, project.id, texts))
    opened = any(listed.sample for listed in projects.everything(session))
alerts.backup(user)
if project.sample:
    shell.note(
        "The sample project: its first pairs were written and approved by fictional people, "
        "Ana (sample) and Ben (sample). No real person has checked them."
    )

way, about = st.columns([7, 4], gap="large")
with way:
    steps.show(user, listed)
with about:
    shell.project_choice(user)
    st.text(project.task)
    with st.expander("System message"):
        st.text(project.system_message)
    st.subheader("Policy eras", anchor=False)
    project_forms.policy(project)
    if project_forms.may_start(user):
        st.subheader("More projects", anchor=False)
        with st.expander("Start another project"):
            project_forms.own(user)
        if not opened:
            with st.expander("Open the sample project"):
                project_forms.sample_offer(user)
