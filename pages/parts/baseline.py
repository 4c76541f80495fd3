"""Measuring the base model alone on the test pairs of a version: what tuning has to beat."""

import streamlit as st

from curation import statistics
from pages.frame import shell
from pages.frame.wiring import act_on, drawn, looking
from pages.parts import base_choice, compare_start, job_panel
from storage.types import JobKind, User, Version
from training import asks
from training.work import jobs


def show(user: User, version: Version) -> None:
    """Choose the base model and start the measurement; then how it goes."""
    with looking() as session:
        newest = next(iter(jobs.listing(session, version.project_id, JobKind.EVALUATE)), None)
    if newest is None or newest.state.final:
        _start(user, version)
    job_panel.show(version.project_id, JobKind.EVALUATE)


def _start(user: User, version: Version) -> None:
    with st.container(border=True):
        base = base_choice.choose()
        if isinstance(base, str):
            shell.note(base)
        else:
            best = compare_start.prompt(version, None, f"baseline-best-{version.id}")
            st.button(
                "Measure the base model on the test pairs",
                key=f"baseline-{version.id}",
                on_click=act_on,
                args=(
                    *(drawn(base_choice.KEYS), "The measurement begins."),
                    *(asks.evaluate, user, version.id),
                ),
                kwargs={"base": base, "adapter_id": None, "best_prompt": best},
            )
        tested = statistics.count(version.counts["test"], "test pair")
        shell.note(f"It answers the {tested} of version {version.number} before anything is tuned.")
