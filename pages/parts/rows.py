"""A pair on a page outside the review stream: its words, where it stands, and the way to it."""

from collections.abc import Sequence

import streamlit as st

from curation import visible
from pages.frame import identity, shell
from storage.types import Origin, Pair, PairStatus

BROWSE = "browse"
_MOST = 300
"""Ids in one address; browsers cut very long ones."""
_ORIGINS = {
    Origin.GOLD: "Gold",
    Origin.IMPORT: "Imported",
    Origin.DRAFT: "Draft of a model",
    Origin.PRODUCTION: "From production",
}


def chips(pair: Pair) -> None:
    """Number, origin and standing in words."""
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        st.badge(f"Pair {pair.id}", color="gray")
        st.badge(_ORIGINS[pair.origin], color="gray")
        colour = {PairStatus.APPROVED: "green", PairStatus.REJECTED: "red"}
        st.badge(pair.status.capitalize(), color=colour.get(pair.status, "orange"))  # type: ignore[arg-type]  # a colour's name
        if pair.held_out:
            st.badge("Test row", icon=":material/lock:", color="blue")
        if pair.flagged:
            st.badge("Flagged", icon=":material/flag:", color="orange")


def texts(pair: Pair) -> None:
    """Both sides of a pair as plain text, invisible characters shown."""
    words("Input", pair.prompt)
    words("Output", pair.response)


def words(label: str, text: str) -> None:
    """One text under a quiet label."""
    with st.container(gap="xxsmall"):
        shell.note(label)
        st.text(visible.reveal(text))


def browse(ids: Sequence[int], label: str) -> None:
    """A way to these rows on the Browse page; their numbers where that is not open to one."""
    place = shell.at(BROWSE)
    if place in shell.open_to(identity.current()):
        asked = ",".join(map(str, ids[:_MOST]))
        st.page_link(
            place.path,
            label=label,
            icon=f":material/{place.icon}:",
            query_params={"rows": asked},
        )
    else:
        shell.note(f"{label}: pairs {listed(ids)}")


def listed(ids: Sequence[int], most: int = 12) -> str:
    """The first few numbers in words."""
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(map(str, ids[:most])) + more
