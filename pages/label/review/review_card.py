"""The review card: one pair to judge at a time, a key for each decision, saved meanwhile."""

from collections.abc import Callable
from typing import NotRequired, TypedDict

import streamlit as st

from pages.parts.stream.assets import asset
from pages.parts.stream.echo import echo


class CardData(TypedDict):
    """One pair as the browser holds it; the claim's fence travels with it."""

    id: int
    version: int
    fence: int
    prompt: str
    response: str
    draft_prompt: str
    draft_response: str
    origin: str
    labels: list[str]
    """What else is known of the pair, a chip each: its era, its topic."""
    hidden: list[str]
    """Invisible characters found; `prompt_visible` and `response_visible` then reveal them."""
    problems: list[str]
    """Why the output does not fit the project's schema, a sentence each."""
    prompt_visible: NotRequired[str]
    response_visible: NotRequired[str]
    mine: NotRequired[bool]


class Ack(TypedDict):
    """The answer to one op; `status` is a `curation.review.ops.Answer`."""

    status: str
    message: str
    version: NotRequired[int | None]
    fence: NotRequired[int | None]


class RecentData(TypedDict):
    """One of the last decisions, newest first; version and fence let it be reopened at once."""

    op: str
    id: int
    action: str
    title: str
    undoable: bool
    version: NotRequired[int]
    fence: NotRequired[int]


class CountsData(TypedDict):
    """Where the queue stands."""

    waiting: int
    approved: int
    decided_today: int
    target: int


class ProbeData(TypedDict):
    """What the server thinks of the words being typed; `n` is the probe it answers."""

    n: int
    problems: list[str]


class ReviewData(TypedDict):
    """Everything the card draws."""

    cards: list[CardData]
    acks: dict[str, Ack]
    delayed: NotRequired[str]
    """Why some presses could not be saved yet."""
    recent: list[RecentData]
    reasons: list[str]
    counts: CountsData
    median_s: float | None
    user: int | str
    project: int
    guidelines: str
    probe: NotRequired[ProbeData | None]


_CARD = st.components.v2.component(
    "assay_review_card",
    html=asset(__file__, "review_card.html"),
    css=asset(__file__, "common.css", "output.css", "review_card.css"),
    js=asset(__file__, "common.js", "review_card.js"),
)


def review_card(
    *,
    data: ReviewData,
    key: str,
    on_outbox_change: Callable[[], None],
    on_probe_change: Callable[[], None],
) -> None:
    """Mount the card.

    `st.session_state[key]["outbox"]` is `{ops, have, want, n}` for `curation.review.ops.ops`,
    `loaded` and `wanted`: the pairs wanted must be among the cards, however many the browser holds.
    `["probe"]` is `{row, version, prompt, response, n}`. The browser repeats unacknowledged ops,
    so `data["acks"]` needs the answers of the last callback only. Undo raises the version by one
    whatever it takes back, a skip included.

    Not inside `st.fragment`: after a restart Streamlit drops, unheard, the messages of a fragment
    that the new session has not drawn yet, and the outbox would wait for ever.
    """
    _CARD(
        key=key,
        data={**data, "n": echo(key, "outbox")},
        on_outbox_change=on_outbox_change,
        on_probe_change=on_probe_change,
    )
