"""The checks of an adapter: its answers beside the base's, and the project's own prompts."""

from collections.abc import Sequence

import streamlit as st

from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import fields, pair_view, table
from storage import settings
from storage.errors import AssayError
from storage.types import Adapter, Project, User
from training.lifecycle import check_prompts, checks

_SIZE = 20
"""Answers shown at once."""


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


def _both(answers: Sequence[dict[str, checks.Line]], key: str) -> None:
    if not answers:
        st.text("None.")
        return
    for both in table.page(answers, _SIZE, f"{key}-part"):
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
        prompts = check_prompts.listing(session, project.id)
    with st.expander(f"The project's own red-team prompts ({len(prompts)})"):
        for prompt in prompts:
            left, right = st.columns([6, 1])
            demands = [f"must say: {', '.join(prompt.must)}"] if prompt.must else []
            demands += [f"must not say: {', '.join(prompt.must_not)}"] if prompt.must_not else []
            with left:
                st.text(prompt.prompt)
                shell.note("; ".join(demands))
            right.button(
                "Take out",
                key=f"drop-{prompt.id}",
                on_click=act,
                args=("Taken out.", check_prompts.drop, user, prompt.id),
            )
        form = f"red-team-{project.id}"
        fields.area(user, form, "prompt", "An input that tries to lead the model astray")
        fields.line(user, form, "must", "Words that the answer must have, separated by commas")
        fields.line(user, form, "must_not", "Words that the answer must not have anywhere")
        st.button("Add the prompt", key=form, on_click=_add, args=(user, project.id, form))
        shell.note("Where the project has a schema, the answer must fit it as well.")


def _add(user: User, project_id: int, form: str) -> None:
    prompt = fields.value(form, "prompt")
    must, must_not = (fields.value(form, name).split(",") for name in ("must", "must_not"))
    message, args = "Added. Run the checks again.", (user, project_id, prompt, must, must_not)
    fields.send(message, user, form, check_prompts.add, *args)
