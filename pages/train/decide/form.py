"""The decision record: its questions, its signatures, and the advice that comes before both."""

import streamlit as st

from curation.gate import decision
from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import fields, pair_view
from storage import people
from storage.types import Project, User

ADVICE = """
| Your need | Better prompt, examples | Looking facts up (retrieval) | Tuning |
|---|---|---|---|
| Facts that change weekly, answers that cite a source | helps | **yes** | no |
| One fixed format, tone or set of labels, over and over | first try | somewhat | **yes** |
| Sorting, routing, extracting: stable input, stable output | first try | somewhat | **yes** |
| A smaller, cheaper or in-house model, shorter prompts | no | no | **yes** |
| Requirements that change often, or general use | **yes** | somewhat | no |
"""
_PARTS = {"business": "business owner", "technical": "technical owner"}


def advice(*, expanded: bool) -> None:
    """The order in which to try things, in plain words."""
    with st.expander("Prompt first, then retrieval, then tuning", expanded=expanded):
        st.markdown(ADVICE)
        st.text(
            "Tune when prompting has stopped getting better on the same kind of error "
            f"{decision.PLATEAU} times or more, or when speed, cost or privacy ask for a small "
            "model. Both together is a good answer too: tune how it answers, look up what it "
            "answers with.\n"
            "Do not tune when facts change weekly, when answers must cite line by line, when "
            "fewer than 200 good pairs can be had, or when the task is no input and output."
        )


def record(user: User, project: Project, newest: decision.DecisionRecord | None) -> None:
    """The newest record, with who signed it and when."""
    if newest is None:
        shell.note("Nobody has written the record yet. Answer the questions below.")
        return
    with looking() as session:
        names = people.names(session)
    with st.container(border=True):
        st.subheader("The record", anchor=False)
        writer = names.get(newest.written_by, "someone")
        shell.note(f"Written by {writer} on {newest.created_at:%d %B %Y}.")
        for key, question in decision.QUESTIONS.items():
            pair_view.text(question, newest.answers[key])
        pair_view.text("How often the facts change", newest.facts_change)
        pair_view.text(
            "Prompt iterations that ended in the same class of error", f"{newest.iterations}"
        )
        _warnings(newest)
        for part, title in _PARTS.items():
            _signature(user, project, newest, part, title, names)


def _warnings(newest: decision.DecisionRecord) -> None:
    if newest.facts_change == decision.CHANGE[-1]:
        st.warning("Facts that change weekly ask for retrieval: tuning would teach old ones.")
    if newest.iterations < decision.PLATEAU:
        st.warning(
            f"Fewer than {decision.PLATEAU} prompt iterations with the same class of error: a "
            "better prompt may still do it."
        )


def _signature(
    user: User,
    project: Project,
    newest: decision.DecisionRecord,
    part: str,
    title: str,
    names: dict[int, str],
) -> None:
    signer = newest.signatures.get(part)
    if signer is not None:
        when = newest.signed_at[part]
        st.badge(f"Signed as {title}", icon=":material/check:", color="green")
        st.text(f"{names.get(signer, 'someone')}, {when:%d %B %Y}")
        return
    st.button(
        f"Sign as {title}",
        key=f"sign-{part}-{newest.id}",
        on_click=act,
        args=(f"Signed as {title}.", decision.sign, user, project.id, part),
    )


def questions(user: User, project: Project, newest: decision.DecisionRecord | None) -> None:
    """The questions. Words are kept as typed; a new record replaces the one before."""
    form = f"decide-{project.id}-{newest.id if newest else 0}"
    before = newest.answers if newest else {}
    for key, question in decision.QUESTIONS.items():
        fields.area(user, form, key, question, before.get(key, ""))
    draft = fields.load(user, form)
    change, tried = fields.key(form, "facts_change"), fields.key(form, "iterations")
    facts_change = draft.get("facts_change", newest.facts_change if newest else None)
    st.selectbox(
        "How often do the facts in the answers change?",
        decision.CHANGE,
        index=decision.CHANGE.index(facts_change) if facts_change in decision.CHANGE else None,
        placeholder="Choose",
        key=change,
        on_change=fields.keep,
        args=(user, form, "facts_change"),
    )
    st.number_input(
        "How many prompt iterations ended in the same class of error?",
        min_value=0,
        max_value=1000,
        value=int(str(draft.get("iterations", newest.iterations if newest else 0))),
        step=1,
        key=tried,
        on_change=fields.keep,
        args=(user, form, "iterations"),
    )
    st.button(
        "Write the record" if newest is None else "Replace the record",
        key=f"write-{form}",
        type="primary" if newest is None else "secondary",
        on_click=_write_now,
        args=(user, project.id, form),
    )


def _write_now(user: User, project_id: int, form: str) -> None:
    answers = {key: fields.value(form, key) for key in decision.QUESTIONS}
    change = fields.value(form, "facts_change")
    iterations = int(st.session_state[fields.key(form, "iterations")])
    done = "The record is written. Both owners sign it next."
    args = (user, project_id, answers, change, iterations)
    fields.send(done, user, form, decision.write, *args)
