"""Groups of pairs that repeat, contradict or leak, side by side, with the ways to settle them."""

from collections.abc import Mapping, Sequence

import streamlit as st
from sqlalchemy.orm import Session

from curation import statistics, visible
from curation.overlap import differences, overlaps
from curation.overlap.near import meanings
from curation.overlap.overlaps import Group, OpenGroups
from curation.review.decisions import Reason
from pages.frame import shell
from pages.frame.wiring import act
from pages.parts import fields, pair_view
from storage.types import Link, LinkKind, Pair, Project, Role, User

Kinds = tuple[LinkKind, ...]
NEAR: Kinds = (LinkKind.EXACT, LinkKind.NEAR)
CLASH: Kinds = (LinkKind.CONTRADICTION,)
LEAK: Kinds = (LinkKind.LEAK,)
KINDS = (NEAR, CLASH, LEAK)
TITLES = {NEAR: "Near-duplicates", CLASH: "Contradictions", LEAK: "Repeats of test pairs"}
_WHY = {
    NEAR: "These pairs say (nearly) the same. Copies teach phrasing, not rules: keep the best one.",
    CLASH: "These pairs ask (nearly) the same and answer differently. Keep the one that is right.",
    LEAK: "A pair for training repeats a test pair. Tested on it, the model would look better than "
    "it is: keep the test pair.",
}
_REASONS = {NEAR: Reason.DUPLICATE, CLASH: "Contradiction", LEAK: "Repeats a test row"}
_LIMIT = 10
"""Groups drawn at once; settled ones make room for the next."""
_COLUMNS = 3


def first(session: Session, project: Project) -> dict[Kinds, OpenGroups]:
    """How many groups of each kind are open, and those that are drawn."""
    return {kinds: overlaps.open_groups(session, project.id, kinds, _LIMIT) for kinds in KINDS}


def choose(project_id: int, by_kinds: Mapping[Kinds, OpenGroups]) -> Kinds:
    """Which list to show: the first with something in it, until the person chooses."""
    key = f"duplicates-{project_id}"
    st.session_state.setdefault(
        key, next((kinds for kinds in KINDS if by_kinds[kinds].count), NEAR)
    )
    chosen = st.segmented_control(
        "Show", KINDS, format_func=TITLES.__getitem__, required=True, key=key
    )
    return chosen or NEAR


def show(user: User, project: Project, kinds: Kinds, groups: OpenGroups) -> None:
    """The groups of one kind."""
    if not groups.count:
        shell.note("None is open in what has been compared.")
        return
    shell.note(_WHY[kinds])
    for group in groups.first:
        _group(user, project, kinds, group)
    if groups.count > _LIMIT:
        shell.note(f"The first {_LIMIT} of {groups.count} are shown. Settle them to see the next.")


def _group(user: User, project: Project, kinds: Kinds, group: Group) -> None:
    with st.container(border=True):
        _heading(kinds, group)
        if kinds == CLASH:
            _differences(project, group)
        for start in range(0, len(group.pairs), _COLUMNS):
            members = group.pairs[start : start + _COLUMNS]
            for column, pair in zip(st.columns(max(2, len(members))), members, strict=False):
                with column:
                    _row(user, kinds, group, pair)
        if kinds != LEAK:
            _merge(user, group)
            _both_right(user, group)


def _heading(kinds: Kinds, group: Group) -> None:
    meant = meanings.by_meaning(group.links)
    by_text = [link for link in group.links if link not in meant]
    where = "input and output" if kinds == NEAR else "input"
    if by_text:
        shell.note(
            f"Similarity {_span(by_text)} (shared word runs of the {where}; 1.00 is the same)"
        )
    if meant:
        shell.note(
            f"Means nearly the same (cosine {_span(meant)} by the local model). "
            "A model can be wrong about this: read both."
        )


def _span(links: Sequence[Link]) -> str:
    alike = sorted({f"{link.similarity:.2f}" for link in links})
    return alike[0] if len(alike) == 1 else f"{alike[0]} to {alike[-1]}"


