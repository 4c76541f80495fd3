"""What was looked at before the run: each check with what was found and what to do."""

import streamlit as st

from pages.frame import reported, shell
from pages.frame.plain import plain
from pages.frame.wiring import looking
from storage.errors import AssayError
from training.launch import preflight
from training.launch.preflight_checks import Mark
from training.launch.runs import RunPlan

_WIDTHS = [1.1, 2, 6]


def show(plan: RunPlan | None) -> None:
    """All lines, errors first."""
    if plan is None:
        st.text("Complete the choices above; they are then looked at here.")
        return
    try:
        leak = reported.read(preflight.LEAKS, plan.version_id).content.problem
        with looking() as session:
            checks = preflight.look(session, plan, leak, vet=False)
    except AssayError as error:
        st.error(plain(str(error)))
        return
    with st.container(border=True, gap="small"):
        for check in checks:
            state, name, text = st.columns(_WIDTHS, gap="small")
            with state:
                _mark(check.mark)
            name.text(check.name)
            text.text(f"{check.finding} {check.fix}".strip())
    shell.note(
        "An error refuses the launch. Whether the pairs themselves are right is asked by the "
        "readiness lines; a disk that fills up during the run is met by its checkpoints."
    )


def _mark(mark: Mark) -> None:
    if mark is Mark.GOOD:
        st.badge("Good", icon=":material/check:", color="green")
    elif mark is Mark.NOTE:
        st.badge("Note", icon=":material/info:", color="blue")
    else:
        st.badge("Error", icon=":material/close:", color="red")
