"""The run as a command and as a file: what is shown here is what the button launches."""

import streamlit as st

from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import looking
from pages.parts import base_choice
from pages.train.launch import settings_form
from pages.train.launch.method_choice import KEY
from storage.errors import AssayError
from storage.types import Project, User, Version
from training.launch import recipe
from training.launch.runs import RunPlan


def show(user: User, project: Project, version: Version, plan: RunPlan | None) -> None:
    """The command line, the file, and the way back from a file."""
    if plan is None:
        st.text("Complete the choices above; the command then stands here.")
    else:
        described = recipe.of(plan, version)
        shell.note("The same run from a terminal on this server:")
        st.code(
            recipe.command(described, project.name, user.name), language="bash", wrap_lines=True
        )
        if plan.consent is not None:
            shell.note(f"Add --send-pairs {plan.consent.rows} to agree that so many pairs leave.")
        shell.note("The same run as a file, for python -m training launch --recipe FILE:")
        st.code(recipe.to_yaml(described), language="yaml")
        st.download_button(
            "Save as a file",
            data=recipe.to_yaml(described),
            file_name=f"run-version-{version.number}.yaml",
            mime="application/yaml",
            key=f"save-recipe-{version.id}",
            on_click="ignore",
            icon=":material/download:",
        )
    key = f"load-recipe-{project.id}"
    st.file_uploader(
        "Load a saved run",
        type=["yaml", "yml"],
        key=key,
        on_change=_load,
        args=(project.id, key),
        help="Fills the form above; nothing is launched.",
    )


def _load(project_id: int, key: str) -> None:
    """Fill the form from a file."""
    upload = st.session_state[key]
    if upload is None:
        return
    try:
        if upload.size > recipe.LARGEST:
            recipe.from_yaml(b" " * (recipe.LARGEST + 1))  # says so
        read = recipe.from_yaml(upload.getvalue())
        with looking() as session:
            plan = recipe.wish(session, project_id, read)
    except AssayError as error:
        st.error(plain(str(error)))
        return
    st.session_state[KEY] = read.settings.METHOD
    st.session_state[f"version-{project_id}"] = plan.version_id
    if read.name:
        st.session_state[f"name-{plan.version_id}"] = read.name[:80]
    st.session_state[settings_form.LOADED] = read.settings.to_dict()
    st.session_state[settings_form.PRESET] = settings_form.FROM_FILE
    base_choice.load(read)
    adapter = read.settings.to_dict().get("adapter_id")
    if adapter:
        st.session_state[f"adapter-{project_id}"] = adapter
    st.toast("Loaded. Look it over, then launch.")
