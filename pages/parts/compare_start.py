"""Ask for a comparison: a version's test pairs through the base model, or base and tuned."""

from collections.abc import Mapping

import streamlit as st

from curation import statistics
from pages.frame import shell
from pages.frame.wiring import FormValue, act
from storage.types import Adapter, User, Version
from training import asks
from training.proving import comparisons
from training.records import cards
from training.records.parts import BaseModel


def form(
    user: User, versions: Mapping[int, Version], tuned: Mapping[int, Adapter], *, first: bool
) -> None:
    """Choose version and adapter, and start."""
    with st.expander("Start a comparison", expanded=first):
        left, right = st.columns(2)
        version = left.selectbox(
            "Version whose test pairs are asked",
            list(versions),
            format_func=lambda i: _title(versions[i]),
            key="compare-version",
        )
        adapter_id = right.selectbox(
            "Adapter",
            [*tuned, 0],
            format_func=lambda i: tuned[i].name if i else "None: the base model alone",
            key="compare-adapter",
        )
        adapter = tuned.get(adapter_id)
        best = prompt(versions[version], adapter, f"compare-best-{version}-{adapter_id}")
        button(user, version, adapter, "Compare", best_prompt=best)
        shell.note(
            "Both models always give their most likely answer. The base model alone is the "
            "baseline that the Ready page asks for; its best prompt makes it a fair one."
        )


def _title(version: Version) -> str:
    return f"Version {version.number}, {statistics.count(version.counts['test'], 'test pair')}"


def prompt(version: Version, adapter: Adapter | None, key: str) -> FormValue | bool:
    """Whether the base model gets its best prompt; no choice where none can be looked for."""
    can = comparisons.can_prompt(version, adapter.card if adapter else None)
    st.toggle(
        "Give the base model its best prompt",
        value=can,
        disabled=not can,
        key=key,
        help="Tries 0, 2, 4 and 8 training pairs as examples on the validation pairs and takes the "
        "number that does best. Without it the base gets the system message alone. A base at "
        "an endpoint, or a version without validation pairs, has no choice.",
    )
    return can and FormValue(key)


def button(
    user: User,
    version_id: int,
    adapter: Adapter | None,
    label: str,
    *,
    best_prompt: FormValue | bool,
    first: bool = True,
) -> None:
    """Start one comparison; the verb refuses what would prove nothing."""
    base = cards.of(adapter).base if adapter else BaseModel("packaged")
    number = adapter.id if adapter else None
    st.button(
        label,
        type="primary" if first else "secondary",
        key=f"compare-{version_id}-{number}",
        on_click=act,
        args=("Started.", asks.evaluate, user, version_id, base, number),
        kwargs={"best_prompt": best_prompt},
    )
