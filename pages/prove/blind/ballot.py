"""The blind ballot: one input, two answers, four keys; nothing in it could tell the sides."""

from collections.abc import Callable
from typing import NotRequired, TypedDict

import streamlit as st

from pages.parts.stream.assets import asset
from pages.parts.stream.echo import echo


class ItemData(TypedDict):
    """What a blind reviewer sees of one item, and nothing else; `item` is opaque."""

    item: str
    prompt: str
    left: str
    right: str
    position: int
    planned: int


class VoteAck(TypedDict):
    """The answer to one vote; `status` is a `curation.review.ops.Answer`."""

    status: str
    message: str
    version: NotRequired[int | None]
    fence: NotRequired[int | None]


class BallotData(TypedDict):
    """Everything the ballot draws. `done` counts this person's standing votes."""

    items: list[ItemData]
    acks: dict[str, VoteAck]
    delayed: NotRequired[str]
    """Why some votes could not be saved yet."""
    done: int
    planned: int
    trial: int
    user: int | str
    project: int


_BALLOT = st.components.v2.component(
    "assay_ballot",
    html=asset(__file__, "ballot.html"),
    css=asset(__file__, "common.css", "output.css", "ballot.css"),
    js=asset(__file__, "common.js", "ballot.js"),
)


def ballot(*, data: BallotData, key: str, on_outbox_change: Callable[[], None]) -> None:
    """Mount the ballot.

    `st.session_state[key]["outbox"]` is `{ops, have, n}` for `curation.review.ops.ballot_ops` and
    `loaded_items`.

    Not inside `st.fragment`: after a restart Streamlit drops, unheard, the messages of a fragment
    that the new session has not drawn yet, and the outbox would wait for ever.
    """
    _BALLOT(key=key, data={**data, "n": echo(key, "outbox")}, on_outbox_change=on_outbox_change)
