"""Browsing pairs: queues with counts, the list of one queue, and one pair with its history."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from sqlalchemy.orm import Session

from curation import statistics, visible
from curation.review import decisions
from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import pair_view
from storage import pairs, people, projects
from storage.errors import NotFound
from storage.types import Decision, Outcome, Pair, PairStatus, Project, User

_LIMIT = 500
"""Pairs that one list shows."""
_DIGITS = 9
_HEIGHT, _LOW, _LINE = 320, 180, 35
"""Pixels of the list at most, while a pair stands open below it, and of one of its lines."""


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue: its title, and which pairs stand in it."""

    title: str
    status: PairStatus | None = None
    flagged: bool | None = None
    held_out: bool | None = None


_QUEUES = {
    "waiting": Queue("Waiting", status=PairStatus.WAITING),
    "approved": Queue("Approved", status=PairStatus.APPROVED),
    "rejected": Queue("Rejected", status=PairStatus.REJECTED),
    "flagged": Queue("Flagged", flagged=True),
    "held-out": Queue("Test pairs", held_out=True),
}


@dataclass(frozen=True, slots=True)
class Address:
    """What the address asks for."""

    queue: str
    ids: tuple[int, ...]
    """Pairs to list instead of a queue, as pages that found something link to them."""
    row: int | None


def address() -> Address:
    """Read the address; what makes no sense in it is left out."""
    queue = st.query_params.get("queue", "waiting")
    ids = tuple(filter(None, map(_number, st.query_params.get("rows", "").split(","))))
    return Address(
        queue if queue in _QUEUES else "waiting", ids, _number(st.query_params.get("row", ""))
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def queues(project: Project, address: Address) -> None:
    """The queues with their counts, or the way back to them from a list of pairs."""
    if address.ids:
        left, right = st.columns([3, 1], vertical_alignment="center")
        left.text(f"{statistics.count(len(address.ids), 'pair')} that another page pointed to")
        right.button("Show the queues", key="show-queues", on_click=_forget, args=("rows", "row"))
        return
    with looking() as session:
        counts = _counts(session, project)
    key = f"queue-{project.id}-{address.queue}"
    st.segmented_control(
        "Queue",
        list(_QUEUES),
        default=address.queue,
        required=True,
        key=key,
        format_func=lambda queue: f"{_QUEUES[queue].title} {counts[queue]}",
        label_visibility="collapsed",
        on_change=_go,
        args=(key,),
    )


def _counts(session: Session, project: Project) -> dict[str, int]:
    stands = pairs.counts(session, project.id)
    return {
        "waiting": stands[PairStatus.WAITING],
        "approved": stands[PairStatus.APPROVED],
        "rejected": stands[PairStatus.REJECTED],
        "flagged": len(pairs.listing(session, project.id, flagged=True)),
        "held-out": len(pairs.listing(session, project.id, held_out=True)),
    }


def _go(key: str) -> None:
    st.query_params["queue"] = st.session_state[key]
    _forget("row")


def _forget(*names: str) -> None:
    for name in names:
        if name in st.query_params:
            del st.query_params[name]


def draw(project: Project, address: Address) -> None:
    """The pairs of the queue; choosing one opens it below."""
    with looking() as session:
        chosen = _chosen(session, project, address)
    if not chosen:
        st.info("No pair is here. Choose another queue above.")
        return
    # The key holds the pairs: a place in the list never means another pair than it showed.
    versions = ",".join(f"{pair.id}:{pair.version}" for pair in chosen)
    key = f"rows-{hashlib.sha256(versions.encode()).hexdigest()[:16]}"
    st.dataframe(
        [_cells(pair) for pair in chosen],
        key=key,
        selection_mode="single-row",
        on_select=lambda: _open(key, chosen),
        height=min(_HEIGHT if address.row is None else _LOW, _LINE * (len(chosen) + 1) + 3),
        column_config={"Input": st.column_config.TextColumn(width=480)},
    )
    more = f"The first {_LIMIT} are listed. " if len(chosen) == _LIMIT else ""
    shell.note(f"{more}Tick a pair to open it, or give its number.")


def _chosen(session: Session, project: Project, address: Address) -> list[Pair]:
    if address.ids:
        return pairs.listing(session, project.id, ids=address.ids, limit=_LIMIT)
    queue = _QUEUES[address.queue]
    return pairs.listing(
        session,
        project.id,
        status=queue.status,
        flagged=queue.flagged,
        held_out=queue.held_out,
        limit=_LIMIT,
    )


def _cells(pair: Pair) -> dict[str, str]:
    return {
        "Pair": str(pair.id),
        "Status": pair.status.capitalize() + ", flagged" * pair.flagged,
        "Origin": pair.origin.capitalize() + ", test pair" * pair.held_out,
        "Input": visible.reveal(pair.prompt),
        "Output": visible.reveal(pair.response),
    }


def _open(key: str, listed_pairs: Sequence[Pair]) -> None:
    chosen = st.session_state[key]["selection"]["rows"]
    if chosen:
        st.query_params["row"] = str(listed_pairs[chosen[0]].id)
    else:
        _forget("row")


def by_number(address: Address) -> None:
    """A field for the number of a pair, for those who know it or use the keyboard."""
    key = f"open-{address.row}"
    st.number_input(
        "Pair number",
        min_value=1,
        max_value=10**_DIGITS - 1,
        step=1,
        value=address.row,
        key=key,
        width=200,
        on_change=lambda: _open_number(st.session_state[key]),
    )


def _open_number(number: int | None) -> None:
    if number is None:
        _forget("row")
    else:
        st.query_params["row"] = str(number)


def detail(user: User, project: Project, pair_id: int) -> None:
    """One pair: its words, what is wrong with it, where it comes from, who decided what."""
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
    labels = {
        "file": "file",
        "line": "line",
        "id": "record",
        "model": "model",
        "seed": "seed",
        "prompt_sha256": "prompt hash",
    }
    source = pair.source
    parts += [f"{label} {source[name]}" for name, label in labels.items() if source.get(name)]
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
