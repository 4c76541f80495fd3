"""The way from first example to proven adapter as a list, with the one next step on top."""

from collections.abc import Sequence

import streamlit as st

from pages.frame import shell
from pages.frame.plain import plain
from storage.types import User
from training import progress
from training.progress import State, Step


def show(user: User, listed: Sequence[Step]) -> None:
    """The next step with its button, then every step."""
    _next(user, progress.next_step(listed))
    st.subheader("The whole way", anchor=False)
    with st.container(border=True, gap="small"):
        for step in listed:
            _line(user, step)


def _next(user: User, step: Step) -> None:
    with st.container(border=True):
        st.subheader(f"Next: {plain(step.title)}", anchor=False)
        st.text(step.hint)
        place = shell.at(step.page)
        if place not in shell.open_to(user):
            shell.link(step.page, step.title)
        elif st.button(step.title, key=f"next-{step.key}", type="primary", icon=":material/east:"):
            st.switch_page(place.path)


def _line(user: User, step: Step) -> None:
    mark, title, count = st.columns([1.2, 4, 3.6], vertical_alignment="center")
    with mark:
        _mark(step.state)
    place = shell.at(step.page)
    with title:
        if place in shell.open_to(user):
            st.page_link(place.path, label=plain(step.title))
        else:
            st.text(step.title)
    with count:
        shell.note(step.count)


def _mark(state: State) -> None:
    if state is State.DONE:
        st.badge("Done", icon=":material/check_circle:", color="green")
    elif state is State.NOW:
        st.badge("Now", icon=":material/arrow_circle_right:", color="blue")
    else:
        st.badge("Later", icon=":material/radio_button_unchecked:", color="gray")
