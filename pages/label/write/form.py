"""The gold-pair editor on its page: words kept as typed, checked, stored once."""

import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from curation import visible
from curation.overlap import overlaps
from curation.review import decisions, ops, writing
from curation.review.ops import Scratch, Submission
from pages.frame.wiring import engine, looking
from pages.label.write.editor import PairAck, ScratchData, pair_editor
from pages.parts import pair_view
from pages.parts.stream.answers import Answers
from storage import pairs, scratch
from storage.blank import trim
from storage.engine import PRESS_MILLISECONDS, writing as transaction
from storage.errors import AssayError, Unavailable
from storage.types import Pair, Project, User

_KEY = "editor"
_ANSWERS = "editor-answers"
_LAST = 10
_QUOTED = 200
"""Characters of a stored input that are shown beside the one being typed."""


def show(user: User, project: Project) -> None:
    """The editor, then the person's last pairs."""
    with looking() as session:
        unsent = scratch.load(session, user, writing.form(project.id))
        typed = ops.scratch(unsent) if unsent else None  # those of the browser's last message
        near = _near(session, project, typed)
        topics = writing.topics(session, project.id)
    answers = st.session_state.setdefault(_ANSWERS, Answers())
    pair_editor(
        key=_KEY,
        data={
            "scratch": _scratch(typed),
            "problems": _problems(project, typed),
            "hint": _hint(near),
            "acks": answers.acks,
            "delayed": answers.delayed,
            "guidelines": project.guidelines,
            "schema": project.output_schema,
            "user": user.id,
            "project": project.id,
            "topics": topics,
        },
        on_draft_change=lambda: _keep(user, project),
        on_submit_change=lambda: _submit(user, project),
    )
    if near is not None:
        with st.container(border=True):
            pair_view.chips(near[0])
            pair_view.texts(near[0])
    _mine(user, project)


def _message(name: str) -> object:
    state = st.session_state.get(_KEY)
    return state.get(name) if state is not None else None


def _scratch(typed: Scratch | None) -> ScratchData | None:
    if typed is None:
        return None
    return {
        "prompt": typed.prompt,
        "response": typed.response,
        "topic": typed.topic,
        "at": typed.at,
    }


def _problems(project: Project, typed: Scratch | None) -> list[str]:
    if typed is None or not trim(typed.response):
        return []
    return list(decisions.problems(project, typed.response))


def _near(session: Session, project: Project, typed: Scratch | None) -> tuple[Pair, float] | None:
    """The stored pair whose input is most like the one being typed, and how alike they are."""
    if typed is None or len(trim(typed.prompt)) < 12:
        return None
    near = overlaps.nearest(session, project.id, typed.prompt)
    return None if near is None else (pairs.get(session, near.b), near.similarity)


def _hint(near: tuple[Pair, float] | None) -> str:
    if near is None:
        return ""
    pair, similarity = near
    more = "…" if len(pair.prompt) > _QUOTED else ""
    quoted = visible.reveal(pair.prompt[:_QUOTED]) + more
    return (
        f"This nearly repeats pair {pair.id} ({similarity:.0%} of the word runs are shared): "
        f"“{quoted}” A near-duplicate teaches little: write another case. The whole pair is below."
    )


def _keep(user: User, project: Project) -> None:
    typed = ops.scratch(_message("draft"))
    if typed is None:
        return
    with transaction(engine()) as session:
        scratch.save(session, user, writing.form(project.id), dict(_scratch(typed) or {}))


def _submit(user: User, project: Project) -> None:
    """Store each pair in a transaction of its own; nothing of Streamlit is touched after one."""
    submissions, database = ops.submissions(_message("submit")), engine()
    answers: Answers[PairAck] = Answers()
    st.session_state[_ANSWERS] = answers
    answers.take(submissions, lambda submission: _answer(database, user, project, submission))


def _answer(database: Engine, user: User, project: Project, submission: Submission) -> PairAck:
    try:
        with transaction(database, PRESS_MILLISECONDS) as session:
            pair = writing.gold(session, user, project.id, submission)
    except Unavailable:
        raise  # says nothing of the pair: it is taken as soon as it can be
    except AssayError as error:
        return {"status": ops.Answer.REFUSED.value, "message": str(error)}
    waits = "someone else's approval" if project.two_people else "approval"
    message = f"Saved as pair {pair.id}. It waits for {waits}."
    return {"status": ops.Answer.SAVED.value, "message": message}


def _mine(user: User, project: Project) -> None:
    """The person's last gold pairs, newest first."""
    with looking() as session:
        own = writing.latest(session, user, project.id, _LAST)
    if not own:
        return
    st.subheader("Your last pairs", anchor=False)
    wide = st.column_config.TextColumn(width=340)
    st.dataframe(
        [
            {
                "Pair": pair.id,
                "Status": pair.status.capitalize(),
                "Input": visible.reveal(pair.prompt),
                "Output": visible.reveal(pair.response),
                "Rejected because": visible.reveal(pair.reject_reason or ""),
            }
            for pair in own
        ],
        key=f"mine-{own[0].id}",
        column_config={"Input": wide, "Output": wide},
    )
