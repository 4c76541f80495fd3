"""Launch page: choose a version, a base model and settings, and start one training run."""

import streamlit as st

from curation import versions
from pages.parts import job_panel, run_card, run_form, shell
from pages.parts.identity import require_user
from pages.parts.wiring import act, looking
from storage.types import JobKind
from training import jobs

user = require_user()
shell.header("Launch", "Train an adapter: an addition to a base model that learns from your rows.")
project = shell.require_project(user)
with looking() as session:
    known = {version.id: version for version in versions.listing(session, project.id)}
if not known:
    shell.empty(
        "There is no version yet. A run trains on a frozen version of the approved rows.",
        "pages/curate/versions.py",
        "Freeze the first version",
    )
    st.stop()

job_panel.show(project.id, JobKind.TRAIN)
choices, card = st.columns([3, 2], gap="medium")
with choices:
    chosen = st.selectbox(
        "Version",
        list(known),
        format_func=lambda number: (
            f"Version {known[number].number}, {sum(known[number].counts.values())} rows"
        ),
        key=f"version-{project.id}",
    )
    version = known[chosen]
    base = run_form.base()
    name = st.text_input(
        "Name of the run",
        value=f"{project.name}, version {version.number}"[:80],
        max_chars=80,
        key=f"name-{version.id}",
    )
    settings = run_form.lora(base)
with card:
    reasons = run_card.show(version, base, settings)
    wish = run_form.wish(version, name, base, settings)
    st.button(
        "Launch",
        type="primary",
        disabled=bool(reasons),
        key=f"launch-{version.id}",
        on_click=act,
        args=("Launched. It goes on when you close this page.", jobs.launch, user, wish),
    )
    if reasons:
        st.text("\n".join(reasons))
    shell.link("pages/train/runs.py", "Watch the runs")
shell.note(
    "The loss that a run shows says how well it learned the rows, not how good its answers are: "
    "Compare and Blind measure that."
)