def _differences(project: Project, group: Group) -> None:
    """What each pair answers in the fields where they differ, the label first."""
    members = group.pairs
    differing = differences.between(
        [pair.response for pair in members], project.output_schema, project.label_field
    )
    if differing is None:
        shell.note("The outputs differ as a whole: not all are JSON objects.")
        return
    shell.note("Differs in:")
    for field in differing:
        name = f"{field.field} (the label)" if field.label else field.field
        values = "; ".join(
            f"pair {pair.id}: {'nothing' if value is None else value}"
            for pair, value in zip(members, field.values, strict=True)
        )
        st.text(f"• {visible.reveal(name)}: {visible.reveal(values)}")


def _row(user: User, kinds: Kinds, group: Group, pair: Pair) -> None:
    pair_view.chips(pair)
    pair_view.texts(pair)
    if any(member.held_out for member in group.pairs) and not pair.held_out:
        shell.note("The test pair stays, so this one cannot be the one to keep.")
        return
    others = {member.id: member.version for member in group.pairs if member.id != pair.id}
    st.button(
        f"Keep pair {pair.id}, reject {statistics.count(len(others), 'other')}",
        key=f"keep-{kinds[0]}-{pair.id}-{pair.version}-{'-'.join(map(str, others.values()))}",
        type="primary" if pair is group.pairs[0] else "secondary",
        on_click=act,
        args=(f"Pair {pair.id} is kept.", overlaps.keep, user, pair.id, others),
        kwargs={"reason": _REASONS[kinds], "seen_version": pair.version},
    )


def _merge(user: User, group: Group) -> None:
    """Write one pair out of several; where a test pair is among them, that one stays as it is."""
    if any(pair.held_out for pair in group.pairs):
        return
    best = group.pairs[0]
    versions = {pair.id: pair.version for pair in group.pairs}
    form = "merge-" + "-".join(f"{pair_id}.{version}" for pair_id, version in versions.items())
    with st.expander(f"Merge into pair {best.id}"):
        fields.area(user, form, "prompt", "Input of the merged pair", best.prompt, limit=None)
        fields.area(user, form, "response", "Output of the merged pair", best.response, limit=None)
        others = statistics.count(len(versions) - 1, "other pair is", "other pairs are")
        shell.note(f"It waits for review again with these words; the {others} rejected.")
        st.button(
            f"Save as pair {best.id}",
            key=f"save-{form}",
            on_click=_save_merged,
            args=(user, form, best.id, versions),
        )


def _save_merged(user: User, form: str, keep_id: int, versions: Mapping[int, int]) -> None:
    others = {pair_id: version for pair_id, version in versions.items() if pair_id != keep_id}
    prompt, response = fields.value(form, "prompt"), fields.value(form, "response")
    args = (user, keep_id, others, prompt, response, versions[keep_id])
    fields.send(f"Merged into pair {keep_id}.", user, form, overlaps.merge, *args)


def _both_right(user: User, group: Group) -> None:
    if not user.roles & {Role.EXPERT, Role.LEAD}:
        shell.note("If all are right as they are, an expert or a lead can say so.")
        return
    ids = tuple(link.id for link in group.links)
    form = f"both-right-{ids[0]}"
    with st.expander("Both are right" if len(group.pairs) == 2 else "All are right as they are"):
        fields.line(user, form, "reason", "Why? In a few words, for whoever asks later")
        st.button(
            "Keep them all",
            key=f"both-right-{'-'.join(map(str, ids))}",
            on_click=_say_right,
            args=(user, form, ids),
        )


def _say_right(user: User, form: str, link_ids: tuple[int, ...]) -> None:
    args = (user, link_ids, fields.value(form, "reason"))
    fields.send("Kept, with your reason.", user, form, _all_right, *args)


def _all_right(session: Session, user: User, link_ids: tuple[int, ...], reason: str) -> None:
    for link_id in link_ids:
        overlaps.both_right(session, user, link_id, reason)
