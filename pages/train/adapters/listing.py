"""The adapters of a project in a table: how far each has come, and what it scored."""

from collections.abc import Sequence

import streamlit as st

from curation import statistics
from pages.frame import shell
from pages.frame.plain import plain
from pages.parts import table
from storage.types import Stage
from training.lifecycle.registry import Entry

_WIDTHS = (1.5, 3.2, 1.3, 2.1, 1, 2, 2, 1.2)
_HEADS = ("Adapter", "Name", "Method", "Stage", "Version", "Exactly right", "Blind trial", "")
_FEW = 6
STAGES = {
    Stage.CANDIDATE: ("Candidate", "hourglass_empty", "gray"),
    Stage.APPROVED: ("Approved", "check", "blue"),
    Stage.PRODUCTION: ("Production", "rocket_launch", "green"),
    Stage.RETIRED: ("Retired", "block", "orange"),
}
"""Each stage in a word, with a symbol and a colour."""


def choose(entries: Sequence[Entry]) -> Entry:
    """Draw the table; the adapter that is chosen, else the newest."""
    wanted = st.query_params.get("adapter")
    chosen = next((entry for entry in entries if str(entry.adapter.number) == wanted), entries[0])
    count = len(entries) if st.session_state.get("all-adapters") else _FEW
    with st.container(border=True, gap="small"):
        table.heads(_WIDTHS, _HEADS)
        for entry in entries[:count]:
            _line(entry, chosen=entry is chosen)
        if len(entries) > _FEW:
            st.toggle(f"Show all {len(entries)} adapters", key="all-adapters")
        shell.note(
            "Exactly right: of the held-out pairs, in the newest comparison, with its 95 % "
            "interval."
        )
    return chosen


def badge(stage: Stage) -> None:
    """A stage as a chip."""
    word, icon, colour = STAGES[stage]
    st.badge(word, icon=f":material/{icon}:", color=colour)  # type: ignore[arg-type]  # a colour's name


def _line(entry: Entry, *, chosen: bool) -> None:
    number, name, method, stage, version, right, trial, show = st.columns(
        _WIDTHS, gap="small", vertical_alignment="center"
    )
    number.text(f"adapter@{entry.adapter.number}")
    name.text(entry.adapter.name)
    method.text(entry.method)
    with stage:
        badge(entry.stage)
    version.text(str(entry.version))
    right.text(_right(entry))
    trial.text(entry.verdict or "none yet")
    show.button(
        "Show", key=f"show-{entry.adapter.id}", disabled=chosen, on_click=_show, args=(entry,)
    )
    if entry.troubles and entry.stage is not Stage.RETIRED:
        st.warning(plain(f"adapter@{entry.adapter.number}: {'; '.join(entry.troubles)}."))


def _right(entry: Entry) -> str:
    if entry.sealed:
        return "sealed"
    if entry.right is None:
        return "not compared"
    k, n = entry.right
    return f"{k} of {n}\n({statistics.percent(statistics.wilson(k, n))})"


def _show(entry: Entry) -> None:
    st.query_params["adapter"] = str(entry.adapter.number)
