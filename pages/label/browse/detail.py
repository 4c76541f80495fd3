"""One pair with its history: its texts, where it comes from, who decided what."""

import streamlit as st

from curation import visible
from curation.review import decisions
from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import pair_view
from storage import pairs, people, projects
from storage.errors import NotFound
from storage.types import Decision, Outcome, Pair, PairStatus, Project, User

_SOURCE = {
    "file": "file",
    "line": "line",
    "id": "record",
    "model": "model",
    "seed": "seed",
    "prompt_sha256": "prompt hash",
}
"""What is told of a pair's source, in words."""


def show(user: User, project: Project, pair_id: int) -> None:
    """The pair, what is wrong with it, and the way back to review."""
    try:
        with looking() as session:
            pair = pairs.get(session, pair_id)
            history = pairs.history(session, pair_id)
            names = people.names(session)
            eras = {era.id: era.name for era in projects.eras(session, project.id)}
    except NotFound as missing:
        st.error(str(missing))
        return
    if pair.project_id != project.id:
        st.error(f"Pair {pair_id} belongs to another project.")
        return
    with st.container(border=True):
        pair_view.chips(pair)
        pair_view.texts(pair)
        for problem in decisions.problems(project, pair.response):
            st.text(f"Does not fit the schema: {problem}")
        shell.note(_origin(pair, eras.get(pair.era_id or 0), names))
        for decision in history:
            _decision(decision, names.get(decision.user_id, "Someone"))
        _reopening(user, pair)


def _origin(pair: Pair, era: str | None, names: dict[int, str]) -> str:
    parts = [f"Version {pair.version}"]
    if pair.author_id is not None:
        parts.append(f"written by {names.get(pair.author_id, 'someone')}")
    source = pair.source
    parts += [f"{label} {source[name]}" for name, label in _SOURCE.items() if source.get(name)]
    parts += [f"topic {pair.topic}"] if pair.topic else []
    parts += [f"era {era}"] if era else []
    return visible.reveal(" · ".join(parts))


def _decision(decision: Decision, name: str) -> None:
    late = " (late, kept aside)" if decision.outcome is Outcome.LATE else ""
    because = f": {visible.reveal(decision.reason)}" if decision.reason else ""
    edited = " with edits" if decision.prompt is not None or decision.response is not None else ""
    st.text(
        f"{decision.created_at:%Y-%m-%d %H:%M} UTC  {name}: "
        f"{decision.action.replace('_', ' ')}{edited} on version {decision.seen_version}"
        f"{late}{because}"
    )


def _reopening(user: User, pair: Pair) -> None:
    if pair.status is PairStatus.WAITING and not pair.flagged:
        shell.link("review", "It waits for review")
        return
    key = f"reason-{pair.id}-{pair.version}"
    field, button = st.columns([3, 1], vertical_alignment="bottom")
    field.text_input("Why it goes back to review", key=key, max_chars=200)
    button.button(
        "Reopen", key=f"reopen-{pair.id}-{pair.version}", on_click=_reopen, args=(user, pair, key)
    )


def _reopen(user: User, pair: Pair, key: str) -> None:
    reason = str(st.session_state[key])
    act(
        f"Pair {pair.id} waits for review again.",
        decisions.reopen,
        user,
        pair.id,
        pair.version,
        reason,
    )
