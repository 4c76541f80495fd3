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
from storage.pairs import PairFilter
from storage.types import Pair, PairStatus, Project

_SIZE = 200
"""Pairs that one page of a list shows."""
_DIGITS = 9
_LOW = 180
"""Pixels of the list at most while a pair stands open below it."""


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue: its title, and which pairs stand in it."""

    title: str
    wanted: PairFilter


_QUEUES = {
    "waiting": Queue("Waiting", {"status": PairStatus.WAITING}),
    "approved": Queue("Approved", {"status": PairStatus.APPROVED}),
    "rejected": Queue("Rejected", {"status": PairStatus.REJECTED}),
    "flagged": Queue("Flagged", {"flagged": True}),
    "held-out": Queue("Test pairs", {"held_out": True}),
}


@dataclass(frozen=True, slots=True)
class Address:
    """What the address asks for."""

    queue: str
    ids: tuple[int, ...]
    """Pairs to list instead of a queue, as pages that found something link to them."""
    row: int | None
    page: int = 1
    """Which page of the queue."""


def address() -> Address:
    """Read the address; what makes no sense in it is left out."""
    queue = st.query_params.get("queue", "waiting")
    ids = tuple(filter(None, map(_number, st.query_params.get("rows", "").split(","))))
    return Address(
        queue if queue in _QUEUES else "waiting",
        ids,
        _number(st.query_params.get("row", "")),
        _number(st.query_params.get("page", "")) or 1,
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def queues(project: Project, address: Address) -> None:
    """The queues with their counts, or the way back to them from a list of pairs."""
    if address.ids:
        left, right = st.columns([3, 1], vertical_alignment="center")
        left.text(f"{statistics.count(len(address.ids), 'pair')} that another page pointed to")
        right.button(
            "Show the queues", key="show-queues", on_click=_forget, args=("rows", "row", "page")
        )
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
        "flagged": pairs.count(session, project.id, flagged=True),
        "held-out": pairs.count(session, project.id, held_out=True),
    }


def _go(key: str) -> None:
    st.query_params["queue"] = st.session_state[key]
    _forget("row", "page")


def _forget(*names: str) -> None:
    for name in names:
        if name in st.query_params:
            del st.query_params[name]


def draw(project: Project, address: Address) -> None:
    """One page of the queue; choosing a pair opens it below."""
    with looking() as session:
        total = _total(session, project, address)
        last = max(1, -(-total // _SIZE))
        number = min(address.page, last)
        listed = _listed(session, project, address, number)
    if not listed:
        st.info("No pair is here. Choose another queue above.")
        return
    # The key holds the pairs: a place in the list never means another pair than it showed.
    key = f"rows-{pair_view.digest(listed)}"
    st.dataframe(
        [_cells(pair) for pair in listed],
        key=key,
        selection_mode="single-row",
        on_select=lambda: _open(key, listed),
        height=pair_view.height(len(listed), pair_view.HEIGHT if address.row is None else _LOW),
        column_config={"Input": st.column_config.TextColumn(width=480)},
    )
    shell.note("Tick a pair to open it, or give its number.")
    if last > 1:
        _turn(address, number, last)


def _total(session: Session, project: Project, address: Address) -> int:
    if address.ids:
        return len(address.ids)
    return pairs.count(session, project.id, **_QUEUES[address.queue].wanted)


def _listed(session: Session, project: Project, address: Address, number: int) -> list[Pair]:
    if address.ids:
        start = (number - 1) * _SIZE
        return pairs.listing(session, project.id, ids=sorted(address.ids)[start : start + _SIZE])
    return pairs.page(session, project.id, number, _SIZE, **_QUEUES[address.queue].wanted)


def _turn(address: Address, number: int, last: int) -> None:
    """Which page of a long queue; it stands in the address."""
    key = f"page-{address.queue}-{number}-{last}"
    st.number_input(
        f"Page (of {last})",
        min_value=1,
        max_value=last,
        value=number,
        key=key,
        width=200,
        on_change=lambda: _turn_to(st.session_state[key]),
    )


def _turn_to(number: int) -> None:
    st.query_params["page"] = str(number)
    _forget("row")


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
