"""Personal data in the system message: shown to leads, who call it harmless or write it anew."""

import streamlit as st

from curation.personal import messages
from pages.curate.scrub import marked_text
from pages.frame import shell
from pages.frame.wiring import act
from pages.parts.plain import plain
from storage import projects
from storage.types import Finding, FindingState, Project, Role, User


def show(user: User, project: Project, state: messages.MessageState) -> None:
    """The message with its findings; nothing where none is open."""
    if state.quarantined:
        st.warning(plain(f"The system message could not be read whole. {state.quarantined}"))
    if not state.open and not state.quarantined:
        return
    st.subheader("In the system message", anchor=False)
    if Role.LEAD not in user.roles:
        shell.note("A lead decides whether the system message holds personal data.")
        return
    found = [_finding(one) for one in state.findings]
    with st.container(border=True):
        shell.note("Every row begins with this message, and every answer is asked with it.")
        key = f"marked-message-{project.id}-{state.open}"
        marked_text.show(
            project.system_message, found, {one.id: one.id + 1 for one in found}, key=key
        )
        for one in state.findings:
            if not one.dismissed:
                _decide(user, project, one)
        _reword(user, project)


def _finding(one: messages.MessageFinding) -> Finding:
    state = FindingState.DISMISSED if one.dismissed else FindingState.OPEN
    return Finding(one.number, 0, messages.FIELD, one.start, one.end, one.type, 1.0, state, None)


def _decide(user: User, project: Project, one: messages.MessageFinding) -> None:
    words = project.system_message[one.start : one.end]
    st.button(
        plain(f"{one.number + 1}. “{words}” is not personal data"),
        key=f"message-{project.id}-{one.number}-{one.start}",
        on_click=act,
        args=("Left as it is.", messages.dismiss, user, project.id, one.number),
    )


def _reword(user: User, project: Project) -> None:
    key = f"reword-{project.id}"
    with st.expander("Write the message anew"):
        st.text_area("System message", value=project.system_message, key=key, height=140)
        shell.note("The new message is scanned too, and a new version has to be frozen with it.")
        st.button("Save the message", key=f"save-{key}", on_click=_save, args=(user, project, key))


def _save(user: User, project: Project, key: str) -> None:
    act("Saved. Scan again.", projects.reword, user, project.id, st.session_state[key])
