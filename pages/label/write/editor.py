"""The gold-pair editor: words beside the guidelines, checked as typed, kept through a crash."""

from collections.abc import Callable, Mapping
from typing import NotRequired, TypedDict

import streamlit as st

from pages.parts.stream.assets import asset
from pages.parts.stream.echo import echo


class ScratchData(TypedDict):
    """The words as the server last kept them; `at` is the browser's clock in milliseconds."""

    prompt: str
    response: str
    topic: str | None
    at: int


class PairAck(TypedDict):
    """The answer to one submission: `saved` with "Saved as pair 31.", or `refused` with why."""

    status: str
    message: str


class EditorData(TypedDict):
    """Everything the editor draws. `problems` and `hint` are about the last draft received."""

    scratch: ScratchData | None
    problems: list[str]
    hint: str
    """A near-duplicate that exists already, in a sentence; "" where there is none."""
    acks: dict[str, PairAck]
    delayed: NotRequired[str]
    """Why some pairs could not be saved yet."""
    guidelines: str
    schema: Mapping[str, object] | None
    user: int | str
    project: int
    topics: NotRequired[list[str]]


_EDITOR = st.components.v2.component(
    "assay_pair_editor",
    html=asset(__file__, "editor.html"),
    css=asset(__file__, "common.css", "editor.css"),
    js=asset(__file__, "common.js", "editor.js"),
)


def pair_editor(
    *,
    data: EditorData,
    key: str,
    on_draft_change: Callable[[], None],
    on_submit_change: Callable[[], None],
) -> None:
    """Mount the editor.

    `st.session_state[key]["draft"]` is for `curation.review.ops.scratch`, `["submit"]` is `{ops,
    n}` for `curation.review.ops.submissions`. Saving must also empty the scratch.

    Not inside `st.fragment`: after a restart Streamlit drops, unheard, the messages of a fragment
    that the new session has not drawn yet, and the outbox would wait for ever.
    """
    _EDITOR(
        key=key,
        data={**data, "n": echo(key, "submit"), "draft_n": echo(key, "draft")},
        on_draft_change=on_draft_change,
        on_submit_change=on_submit_change,
    )
