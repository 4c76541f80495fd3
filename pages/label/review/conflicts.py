"""Decisions that came too late, for leads: what was decided beside the pair as it is now."""

from collections.abc import Mapping, Sequence

import streamlit as st

from curation import statistics
from curation.review import conflicts
from curation.review.conflicts import LateOnes
from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import act, looking
from pages.parts import pair_view
from storage import pairs, people
from storage.types import Action, Decision, Pair, Project, Role, User

_OLDEST = 3
_DID = {Action.APPROVE: "approved", Action.REJECT: "rejected", Action.FLAG: "flagged"}


def show(user: User, project: Project) -> None:
    """The oldest late decisions; nothing where there are none, or for those who are no leads."""
    if Role.LEAD not in user.roles:
        return
    with looking() as session:
        late = conflicts.by_person(session, project.id)
        if not late:
            return
        oldest = [
            (decision, pairs.get(session, decision.pair_id))
            for decision in conflicts.late(session, project.id, _OLDEST)
        ]
        names = people.names(session)
    total = sum(own.count for own in late)
    st.subheader("Late decisions", anchor=False)
    shell.note(
        f"{statistics.count(total, 'decision')} came after the pair had moved on. "
        "Nothing was lost and nothing was applied: you choose which holds."
    )
    for decision, pair in oldest:
        _conflict(user, decision, pair, names.get(decision.user_id, "Someone"))
    if total > _OLDEST:
        _in_bulk(user, project, late, names)


def _in_bulk(
    user: User, project: Project, late: Sequence[LateOnes], names: Mapping[int, str]
) -> None:
    """A way out where too many came to look at each: the pairs stay as they are."""
    with st.expander("Settle all of one person"):
        shell.note("The decisions stay in the history of their pairs. Nothing else changes.")
        for own in late:
            name, many = names.get(own.user_id, "Someone"), statistics.count(own.count, "decision")
            st.button(
                plain(f"Keep the pairs as they are, against {many} of {name}"),
                key=f"keep-pairs-{own.user_id}-{own.newest}",
                on_click=act,
                args=(
                    "The pairs stay as they are.",
                    conflicts.keep_pairs,
                    user,
                    project.id,
                    own.user_id,
                    own.newest,
                ),
            )


def _conflict(user: User, decision: Decision, pair: Pair, name: str) -> None:
    with st.container(border=True):
        now, then = st.columns(2)
        with now:
            st.subheader("The pair as it is", anchor=False)
            pair_view.chips(pair)
            pair_view.texts(pair)
        with then:
            st.subheader("The late decision", anchor=False)
            because = f", because: {decision.reason}" if decision.reason else ""
            st.text(
                f"{name} {_DID.get(decision.action, decision.action.value)} version "
                f"{decision.seen_version}{because}"
            )
            pair_view.text("Input", pair.prompt if decision.prompt is None else decision.prompt)
            pair_view.text(
                "Output", pair.response if decision.response is None else decision.response
            )
        key = f"{decision.id}-{pair.version}"
        now.button(
            "Keep the pair as it is",
            key=f"keep-{key}",
            on_click=act,
            args=("The pair stays as it is.", conflicts.settle, user, decision.id),
            kwargs={"take": False},
        )
        then.button(
            "Take this decision",
            key=f"take-{key}",
            on_click=act,
            args=("The decision was taken over.", conflicts.settle, user, decision.id),
            kwargs={"take": True, "seen_version": pair.version},
        )
