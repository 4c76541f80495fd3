"""Browsing pairs: queues with counts, and the list of one queue."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from sqlalchemy.orm import Session

from curation import statistics, visible
from pages.frame import shell
from pages.frame.wiring import looking
from pages.parts import pair_view
from storage import pairs
from storage.types import Pair, PairStatus, Project

_LIMIT = 500
"""Pairs that one list shows."""
_DIGITS = 9
_LOW = 180
"""Pixels of the list at most while a pair stands open below it."""


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
    key = f"rows-{pair_view.digest(chosen)}"
    st.dataframe(
        [_cells(pair) for pair in chosen],
        key=key,
        selection_mode="single-row",
        on_select=lambda: _open(key, chosen),
        height=pair_view.height(len(chosen), pair_view.HEIGHT if address.row is None else _LOW),
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


def _open(key: str, listed: Sequence[Pair]) -> None:
    ticked = st.session_state[key]["selection"]["rows"]
    _open_number(listed[ticked[0]].id if ticked else None)


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
