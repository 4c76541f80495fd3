"""The promotion gate of an adapter, and the stages it passed."""

from collections.abc import Sequence
from datetime import date

import streamlit as st
from sqlalchemy.orm import Session

from pages.frame import shell
from pages.parts import gate_lines
from pages.train.adapters import listing
from storage.types import Signal, Stage, StageChange, User
from training.lifecycle import gate
from training.lifecycle.promotion import NEVER_WAIVED
from training.lifecycle.registry import Entry


def show(user: User, entry: Entry, lines: Sequence[Signal]) -> None:
    """The lines with what each asks, and the form that waives one."""
    blocking = gate.unmet(lines)
    n = len(blocking)
    title = f"{n} of {len(lines)} lines block" if n else "every line is met or waived"
    with st.expander(f"Before promotion: {title}", expanded=entry.stage is Stage.CANDIDATE):
        gate_lines.grouped(lines, blocking)
        shell.note("What is asked follows guides to fine-tuning small models.")
    with st.expander("Waive a line for this adapter"):
        shell.note(
            "A waiver carries your name, ends by itself, holds for this adapter only, and is "
            "copied into its card. What is wrong with the adapter itself cannot be waived."
        )
        adapter = entry.adapter

        def store(session: Session, key: str, reason: str, until: date) -> None:
            gate.waive(session, user, adapter.id, key, reason, until)

        open_ = [line for line in blocking if line.key not in NEVER_WAIVED]
        gate_lines.waiver(user, f"promote-{adapter.id}", open_, store)


def history(changes: Sequence[StageChange]) -> None:
    """Every stage with who moved the adapter there, when and why."""
    with st.expander(f"Stages it passed ({len(changes) + 1})"):
        for change in reversed(changes):
            with st.container(horizontal=True, vertical_alignment="center"):
                listing.badge(change.stage)
                st.text(f"{change.created_at:%Y-%m-%d %H:%M} UTC by {change.by}")
            waived = [line["name"] for line in change.gate if not line["met"]]
            if change.reason:
                st.text(change.reason)
            if waived:
                shell.note(f"Waived then: {', '.join(waived)}")
        listing.badge(Stage.CANDIDATE)
        shell.note("From the end of its run.")
