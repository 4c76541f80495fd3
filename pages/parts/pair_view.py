"""A pair on a page outside the review stream: its texts, where it stands, and the way to it."""

import hashlib
from collections.abc import Sequence

import streamlit as st

from curation import statistics, visible
from pages.frame import identity, shell
from storage.types import Origin, Pair, PairSample, PairStatus

_LIMIT = 300
"""Ids in one address; browsers cut very long ones."""
HEIGHT, _LINE = 320, 35
"""Pixels of a list at most, and of one of its lines."""
ORIGINS = {
    Origin.GOLD: "Gold",
    Origin.IMPORT: "Imported",
    Origin.DRAFT: "Draft of a model",
    Origin.PRODUCTION: "From production",
}


def digest(pairs: Sequence[Pair]) -> str:
    """Names a list of pairs as they are, for a widget's key: no line comes to mean another."""
    versions = ",".join(f"{pair.id}:{pair.version}" for pair in pairs)
    return hashlib.sha256(versions.encode()).hexdigest()[:16]


def height(lines: int, limit: int = HEIGHT) -> int:
    """Pixels of a list of so many lines, with its head."""
    return min(limit, _LINE * (lines + 1) + 3)


def chips(pair: Pair) -> None:
    """Number, origin and standing in words."""
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        st.badge(f"Pair {pair.id}", color="gray")
        st.badge(ORIGINS[pair.origin], color="gray")
        colour = {PairStatus.APPROVED: "green", PairStatus.REJECTED: "red"}
        st.badge(pair.status.capitalize(), color=colour.get(pair.status, "orange"))  # type: ignore[arg-type]  # a colour's name
        if pair.held_out:
            st.badge("Test pair", icon=":material/lock:", color="blue")
        if pair.flagged:
            st.badge("Flagged", icon=":material/flag:", color="orange")


def texts(pair: Pair) -> None:
    """Both sides of a pair as plain text, invisible characters shown."""
    text("Input", pair.prompt)
    text("Output", pair.response)


def text(label: str, content: str) -> None:
    """One text under a quiet label."""
    with st.container(gap="xxsmall"):
        shell.note(label)
        st.text(visible.reveal(content))


def link(ids: Sequence[int], label: str) -> None:
    """A way to these pairs on the Browse page; their numbers where that is not open to one."""
    place = shell.at("browse")
    if place in shell.open_to(identity.current()):
        st.page_link(
            place.path,
            label=label,
            icon=f":material/{place.icon}:",
            query_params={"rows": ",".join(map(str, ids[:_LIMIT]))},
        )
    else:
        shell.note(f"{label}: pairs {numbers(ids)}")


def many(sample: PairSample) -> str:
    """How many pairs there are, and that only the first are named where there are more."""
    first = f"the first {len(sample.ids)} of " if len(sample.ids) < sample.count else ""
    return f"{first}{statistics.count(sample.count, 'pair')}"


def numbers(ids: Sequence[int], limit: int = 12) -> str:
    """The first few numbers in words."""
    more = f" and {len(ids) - limit} more" if len(ids) > limit else ""
    return ", ".join(map(str, ids[:limit])) + more
