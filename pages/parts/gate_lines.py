"""The lines of the readiness gate: state, figures, what to do, and the way to the rows."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import streamlit as st
from sqlalchemy.orm import Session

from curation import statistics
from curation.gate import readiness
from pages.frame import shell
from pages.frame.wiring import act
from pages.parts import fields, pair_view
from storage import scratch
from storage.types import Project, Signal, User

_USUAL = timedelta(days=30)
_WIDTHS = [1.3, 3, 3, 2.4, 4]
_ORDER = (
    *("reviewed", "gold", "schema", "retired_era", "unscanned", "personal_data"),
    *("near_duplicates", "contradictions", "leakage", "audit"),
    *("unapproved", "test_share", "system_messages", "baseline"),
    *("plateau", "facts_change", "decision_record"),
)
"""The order of work: a version is frozen once its rows are clean, and measured once frozen."""


def blocking_of(signals: Sequence[Signal]) -> list[Signal]:
    """The lines that block, in the order in which to work on them."""
    return sorted(readiness.unmet(signals), key=lambda one: _ORDER.index(one.key))


def top(signals: Sequence[Signal]) -> None:
    """Ready or not, and the one next step."""
    blocking = blocking_of(signals)
    if not blocking:
        st.success("Ready: every line is met or set aside by a lead.")
        shell.link("launch", "Next: launch a training run")
        return
    verb = "blocks" if len(blocking) == 1 else "block"
    st.warning(f"Not ready: {len(blocking)} of {len(signals)} lines {verb}.")
    with st.container(border=True):
        shell.note("Next step")
        st.text(f"{blocking[0].name}: {blocking[0].fix}")
        _way(blocking[0])


def table(signals: Sequence[Signal]) -> None:
    """All lines of the readiness gate."""
    grouped(signals, blocking_of(signals))


def grouped(signals: Sequence[Signal], blocking: Sequence[Signal]) -> None:
    """All lines: those that block first, then those set aside, then those met."""
    waived = [one for one in signals if not one.met and one not in blocking]
    met = [one for one in signals if one.met]
    for title, lines in (("Not met", blocking), ("Set aside", waived), ("Met", met)):
        if lines:
            st.subheader(f"{title} ({len(lines)})", anchor=False)
            with st.container(border=True, gap="small"):
                _head()
                for one in lines:
                    _line(one, blocks=one in blocking)


def _head() -> None:
    titles = ("", "Line", "Measured", "Asked", "What to do")
    for column, title in zip(st.columns(_WIDTHS, gap="small"), titles, strict=True):
        with column:
            shell.note(title)


def _line(one: Signal, *, blocks: bool) -> None:
    state, name, measured, asked, todo = st.columns(_WIDTHS, gap="small")
    with state:
        _state(one, blocks)
    name.text(one.name)
    measured.text(one.measured)
    asked.text(one.asked)
    with todo.container(gap="xsmall"):
        if one.waiver:
            st.text(f"Set aside by {one.waiver}")
        if not one.met:
            st.text(one.fix)
            _way(one)


def _state(one: Signal, blocks: bool) -> None:
    if one.met:
        st.badge("Met", icon=":material/check:", color="green")
    elif blocks:
        st.badge("Not met", icon=":material/close:", color="red")
    else:
        st.badge("Waived", icon=":material/schedule:", color="orange")


def _way(one: Signal) -> None:
    if one.page and (one.page != "browse" or not one.pair_ids):
        shell.link(one.page, f"Open {shell.at(one.page).title}")
    if one.pair_ids:
        pair_view.link(one.pair_ids, f"Show {statistics.count(len(one.pair_ids), 'row')}")


def limits(signals: Sequence[Signal]) -> None:
    """What the lines do not catch."""
    with st.expander("What these checks do not catch"):
        st.text("\n".join(f"• {one.name}: {one.limits}" for one in signals if one.limits))


def waive(user: User, project: Project, signals: Sequence[Signal]) -> None:
    """The form with which a lead sets one line aside."""
    open_ = [one for one in blocking_of(signals) if one.key not in readiness.NEVER_WAIVED]
    with st.expander("Set a line aside (waive it)"):
        shell.note(
            "A waiver carries your name, ends by itself, and is copied into the card of every "
            "adapter trained under it. Two lines can never be waived: rows without a person's "
            "approval, and training rows that repeat test rows."
        )

        def store(session: Session, key: str, reason: str, until: date) -> None:
            readiness.waive(session, user, project.id, key, reason, until)

        waiver(user, f"{project.id}", open_, store)


def waiver(
    user: User,
    of: str,
    open_: Sequence[Signal],
    store: Callable[[Session, str, str, date], None],
) -> None:
    """The form for one of the open lines; `of` tells its widgets from those of another gate, and
    `store` is given the line's key, the reason and the last day.
    """
    if not open_:
        st.text("No line that could be set aside is open.")
        return
    names = {one.key: one.name for one in open_}
    chosen = st.selectbox(
        "Line", list(names), format_func=lambda key: names.get(key, ""), key=f"waive-line-{of}"
    )
    form = f"waive-{of}-{chosen}"
    fields.area(user, form, "reason", "Reason (at least 10 characters)")
    today = datetime.now(UTC).date()
    last = today + timedelta(days=readiness.LONGEST_WAIVER)
    st.date_input(
        f"Ends on ({readiness.LONGEST_WAIVER} days at most)",
        value=today + _USUAL,
        min_value=today,
        max_value=last,
        key=fields.key(form, "until"),
        width=320,
    )
    st.button(
        "Set this line aside", key=form, on_click=_waive_now, args=(user, chosen, form, store)
    )


def _waive_now(
    user: User, signal: str, form: str, store: Callable[[Session, str, str, date], None]
) -> None:
    until = st.session_state[fields.key(form, "until")]
    reason = fields.value(form, "reason")

    def verb(session: Session) -> None:
        store(session, signal, reason, until)
        scratch.clear(session, user, form)

    act("Set aside, under your name.", verb)
