"""The search for pairs that ask the same in other words, where this server has a model for it."""

import streamlit as st

from curation import statistics
from curation.overlap.near import meanings
from pages.frame import shell
from pages.frame.wiring import FormValue, act, looking
from pages.parts import job_panel
from storage import settings
from storage.types import JobKind, Project, User
from training import asks, kinds


def show(user: User, project: Project, alive: int, due: int) -> None:
    """The button, how near is near enough, and how it goes; nothing without a model."""
    config = settings.current()
    if config.embedder is None:
        return
    with looking() as session:
        going = kinds.going(session, project.id, JobKind.MEANING)
    with st.expander("Also compare what the pairs mean"):
        shell.note(
            f"The model {config.embedder.name} on this server turns each input into numbers. What "
            "it holds for nearly the same joins the near-duplicates, the closest "
            f'{meanings.MOST} at a time. It is an opinion: "do" and "do not" may look alike.'
        )
        minimum = f"least-{project.id}"
        st.number_input(
            "From this cosine on (1.00 is the same)",
            meanings.LOWEST,
            1.0,
            meanings.DEFAULT,
            0.01,
            key=minimum,
        )
        st.button(
            f"Compare what {statistics.count(alive, 'pair means', 'pairs mean')}",
            key=f"meanings-{project.id}",
            disabled=bool(due) or going,
            on_click=act,
            args=(
                "The comparison begins.",
                asks.compare_meanings,
                user,
                project.id,
                config,
                FormValue(minimum),
            ),
        )
        if due:
            shell.note("First compare all pairs word by word.")
        elif going:
            shell.note("Another job reads the pairs now. Wait for it to end.")
    job_panel.show(project.id, JobKind.MEANING)
