"""The lines of the readiness gate: state, figures, what to do, and the way to the pairs."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import streamlit as st
from sqlalchemy.orm import Session

from curation.gate import readiness
from pages.frame import shell
from pages.parts import fields, pair_view, table
from storage.types import Project, Signal, User

_USUAL = timedelta(days=30)
_WIDTHS = [1.3, 3, 3, 2.4, 4]
_TITLES = ("", "Line", "Measured", "Asked", "What to do")


def top(signals: Sequence[Signal]) -> None:
    """Ready or not, and the one next step."""
    blocking = readiness.unmet(signals)
    if not blocking:
        st.success("Ready: every line is met or waived by a lead.")
        shell.link("launch", "Next: launch a training run")
        return
    verb = "blocks" if len(blocking) == 1 else "block"
    st.warning(f"Not ready: {len(blocking)} of {len(signals)} lines {verb}.")
    with st.container(border=True):
        shell.note("Next step")
        st.text(f"{blocking[0].name}: {blocking[0].fix}")
        _way(blocking[0])


def grouped(signals: Sequence[Signal], blocking: Sequence[Signal]) -> None:
    """All lines: those that block first, then those waived, then those met."""
    waived = [line for line in signals if not line.met and line not in blocking]
    met = [line for line in signals if line.met]
    for title, lines in (("Not met", blocking), ("Waived", waived), ("Met", met)):
        if lines:
            st.subheader(f"{title} ({len(lines)})", anchor=False)
            with st.container(border=True, gap="small"):
                table.heads(_WIDTHS, _TITLES)
                for line in lines:
                    _line(line, blocks=line in blocking)


def _line(line: Signal, *, blocks: bool) -> None:
    state, name, measured, required, todo = st.columns(_WIDTHS, gap="small")
    with state:
        _state(line, blocks)
    name.text(line.name)
    measured.text(line.measured)
    required.text(line.required)
    with todo.container(gap="xsmall"):
        if line.waiver:
            st.text(f"Waived by {line.waiver}")
        if not line.met:
            st.text(line.fix)
            _way(line)


def _state(line: Signal, blocks: bool) -> None:
    if line.met:
        st.badge("Met", icon=":material/check:", color="green")
    elif blocks:
        st.badge("Not met", icon=":material/close:", color="red")
    else:
        st.badge("Waived", icon=":material/schedule:", color="orange")


def _way(line: Signal) -> None:
    if line.page and (line.page != "browse" or not line.pairs):
        shell.link(line.page, f"Open {shell.at(line.page).title}")
    if line.pairs:
        pair_view.link(line.pairs.ids, f"Show {pair_view.many(line.pairs)}")


def limits(signals: Sequence[Signal]) -> None:
    """What the lines do not catch."""
    with st.expander("What these checks do not catch"):
        st.text("\n".join(f"• {line.name}: {line.limits}" for line in signals if line.limits))


def waive(user: User, project: Project, signals: Sequence[Signal]) -> None:
    """The form with which a lead waives one line."""
    open_ = [line for line in readiness.unmet(signals) if line.key not in readiness.NEVER_WAIVED]
    with st.expander("Waive a line"):
        shell.note(
            "A waiver carries your name, ends by itself, and is copied into the card of every "
            "adapter trained under it. Some lines can never be waived: pairs without a person's "
            "approval, and training pairs that repeat test pairs."
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
        st.text("No line that could be waived is open.")
        return
    names = {line.key: line.name for line in open_}
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
    st.button("Waive this line", key=form, on_click=_waive_now, args=(user, chosen, form, store))


def _waive_now(
    user: User, signal: str, form: str, store: Callable[[Session, str, str, date], None]
) -> None:
    reason, until = fields.value(form, "reason"), st.session_state[fields.key(form, "until")]
    fields.send("Waived, under your name.", user, form, store, signal, reason, until)
