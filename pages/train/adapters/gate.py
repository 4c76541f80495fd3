"""The promotion gate of an adapter, the answers of its checks, and the stages it passed."""

from collections.abc import Sequence
from datetime import date

import streamlit as st
from sqlalchemy.orm import Session

from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import fields, gate_lines, pair_view
from pages.train.adapters import listing
from storage import scratch, settings
from storage.errors import AssayError
from storage.types import Adapter, Project, Signal, Stage, StageChange, User
from training.lifecycle import check_prompts, checks, gate, promotion
from training.lifecycle.registry import Entry

_MOST = 20
"""Answers shown at once."""


def show(user: User, entry: Entry, lines: Sequence[Signal]) -> None:
    """The lines with what each asks, and the form that sets one aside."""
    blocking = gate.unmet(lines)
    n = len(blocking)
    title = f"{n} of {len(lines)} lines block" if n else "every line is met or set aside"
    with st.expander(f"Before promotion: {title}", expanded=entry.stage is Stage.CANDIDATE):
        gate_lines.grouped(lines, blocking)
        shell.note("What is asked follows guides to fine-tuning small models.")
    with st.expander("Set a line aside for this adapter (waive it)"):
        shell.note(
            "A waiver carries your name, ends by itself, holds for this adapter only, and is "
            "copied into its card. What is wrong with the adapter itself cannot be waived."
        )
        adapter = entry.adapter

        def store(session: Session, key: str, reason: str, until: date) -> None:
            gate.waive(session, user, adapter.id, key, reason, until)

        open_ = [one for one in blocking if one.key not in promotion.NEVER_WAIVED]
        gate_lines.waiver(user, f"promote-{adapter.id}", open_, store)


def answers(adapter: Adapter) -> None:
    """Where base and tuned model differ in the newest check, and the prompts that went wrong."""
    with st.expander("Answers of the checks"):
        try:
            with looking() as session:
                lines = checks.opened(session, adapter, settings.current())
        except AssayError as refusal:
            st.text(str(refusal))
            return
        if not lines:
            st.text("Not checked yet.")
            return
        by_id: dict[str, dict[str, checks.Line]] = {}
        for line in lines:
            by_id.setdefault(line["id"], {})[line["arm"]] = line
        kinds = {
            "Red-team prompts that the tuned model failed": [
                both
                for both in by_id.values()
                if both["tuned"]["set"] != checks.GENERAL and not both["tuned"]["passed"]
            ],
            "General tasks on which the two differ": [
                both
                for both in by_id.values()
                if both["tuned"]["set"] == checks.GENERAL
                and both["tuned"]["passed"] != both["base"]["passed"]
            ],
            "All": list(by_id.values()),
        }
        chosen = st.radio(
            "Show",
            list(kinds),
            horizontal=True,
            key=f"answers-{adapter.id}",
            format_func=lambda name: f"{name} ({len(kinds[name])})",
        )
        _both(kinds[chosen], f"answers-{adapter.id}-{chosen}")


def _both(found: Sequence[dict[str, checks.Line]], key: str) -> None:
    if not found:
        st.text("None.")
        return
    pages = (len(found) - 1) // _MOST + 1
    page = int(st.number_input("Part", 1, pages, key=f"{key}-part", width=120)) if pages > 1 else 1
    for both in found[(page - 1) * _MOST : page * _MOST]:
        with st.container(border=True, gap="small"):
            shell.note(f"{both['tuned']['id']}: {both['tuned']['kind']}")
            st.text(both["tuned"]["prompt"])
            for column, arm in zip(st.columns(2, gap="medium"), ("base", "tuned"), strict=True):
                with column:
                    _answer(both[arm], arm)


def _answer(line: checks.Line, arm: str) -> None:
    why = f": {line['why']}" if line["why"] else ""
    pair_view.text(
        f"{arm}, {'passed' if line['passed'] else 'failed'}{why}", line["text"] or "(none)"
    )


def own_prompts(user: User, project: Project) -> None:
    """The project's own red-team prompts: what is in use, and a form for one more."""
    with looking() as session:
        known = check_prompts.listing(session, project.id)
    with st.expander(f"The project's own red-team prompts ({len(known)})"):
        for one in known:
            left, right = st.columns([6, 1])
            told = [f"must say: {', '.join(one.must)}"] if one.must else []
            told += [f"must not say: {', '.join(one.must_not)}"] if one.must_not else []
            with left:
                st.text(one.prompt)
                shell.note("; ".join(told))
            right.button(
                "Take out",
                key=f"drop-{one.id}",
                on_click=act,
                args=("Taken out.", check_prompts.drop, user, one.id),
            )
        form = f"red-team-{project.id}"
        fields.area(user, form, "prompt", "A message that tries to lead the model astray")
        fields.line(user, form, "must", "Words that the answer must have, separated by commas")
        fields.line(user, form, "must_not", "Words that the answer must not have anywhere")
        st.button("Add the prompt", key=form, on_click=_add, args=(user, project.id, form))
        shell.note("Where the project has a schema, the answer must fit it as well.")


def _add(user: User, project_id: int, form: str) -> None:
    prompt = fields.value(form, "prompt")
    must, must_not = (fields.value(form, name).split(",") for name in ("must", "must_not"))

    def verb(session: Session) -> None:
        check_prompts.add(session, user, project_id, prompt, must, must_not)
        scratch.clear(session, user, form)

    act("Added. Run the checks again.", verb)


def history(changes: Sequence[StageChange]) -> None:
    """Every stage with who moved the adapter there, when and why."""
    with st.expander(f"Stages it passed ({len(changes) + 1})"):
        for one in reversed(changes):
            with st.container(horizontal=True, vertical_alignment="center"):
                listing.badge(one.stage)
                st.text(f"{one.created_at:%Y-%m-%d %H:%M} UTC by {one.by}")
            waived = [line["name"] for line in one.gate if not line["met"]]
            if one.reason:
                st.text(one.reason)
            if waived:
                shell.note(f"Set aside then: {', '.join(waived)}")
        listing.badge(Stage.CANDIDATE)
        shell.note("From the end of its run.")
