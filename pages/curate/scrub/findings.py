"""Rows with personal-data findings, one at a time; each finding is decided by its own button."""

from collections import Counter
from collections.abc import Iterable

import streamlit as st
from sqlalchemy.orm import Session

from curation import statistics, visible
from curation.personal import findings, pii, placeholders, scrub
from curation.personal.findings import Marked
from pages.curate.scrub import marked_text
from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import pair_view
from pages.parts.plain import plain
from storage.errors import AssayError
from storage.types import Finding, FindingState, Project, User

_QUEUES = {FindingState.OPEN: "To decide", FindingState.DISMISSED: "Called harmless"}
_NO_PREVIEW = findings.ScrubPreview({}, {})
_LABELS = {"prompt": "Input", "response": "Output", "topic": "Topic"}
Same = Counter[tuple[str, str]]
"""In how many rows words of a type wait for a decision."""


def queue(user: User, project: Project, seen: findings.Coverage) -> None:
    """The rows of one kind, one at a time."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        state = st.segmented_control(
            "Show rows",
            list(_QUEUES),
            format_func=_QUEUES.__getitem__,
            required=True,
            default=FindingState.OPEN,
            key="scrub-queue",
        )
        with looking() as session:
            marked = {one.pair.id: one for one in findings.marked(session, project.id, state)}
        chosen = _choose(marked, state) if marked else None
    if chosen is None:
        _nothing(seen, state)
    else:
        card(user, marked[chosen], _same(marked.values()))


def _same(marked: Iterable[Marked]) -> Same:
    return Counter(key for row in marked for key in {_key(row, one) for one in _open(row)})


def _open(seen: Marked) -> list[Finding]:
    return [one for one in seen.findings if one.state is FindingState.OPEN]


def _key(seen: Marked, one: Finding) -> tuple[str, str]:
    return one.type, placeholders.surface(_words(seen, one), structured=True)


def _words(seen: Marked, one: Finding) -> str:
    return findings.texts(seen.pair).get(findings.place(one), "")[one.start : one.end]


def _choose(marked: dict[int, Marked], state: FindingState | None) -> int:
    return st.selectbox(
        f"Row ({len(marked)} in this list)",
        list(marked),
        format_func=lambda number: (
            f"Pair {number}: {statistics.count(len(marked[number].findings), 'finding')}"
        ),
        key=f"scrub-row-{state}",
        width=320,
    )


def _nothing(seen: findings.Coverage, state: FindingState | None) -> None:
    if state is FindingState.DISMISSED:
        shell.note("Nobody has called a finding harmless in a row that stands as it was scanned.")
    elif seen.unscanned:
        shell.note("Nothing waits for a decision. The rows not scanned yet may change that.")
    elif seen.message.open:
        shell.note("Every scanned row is decided; the system message below is not.")
    else:
        st.success("Every scanned row is decided.")
        shell.link("duplicates", "Next: look for rows that repeat or contradict")


def card(user: User, seen: Marked, same: Same) -> None:
    """The row on the left, as it is and as it would read; its findings on the right."""
    numbers = {one.id: n for n, one in enumerate(_ordered(seen), 1)}
    preview = _preview(seen)
    with st.container(border=True):
        pair_view.chips(seen.pair)
        left, right = st.columns([5, 4], gap="large")
        with left:
            _texts(seen, numbers, preview)
        with right:
            _accept_all(user, seen)
            for one in _ordered(seen):
                _finding(user, seen, one, numbers[one.id], preview, same[_key(seen, one)])


def _ordered(seen: Marked) -> list[Finding]:
    return sorted(
        seen.findings,
        key=lambda one: (findings.FIELDS.index(one.field), one.key or "", one.start),
    )


def _preview(seen: Marked) -> findings.ScrubPreview:
    try:
        with looking() as session:
            return findings.preview(session, seen)
    except AssayError as error:
        st.warning(plain(str(error)))
        return _NO_PREVIEW


def _texts(seen: Marked, numbers: dict[int, int], preview: findings.ScrubPreview) -> None:
    texts = findings.texts(seen.pair)
    told = {findings.place(one) for one in seen.findings} | {"prompt", "response"}
    for place in (place for place in texts if place in told):
        found = [one for one in seen.findings if findings.place(one) == place]
        key = f"marked-{place}-{seen.pair.id}-{seen.pair.version}"
        with st.container(gap=None):
            shell.note(_label(place))
            marked_text.show(texts[place], found, numbers, key=key)
    changed = {place: text for place, text in preview.texts.items() if text != texts[place]}
    if changed:
        st.divider()
    for place, text in changed.items():
        pair_view.text(f"{_label(place)}, if all of these are accepted", text)


def _label(place: str) -> str:
    return _LABELS.get(place) or f"Came with the row: {place.partition(':')[2]}"


def _finding(
    user: User,
    seen: Marked,
    one: Finding,
    number: int,
    preview: findings.ScrubPreview,
    rows_with: int,
) -> None:
    with st.container(border=True, gap="small"):
        st.text(f"{number}. {visible.reveal(_words(seen, one))}")
        if one.state is not FindingState.OPEN:
            said = "Accepted" if one.state is FindingState.ACCEPTED else "Not personal data"
            becomes = preview.becomes.get(one.id)
            shell.note(f"{said}: becomes {becomes}" if becomes else said)
            _button(user, one, FindingState.OPEN, "Decide again", "Open again.")
            return
        _retype(user, one)
        becomes = preview.becomes.get(one.id, f"<{one.type}_…>")
        with st.container(horizontal=True, gap="small"):
            _button(user, one, FindingState.ACCEPTED, f"Accept: {becomes}", "Accepted.", True)
            _button(user, one, FindingState.DISMISSED, "Not personal data", "Left as it is.")
            if rows_with > 1:
                _everywhere(user, one, rows_with)


def _everywhere(user: User, one: Finding, rows_with: int) -> None:
    """The same words with the same type, decided in all rows at once."""
    with st.popover(f"Same in {rows_with} rows"):
        shell.note("The same words, wherever they are not decided.")
        for state, label in (
            (FindingState.ACCEPTED, f"Accept in all {rows_with} rows"),
            (FindingState.DISMISSED, f"Not personal data in any of the {rows_with}"),
        ):
            st.button(
                label,
                key=f"everywhere-{state}-{one.id}-{one.type}",
                on_click=_spread,
                args=(user, one.id, state),
            )


def _spread(user: User, finding_id: int, state: FindingState) -> None:
    done = act("", scrub.everywhere, user, finding_id, state)
    if done is None:
        return
    left = [
        f"{statistics.count(len(ids), 'row')} left: {why}"
        for ids, why in ((done.in_review, "in review"), (done.refused, "the JSON would break"))
        if ids
    ]
    st.toast(plain("; ".join([f"Done in {statistics.count(done.rows, 'row')}.", *left])))


def _button(
    user: User, one: Finding, state: FindingState, label: str, done: str, first: bool = False
) -> None:
    st.button(
        plain(label),
        key=f"{state}-{one.id}-{one.type}",
        type="primary" if first else "secondary",
        on_click=act,
        args=(done, scrub.decide, user, one.id, state),
    )


def _retype(user: User, one: Finding) -> None:
    kinds = pii.TYPES if one.type in pii.TYPES else (one.type, *pii.TYPES)
    key = f"type-{one.id}-{one.type}"
    st.selectbox(
        "What it is",
        kinds,
        index=kinds.index(one.type),
        key=key,
        on_change=_change_type,
        args=(user, one.id, key),
    )


def _change_type(user: User, finding_id: int, key: str) -> None:
    kind = st.session_state[key]
    act(f"Now {kind}.", scrub.decide, user, finding_id, FindingState.OPEN, kind)


def _accept_all(user: User, seen: Marked) -> None:
    waiting = [one.id for one in seen.findings if one.state is FindingState.OPEN]
    if len(waiting) < 2:
        return
    st.button(
        f"Accept all {len(waiting)} in this row",
        key=f"accept-all-{seen.pair.id}-{seen.pair.version}-{len(waiting)}",
        on_click=act,
        args=("Placeholders are in.", _accept, user, tuple(waiting)),
    )


def _accept(session: Session, user: User, finding_ids: tuple[int, ...]) -> None:
    """Accept what the person saw in one row; all of it or nothing."""
    for finding_id in finding_ids:
        scrub.decide(session, user, finding_id, FindingState.ACCEPTED)
