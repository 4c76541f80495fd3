"""Policy eras one by one: when each was in force, by which document, and the ways to change it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import streamlit as st

from curation import statistics
from curation.gate.measures import TextFigures
from curation.policy import eras
from curation.policy.eras import Revision
from pages.curate.eras import affected
from pages.frame import shell
from pages.frame.wiring import act
from storage import projects
from storage.types import Era, Project, User

_FIELDS = ("name", "starts", "ends", "document", "url", "phrases")
_VERBS = {
    "add": "added",
    "change": "changed",
    "retire": "retired",
    "reinstate": "reinstated",
    "undo": "put back",
}


def timeline(
    user: User,
    project_eras: Sequence[Era],
    histories: Mapping[int, list[Revision]],
    tagged: Mapping[int, int],
) -> None:
    """The eras, the newest first."""
    until, now = projects.last_days(project_eras), projects.current_era(project_eras)
    for era in sorted(project_eras, key=lambda era: era.starts_on, reverse=True):
        with st.container(border=True):
            left, ways = st.columns([5, 2], vertical_alignment="top")
            with left.container(gap="xxsmall"):
                _state(era, until[era.id], now)
                shell.note(_days(era, until[era.id], tagged.get(era.id, 0)))
                _reference(era)
            with ways:
                _turn(user, era)
            _change(user, era, histories[era.id])


def _state(era: Era, last: date | None, now: Era | None) -> None:
    today = datetime.now(UTC).date()
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        st.text(era.name)
        if era.retired:
            st.badge("Retired", icon=":material/block:", color="red")
        elif now is not None and era.id == now.id:
            st.badge("In force", icon=":material/check:", color="green")
        elif era.starts_on > today:
            st.badge("Starts later", icon=":material/schedule:", color="blue")
        elif last is not None and last < today:
            st.badge("Over", icon=":material/history:", color="gray")


def _days(era: Era, last: date | None, tagged: int) -> str:
    end = f"to {last}" if last is not None else "on, with no end"
    if last is not None and era.ends_on is None:
        end += " (the day before the next era)"
    return f"From {era.starts_on} {end} · {statistics.count(tagged, 'pair')} tagged"


def _reference(era: Era) -> None:
    if era.document or era.url:
        st.text(" · ".join(filter(None, (era.document, era.url))))
    if era.phrases:
        shell.note(f"Wording only this era used: {'; '.join(era.phrases)}")


def _turn(user: User, era: Era) -> None:
    verb, label, done = (
        (eras.reinstate, "Reinstate", "The era is in force again.")
        if era.retired
        else (eras.retire, "Retire", "The era is retired.")
    )
    st.button(
        label,
        key=f"turn-{era.id}-{era.retired}",
        on_click=act,
        args=(done, verb, user, era.id),
        width="stretch",
    )


def _change(user: User, era: Era, history: Sequence[Revision]) -> None:
    newest = history[0]
    with st.expander("Change it, or see what was changed"):
        _form(f"era-{era.id}-{newest.number}", era, "Save the change", user, newest.number)
        for revision in history:
            by = f" by {revision.by}" if revision.by else ""
            verb = _VERBS.get(revision.verb, revision.verb)
            shell.note(f"{revision.at:%Y-%m-%d %H:%M} UTC: {verb}{by}")
        if len(history) > 1:
            st.button(
                "Undo the last change",
                key=f"undo-era-{era.id}-{newest.number}",
                on_click=act,
                args=("Put back, as one more change.", eras.undo, user, era.id, newest.number),
            )


def new(user: User, project: Project, project_eras: Sequence[Era]) -> None:
    """The form that adds an era."""
    with st.expander("Add an era", expanded=not project_eras):
        shell.note("Add one when the rules change. Without an end it lasts until the next starts.")
        today = Era(0, project.id, "", datetime.now(UTC).date(), False, ())
        _form(f"new-era-{project.id}-{len(project_eras)}", today, "Add the era", user, None)


def _form(key: str, era: Era, label: str, user: User, revision: int | None) -> None:
    with st.form(key, border=False):
        left, right = st.columns(2)
        left.text_input("Name", value=era.name, key=f"{key}-name", max_chars=80)
        right.text_input(
            "Title of the policy", value=era.document, key=f"{key}-document", max_chars=500
        )
        left.date_input("First day", value=era.starts_on, key=f"{key}-starts")
        right.text_input(
            "Its address, shown as text", value=era.url, key=f"{key}-url", max_chars=500
        )
        left.date_input("Last day (may stay empty)", value=era.ends_on, key=f"{key}-ends")
        right.text_area(
            "Wording that only this era uses, one phrase a line",
            value="\n".join(era.phrases),
            key=f"{key}-phrases",
            height=80,
            help="A pair with such words counts as written under this era, whatever its tag says.",
        )
        st.form_submit_button(
            label,
            key=f"{key}-save",
            type="primary" if revision is None else "secondary",
            on_click=_save,
            args=(user, era, key, revision),
        )


def _save(user: User, era: Era, key: str, revision: int | None) -> None:
    typed = {field: st.session_state[f"{key}-{field}"] for field in _FIELDS}
    details = {
        "ends_on": typed["ends"],
        "document": typed["document"],
        "url": typed["url"],
        "phrases": typed["phrases"].splitlines(),
    }
    if revision is None:
        act(
            "The era is added.",
            eras.add,
            user,
            era.project_id,
            typed["name"],
            typed["starts"],
            **details,
        )
    else:
        act(
            "The change is saved.",
            eras.change,
            user,
            era.id,
            revision=revision,
            name=typed["name"],
            starts_on=typed["starts"],
            **details,
        )


def standing(project: Project, project_eras: Sequence[Era], texts: TextFigures) -> None:
    """Whether approved pairs still belong to a retired era, and the one thing to do then."""
    if not project_eras:
        st.info(
            "There are no eras yet. Add one when the rules change; old pairs then do not train."
        )
    elif not texts.retired:
        st.success("No approved pair belongs to a retired era.")
    else:
        belong = statistics.count(
            texts.retired.count, "approved pair belongs", "approved pairs belong"
        )
        st.warning(
            f"{belong} to a retired era, by tag or by wording. They block a training run until "
            "they are dealt with."
        )
    for era in project_eras:
        if era.retired and era.id in texts.eras:
            st.button(
                f"Deal with the pairs of {era.name}",
                key=f"deal-{era.id}",
                type="primary",
                on_click=affected.show_era,
                args=(project, era.id),
            )
