"""What one version changed against an older one: a list with reasons, and the words that differ."""

import streamlit as st

from curation import visible
from curation.versions import changes, standing
from curation.versions.changes import PairChange, VersionGlance
from pages.curate.versions.views import PARTS
from pages.frame import reported, shell
from pages.frame.plain import plain
from pages.frame.wiring import looking
from pages.parts import diff, pair_view
from storage.types import Version


def show(version: Version, versions: list[Version]) -> None:
    """The comparison with an older version, the one before it first."""
    older = [old for old in versions if old.number < version.number]
    if not older:
        shell.note("The first version: there is none before it to compare with.")
        return
    by_id = {old.id: old for old in older}
    chosen = st.selectbox(
        "Compared with",
        list(by_id),
        format_func=lambda i: f"Version {by_id[i].number}",
        key=f"compared-with-{version.id}",
        width=240,
    )
    problem = reported.read(standing.STANDING, chosen).content.problem
    if problem:
        st.error(plain(problem))
        return
    with looking() as session:
        difference = changes.glance(session, by_id[chosen], version)
    _links(difference)
    if difference.rows:
        _list(difference)
        _pair(version, difference)


def _links(difference: VersionGlance) -> None:
    groups = {
        "added": difference.added,
        "removed": difference.removed,
        "changed": difference.changed,
        "in another split": difference.moved,
    }
    if not difference.rows:
        shell.note("The same pairs in the same splits.")
        return
    with st.container(horizontal=True):
        for label, sample in groups.items():
            if sample:
                pair_view.link(sample.ids, f"{pair_view.many(sample)} {label}")


def _list(difference: VersionGlance) -> None:
    st.dataframe(
        [_cells(change) for change in difference.rows],
        hide_index=True,
        column_config={"Why": st.column_config.TextColumn(width="large")},
        key="version-changes",
    )
    if len(difference.rows) < difference.count:
        shell.note(
            f"{len(difference.rows)} of {difference.count}, the first of each sort; "
            "python -m curation diff prints them all."
        )


def _cells(change: PairChange) -> dict[str, str]:
    was, now = (
        "none" if side is None else PARTS[side.split.value]
        for side in (change.before, change.after)
    )
    return {
        "Pair": str(change.pair_id),
        "What": changes.kind(change),
        "Split": now if was == now else f"{was} → {now}",
        "Why": visible.reveal(change.why),
    }


def _pair(version: Version, difference: VersionGlance) -> None:
    by_id = {change.pair_id: change for change in difference.rows}
    ordered = sorted(by_id, key=lambda pair_id: (pair_id not in difference.changed.ids, pair_id))
    chosen = st.selectbox(
        "Look at",
        ordered,
        format_func=lambda i: f"Pair {i}: {changes.kind(by_id[i])}",
        key=f"change-shown-{version.id}",
        width=320,
    )
    change = by_id[chosen]
    if change.before is not None and change.after is not None:
        for field in ("prompt", "response"):
            before, after = getattr(change.before, field), getattr(change.after, field)
            name = "Input" if field == "prompt" else "Output"
            diff.show(name, before, after, key=f"change-{version.id}-{chosen}-{field}")
        return
    side = change.after or change.before
    if side is not None:
        pair_view.text("Input", side.prompt)
        pair_view.text("Output", side.response)
