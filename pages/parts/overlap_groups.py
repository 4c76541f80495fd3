"""Groups of rows that repeat, contradict or leak, side by side, with the ways to settle them."""

import json
from collections.abc import Mapping, Sequence

import streamlit as st
from sqlalchemy.orm import Session

from curation import overlaps, strict_json
from curation.overlaps import Group
from pages.parts import kept, rows, shell
from pages.parts.wiring import act
from storage import scratch
from storage.errors import BadInput
from storage.types import LinkKind, Pair, Role, User

Kinds = tuple[LinkKind, ...]
NEAR: Kinds = (LinkKind.EXACT, LinkKind.NEAR)
CLASH: Kinds = (LinkKind.CONTRADICTION,)
LEAK: Kinds = (LinkKind.LEAK,)
KINDS = (NEAR, CLASH, LEAK)
TITLES = {NEAR: "Near-duplicates", CLASH: "Contradictions", LEAK: "Repeats of test rows"}
_WHY = {
    NEAR: "These rows say (nearly) the same. Copies teach phrasing, not rules: keep the best one.",
    CLASH: "These rows ask (nearly) the same and answer differently. Keep the one that is right.",
    LEAK: "A row for training repeats a test row. Tested on it, the model would look better than "
    "it is: keep the test row.",
}
_REASONS = {NEAR: "Duplicate", CLASH: "Contradiction", LEAK: "Repeats a test row"}
_MOST = 10
"""Groups drawn at once; settled ones make room for the next."""
_COLUMNS = 3


def choose(project_id: int, found: Mapping[Kinds, Sequence[Group]]) -> Kinds:
    """Which list to show: the first with something in it, until the person chooses."""
    key = f"duplicates-{project_id}"
    st.session_state.setdefault(key, next((kinds for kinds in KINDS if found[kinds]), NEAR))
    chosen = st.segmented_control(
        "Show", KINDS, format_func=TITLES.__getitem__, required=True, key=key
    )
    return chosen or NEAR


def show(user: User, kinds: Kinds, found: Sequence[Group]) -> None:
    """The groups of one kind."""
    if not found:
        shell.note("None is open in what has been compared.")
        return
    shell.note(_WHY[kinds])
    for group in found[:_MOST]:
        _group(user, kinds, group)
    if len(found) > _MOST:
        shell.note(f"The first {_MOST} of {len(found)} are shown. Settle them to see the next.")


def _group(user: User, kinds: Kinds, group: Group) -> None:
    with st.container(border=True):
        _heading(kinds, group)
        for start in range(0, len(group.pairs), _COLUMNS):
            shown = group.pairs[start : start + _COLUMNS]
            for column, pair in zip(st.columns(max(2, len(shown))), shown, strict=False):
                with column:
                    _row(user, kinds, group, pair)
        if kinds != LEAK:
            _both_right(user, group)


def _heading(kinds: Kinds, group: Group) -> None:
    alike = sorted({f"{link.similarity:.2f}" for link in group.links})
    span = alike[0] if len(alike) == 1 else f"{alike[0]} to {alike[-1]}"
    where = "message and answer" if kinds == NEAR else "message"
    words = f"Similarity {span} (shared word runs of the {where}; 1.00 is the same)"
    if kinds == CLASH:
        words = f"{words}. {differing(group.pairs)}"
    shell.note(words)


def differing(members: Sequence[Pair]) -> str:
    """Which fields of the JSON outputs are not the same in all rows."""
    outputs = [_fields(pair.response) for pair in members]
    if any(output is None for output in outputs):
        return "The outputs differ."
    found = [output for output in outputs if output is not None]
    names = list(dict.fromkeys(name for output in found for name in output))
    apart = [name for name in names if len({output.get(name) for output in found}) > 1]
    return f"Differs in: {', '.join(apart)}."


def _fields(response: str) -> dict[str, str] | None:
    """Each field of a JSON object with its value as JSON; None for any other output."""
    try:
        value = strict_json.loads(response)
    except BadInput:
        return None
    if not isinstance(value, dict):
        return None
    return {name: json.dumps(one, sort_keys=True) for name, one in value.items()}


def _row(user: User, kinds: Kinds, group: Group, pair: Pair) -> None:
    rows.chips(pair)
    rows.texts(pair)
    if any(one.held_out for one in group.pairs) and not pair.held_out:
        shell.note("The test row stays, so this one cannot be the one to keep.")
        return
    others = {one.id: one.version for one in group.pairs if one.id != pair.id}
    st.button(
        f"Keep pair {pair.id}, reject {rows.count(len(others), 'other', 'others')}",
        key=f"keep-{kinds[0]}-{pair.id}-{pair.version}-{'-'.join(map(str, others.values()))}",
        type="primary" if pair is group.pairs[0] else "secondary",
        on_click=act,
        args=(f"Pair {pair.id} is kept.", overlaps.keep, user, pair.id, others),
        kwargs={"reason": _REASONS[kinds], "seen_version": pair.version},
    )


def _both_right(user: User, group: Group) -> None:
    if not user.roles & {Role.EXPERT, Role.LEAD}:
        shell.note("If all are right as they are, an expert or a lead can say so.")
        return
    ids = tuple(link.id for link in group.links)
    form = f"both-right-{ids[0]}"
    with st.expander("Both are right" if len(group.pairs) == 2 else "All are right as they are"):
        kept.line(user, form, "reason", "Why? In a few words, for whoever asks later")
        st.button(
            "Keep them all",
            key=f"both-right-{'-'.join(map(str, ids))}",
            on_click=_say_right,
            args=(user, form, ids),
        )


def _say_right(user: User, form: str, link_ids: tuple[int, ...]) -> None:
    act("Kept, with your reason.", _all_right, user, form, link_ids, kept.value(form, "reason"))


def _all_right(
    session: Session, user: User, form: str, link_ids: tuple[int, ...], reason: str
) -> None:
    for link_id in link_ids:
        overlaps.both_right(session, user, link_id, reason)
    scratch.clear(session, user, form)
