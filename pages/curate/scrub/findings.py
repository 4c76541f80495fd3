"""Pairs with personal-data findings, one at a time; each finding is decided by its own button."""

from collections.abc import Mapping

import streamlit as st
from sqlalchemy.orm import Session

from curation import statistics, visible
from curation.personal import findings, pii, scrub, surfaces, waiting
from curation.personal.findings import Marked
from curation.personal.gaps import Gaps
from curation.personal.waiting import MarkedPairs
from pages.curate.scrub import marked_text
from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import act, looking
from pages.parts import pair_view
from storage.errors import AssayError
from storage.types import Finding, FindingState, Project, User
from training import asks

_QUEUES = {FindingState.OPEN: "To decide", FindingState.DISMISSED: "Called harmless"}
_NO_PREVIEW = findings.ScrubPreview({}, {})
_LABELS = {"prompt": "Input", "response": "Output", "topic": "Topic"}
_LISTED = 200
"""Pairs among which one can be chosen; decided ones make room for the next."""


def queue(user: User, project: Project, left: Gaps) -> None:
    """The pairs of one kind, one at a time."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        state = st.segmented_control(
            "Show pairs",
            list(_QUEUES),
            format_func=_QUEUES.__getitem__,
            required=True,
            default=FindingState.OPEN,
            key="scrub-queue",
        )
        with looking() as session:
            listed = waiting.listing(session, project.id, state, _LISTED)
        chosen = _choose(listed, state) if listed.count else None
    if chosen is None:
        _nothing(left, state)
        return
    if listed.count > _LISTED:
        shell.note(f"The first {_LISTED} can be chosen; decided pairs make room for the next.")
    with looking() as session:
        marked = waiting.marked(session, project.id, chosen)
        repeats = surfaces.repeats(session, marked.pair, marked.findings)
    card(user, marked, repeats)


def _text(marked: Marked, finding: Finding) -> str:
    return findings.texts(marked.pair).get(findings.place(finding), "")[finding.start : finding.end]


def _choose(listed: MarkedPairs, state: FindingState) -> int:
    return st.selectbox(
        f"Pair ({listed.count} in this list)",
        list(listed.first),
        format_func=lambda number: (
            f"Pair {number}: {statistics.count(listed.first[number], 'finding')}"
        ),
        key=f"scrub-row-{state}",
        width=320,
    )


def _nothing(left: Gaps, state: FindingState) -> None:
    if state is FindingState.DISMISSED:
        shell.note("Nobody has called a finding harmless in a pair that stands as it was scanned.")
    elif left.unscanned:
        shell.note("Nothing waits for a decision. The pairs not scanned yet may change that.")
    elif left.message.open:
        shell.note("Every scanned pair is decided; the system message below is not.")
    else:
        st.success("Every scanned pair is decided.")
        shell.link("duplicates", "Next: look for pairs that repeat or contradict")


def card(user: User, marked: Marked, repeats: Mapping[int, int]) -> None:
    """The pair on the left, as it is and as it would read; its findings on the right."""
    numbers = {finding.id: n for n, finding in enumerate(_ordered(marked), 1)}
    preview = _preview(marked)
    with st.container(border=True):
        pair_view.chips(marked.pair)
        left, right = st.columns([5, 4], gap="large")
        with left:
            _texts(marked, numbers, preview)
        with right:
            _accept_all(user, marked)
            for finding in _ordered(marked):
                _finding(
                    user,
                    marked,
                    finding,
                    numbers[finding.id],
                    preview,
                    repeats.get(finding.id, 0),
                )


def _ordered(marked: Marked) -> list[Finding]:
    return sorted(
        marked.findings,
        key=lambda finding: (
            findings.FIELDS.index(finding.field),
            finding.key or "",
            finding.start,
        ),
    )


def _preview(marked: Marked) -> findings.ScrubPreview:
    try:
        with looking() as session:
            return findings.preview(session, marked)
    except AssayError as error:
        st.warning(plain(str(error)))
        return _NO_PREVIEW


def _texts(marked: Marked, numbers: dict[int, int], preview: findings.ScrubPreview) -> None:
    texts = findings.texts(marked.pair)
    places = {findings.place(finding) for finding in marked.findings} | {"prompt", "response"}
    for place in (place for place in texts if place in places):
        in_place = [finding for finding in marked.findings if findings.place(finding) == place]
        key = f"marked-{place}-{marked.pair.id}-{marked.pair.version}"
        with st.container(gap=None):
            shell.note(_label(place))
            marked_text.show(texts[place], in_place, numbers, key=key)
    changed = {place: text for place, text in preview.texts.items() if text != texts[place]}
    if changed:
        st.divider()
    for place, text in changed.items():
        pair_view.text(f"{_label(place)}, if all of these are accepted", text)


def _label(place: str) -> str:
    return _LABELS.get(place) or f"Came with the pair: {place.partition(':')[2]}"


def _finding(
    user: User,
    marked: Marked,
    finding: Finding,
    number: int,
    preview: findings.ScrubPreview,
    rows_with: int,
) -> None:
    with st.container(border=True, gap="small"):
        st.text(f"{number}. {visible.reveal(_text(marked, finding))}")
        if finding.state is not FindingState.OPEN:
            verdict = "Accepted" if finding.state is FindingState.ACCEPTED else "Not personal data"
            becomes = preview.becomes.get(finding.id)
            shell.note(f"{verdict}: becomes {becomes}" if becomes else verdict)
            _button(user, finding, FindingState.OPEN, "Decide again", "Open again.")
            return
        _retype(user, finding)
        becomes = preview.becomes.get(finding.id, f"<{finding.type}_…>")
        with st.container(horizontal=True, gap="small"):
            _button(user, finding, FindingState.ACCEPTED, f"Accept: {becomes}", "Accepted.", True)
            _button(user, finding, FindingState.DISMISSED, "Not personal data", "Left as it is.")
            if rows_with > 1:
                _everywhere(user, marked.pair.project_id, finding, rows_with)


def _everywhere(user: User, project_id: int, finding: Finding, rows_with: int) -> None:
    """The same words with the same type, decided in all pairs at once."""
    with st.popover(f"Same in {rows_with} pairs"):
        shell.note("The same words, wherever they are not decided.")
        for state, label in (
            (FindingState.ACCEPTED, f"Accept in all {rows_with} pairs"),
            (FindingState.DISMISSED, f"Not personal data in any of the {rows_with}"),
        ):
            st.button(
                label,
                key=f"everywhere-{state}-{finding.id}-{finding.type}",
                on_click=_spread,
                args=(user, finding.id, state, project_id if rows_with > scrub.LARGE else None),
            )


def _spread(user: User, finding_id: int, state: FindingState, project_id: int | None) -> None:
    """Decide at once, or by a job of the project where the pairs are many."""
    if project_id is not None:
        message = "It goes through the pairs now; see above."
        act(message, asks.decide_everywhere, user, project_id, finding_id, state)
        return
    done = act("", scrub.everywhere, user, finding_id, state)
    if done is None:
        return
    left = [
        f"{statistics.count(len(ids), 'pair')} left: {why}"
        for ids, why in ((done.in_review, "in review"), (done.refused, "the JSON would break"))
        if ids
    ]
    st.toast(plain("; ".join([f"Done in {statistics.count(done.pairs, 'pair')}.", *left])))


def _button(
    user: User, finding: Finding, state: FindingState, label: str, done: str, first: bool = False
) -> None:
    st.button(
        plain(label),
        key=f"{state}-{finding.id}-{finding.type}",
        type="primary" if first else "secondary",
        on_click=act,
        args=(done, scrub.decide, user, finding.id, state),
    )


def _retype(user: User, finding: Finding) -> None:
    kinds = pii.TYPES if finding.type in pii.TYPES else (finding.type, *pii.TYPES)
    key = f"type-{finding.id}-{finding.type}"
    st.selectbox(
        "What it is",
        kinds,
        index=kinds.index(finding.type),
        key=key,
        on_change=_change_type,
        args=(user, finding.id, key),
    )


def _change_type(user: User, finding_id: int, key: str) -> None:
    kind = st.session_state[key]
    act(f"Now {kind}.", scrub.decide, user, finding_id, FindingState.OPEN, kind)


def _accept_all(user: User, marked: Marked) -> None:
    waiting = [finding.id for finding in marked.findings if finding.state is FindingState.OPEN]
    if len(waiting) < 2:
        return
    st.button(
        f"Accept all {len(waiting)} in this pair",
        key=f"accept-all-{marked.pair.id}-{marked.pair.version}-{len(waiting)}",
        on_click=act,
        args=("Placeholders are in.", _accept, user, tuple(waiting)),
    )


def _accept(session: Session, user: User, finding_ids: tuple[int, ...]) -> None:
    """Accept what the person saw in one pair; all of it or nothing."""
    for finding_id in finding_ids:
        scrub.decide(session, user, finding_id, FindingState.ACCEPTED)
