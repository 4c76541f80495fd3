"""Projects on the Home page: open the sample, begin one's own, and the policy eras of one."""

import streamlit as st

from curation.project import begin as beginnings, sample
from pages.frame import shell
from pages.frame.wiring import act, choose_project, looking
from storage import projects
from storage.types import Project, Role, User

_STARTERS = frozenset({Role.LEAD, Role.ADMIN})
_FIELDS = ("name", "task", "system", "schema", "label", "guidelines")


def may_start(user: User) -> bool:
    """Whether to offer a project's beginnings; the verbs check for themselves."""
    return bool(_STARTERS & user.roles)


def sample_offer(user: User) -> None:
    """The two ways to open the sample project."""
    with st.container(border=True):
        st.subheader("Open the sample project", anchor=False)
        st.text(
            "A bank's support desk: customers' messages in, one line of JSON out. All of it is "
            f"invented. {sample.AUTHOR} and {sample.APPROVER} are fictional people; what they "
            "wrote and approved shows you how the steps work, no real person has checked it."
        )
        first, second = st.columns(2)
        with first:
            st.button(
                "Open it at the start",
                key="sample-start",
                type="primary",
                width="stretch",
                on_click=_open_sample,
                args=(user, False),
            )
            shell.note("64 gold pairs and 40 test pairs. You import the other 260 yourself.")
        with second:
            st.button(
                "Open it part-way",
                key="sample-part-way",
                width="stretch",
                on_click=_open_sample,
                args=(user, True),
            )
            shell.note(
                f"The 260 pairs are imported too, and {sample.APPROVER} has approved 252 of them, "
                "planted faults included."
            )


def _open_sample(user: User, reviewed: bool) -> None:
    with st.spinner("Opening the sample project: a few seconds."):
        project = act("", sample.begin, user, reviewed=reviewed)
    if project is not None:
        choose_project(user, project.id)


def own(user: User) -> None:
    """The form that begins a project."""
    with st.form("begin-project"):
        st.text_input("Name", key="begin-name", max_chars=120)
        st.text_input(
            "Task, in one sentence",
            key="begin-task",
            placeholder="Read a customer's message and say which team takes it.",
        )
        st.text_area(
            "System message: sent before every input, the same for all pairs", key="begin-system"
        )
        st.text_area("Guidelines that experts and reviewers see (optional)", key="begin-guidelines")
        with st.expander("The output is JSON"):
            st.text_area("JSON schema of an output (optional)", key="begin-schema", height=140)
            st.text_input("Field that holds the label (optional)", key="begin-label")
        st.checkbox(
            "Gold pairs need a second person's approval", value=True, key="begin-two-people"
        )
        st.form_submit_button(
            "Start the project", type="primary", key="begin", on_click=_begin, args=(user,)
        )


def _begin(user: User) -> None:
    typed = {field: str(st.session_state[f"begin-{field}"]) for field in _FIELDS}
    project = act(
        "Project started.",
        beginnings.begin,
        user,
        typed["name"],
        typed["task"],
        typed["system"],
        schema_text=typed["schema"],
        label_field=typed["label"],
        guidelines=typed["guidelines"],
        two_people=bool(st.session_state["begin-two-people"]),
    )
    if project is None:
        return
    choose_project(user, project.id)
    for field in _FIELDS:
        st.session_state[f"begin-{field}"] = ""


def policy(project: Project) -> None:
    """The policy eras of a project, each with its state, and the way to change them."""
    with looking() as session:
        listed = projects.eras(session, project.id)
    shell.note(
        "A pair belongs to the rules it was written under. Pairs of a retired era do not train."
        if listed
        else "No eras yet. Add one when the rules change, so that old pairs do not train."
    )
    until = projects.last_days(listed)
    for era in listed:
        with st.container(gap="xxsmall"):
            st.text(era.name)
            last = until[era.id]
            days = f"from {era.starts_on}" + (f" to {last}" if last else "")
            shell.note(f"{'Retired' if era.retired else 'Not retired'}, {days}")
    shell.link("eras", "Add or change eras")
