"""Launch page: choose how to tune what on which pairs, see what it takes, and start the run."""

import streamlit as st

from curation.versions import archive
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import act_on, looking
from pages.parts import job_panel
from pages.train.launch import (
    method_choice,
    pair_tokens,
    preflight_lines,
    run_card,
    run_command,
    settings_form,
    starting_point,
)
from storage.types import JobKind
from training import asks

user = require_user()
shell.header("Launch", "Teach a base model from your pairs. What it will take is known beforehand.")
project = shell.require_project(user)
with looking() as session:
    versions = archive.listing(session, project.id)
if not versions:
    shell.empty(
        "There is no version yet. A run trains on a frozen version of the approved pairs.",
        "versions",
        "Freeze the first version",
    )
    st.stop()

job_panel.show(project.id, JobKind.TRAIN)
choices, card = st.columns([3, 2], gap="medium")
with choices:
    method = method_choice.show()
    version = starting_point.version(project.id, versions)
    start = starting_point.choose(project.id, method)
    name = st.text_input(
        "Name of the run",
        value=f"{project.name}, version {version.number}"[:80],
        max_chars=80,
        key=f"name-{version.id}",
    )
    choice = settings_form.show(method, start.base, start.settings)
with card.container(border=True):
    outlook = run_card.show(user, version, start.base, choice.settings, choice.scope)
    plan = starting_point.plan(version, name, start.base, choice.settings)
    st.button(
        "Launch",
        type="primary",
        disabled=bool(outlook.reasons) or plan is None or not starting_point.agreed(plan),
        key=f"launch-{version.id}",
        on_click=act_on,
        args=(
            *(
                starting_point.fields(choice.scope),
                "Launched. It goes on when you close this page.",
            ),
            *(asks.launch, user, plan),
        ),
    )
    if outlook.reasons:
        st.text("\n".join(outlook.reasons))
    shell.link("runs", "Watch the runs")
    run_card.memory_of(outlook, version, start.base, choice.settings, choice.scope)

command, tokens, checks = st.tabs(
    ["Command", "What the model sees", "Pre-flight"], on_change="rerun", key="launch-tabs"
)
with command:
    run_command.show(user, project, version, plan)
if tokens.open:
    with tokens:
        pair_tokens.show(outlook.probe)
if checks.open:
    with checks:
        preflight_lines.show(plan)
shell.note(
    "The loss that a run shows says how well it learned the pairs, not how good its answers are: "
    "Compare and Blind measure that."
)
