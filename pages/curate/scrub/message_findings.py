"""Personal data in the system message: shown to leads, who call it harmless or write it anew."""

import streamlit as st

from curation.personal import messages
from pages.curate.scrub import marked_text
from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import act
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
    findings = [_finding(finding) for finding in state.findings]
    with st.container(border=True):
        shell.note("Every pair begins with this message, and every answer is asked with it.")
        key = f"marked-message-{project.id}-{state.open}"
        marked_text.show(
            project.system_message,
            findings,
            {finding.id: finding.id + 1 for finding in findings},
            key=key,
        )
        for finding in state.findings:
            if not finding.dismissed:
                _decide(user, project, finding)
        _reword(user, project)


def _finding(finding: messages.MessageFinding) -> Finding:
    state = FindingState.DISMISSED if finding.dismissed else FindingState.OPEN
    return Finding(
        finding.number,
        0,
        messages.FIELD,
        finding.start,
        finding.end,
        finding.type,
        1.0,
        state,
        None,
    )


def _decide(user: User, project: Project, finding: messages.MessageFinding) -> None:
    text = project.system_message[finding.start : finding.end]
    st.button(
        plain(f"{finding.number + 1}. “{text}” is not personal data"),
        key=f"message-{project.id}-{finding.number}-{finding.start}",
        on_click=act,
        args=("Left as it is.", messages.dismiss, user, project.id, finding.number),
    )


def _reword(user: User, project: Project) -> None:
    key = f"reword-{project.id}"
    with st.expander("Write the message anew"):
        st.text_area("System message", value=project.system_message, key=key, height=140)
        shell.note("The new message is scanned too, and a new version has to be frozen with it.")
        st.button("Save the message", key=f"save-{key}", on_click=_save, args=(user, project, key))


def _save(user: User, project: Project, key: str) -> None:
    act("Saved. Scan again.", projects.reword, user, project.id, st.session_state[key])
