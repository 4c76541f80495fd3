"""The pairs that a policy change concerns: look for them, see them, then deal with those chosen."""

from collections.abc import Sequence

import streamlit as st
from sqlalchemy.orm import Session

from curation import statistics, visible
from curation.policy import era_rows, era_search
from curation.policy.era_search import Affected, Search
from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import act, looking
from pages.parts import pair_view
from storage import projects
from storage.errors import BadInput
from storage.types import Era, Pair, Project, User

VIEWS = ERAS, ROWS, CHANGES = ("Eras", "Pairs that a change concerns", "Changes so far")
_ANY = "any"


def key(project: Project, field: str) -> str:
    """The widget key of one part of the search."""
    return f"affected-{project.id}-{field}"


def show_era(project: Project, era_id: int) -> None:
    """Turn to the pairs of an era; for callbacks."""
    st.session_state[key(project, "era")] = era_id
    st.session_state[key(project, "view")] = ROWS


def view(project: Project) -> str:
    """Which part of the page to show."""
    st.session_state.setdefault(key(project, "view"), ERAS)
    chosen = st.segmented_control(
        "Show", VIEWS, required=True, key=key(project, "view"), label_visibility="collapsed"
    )
    return chosen or ERAS


def search(project: Project, project_eras: Sequence[Era]) -> Search:
    """The fields of the search, as they stand."""
    names = {era.id: era.name for era in project_eras}
    with looking() as session:
        topics = era_search.topics(session, project.id)
        labels = era_search.labels(session, project.id)
    left, right = st.columns(2)
    era = left.selectbox(
        "Of the era, by tag or by its wording",
        [_ANY, *names],
        key=key(project, "era"),
        format_func=lambda era_id: names.get(era_id, "any era or none"),
    )
    written = right.text_area(
        "With one of these phrases, one a line",
        key=key(project, "phrases"),
        height=80,
        help="Whole words, in any case and width. It is no pattern: * and . stand for themselves.",
    )
    topic = left.selectbox("Of the topic", [_ANY, *topics], key=key(project, "topic"))
    label = right.selectbox("With the label", [_ANY, *labels], key=key(project, "label"))
    return Search(
        era if isinstance(era, int) else None,
        tuple((written or "").splitlines()),
        topic if topic != _ANY else None,
        label if label != _ANY else None,
    )


def matches(project: Project, search: Search) -> Affected | None:
    """What the search finds; None where it asks for nothing yet."""
    if search.empty:
        shell.note("Choose an era, a topic or a label, or give a phrase. All must hold.")
        return None
    try:
        with looking() as session:
            return era_search.affected(session, project.id, search, era_rows.LIMIT)
    except BadInput as error:
        st.error(plain(str(error)))
        return None


def preview(affected: Affected, project_eras: Sequence[Era]) -> list[Pair]:
    """The pairs with what was counted; gives back those chosen."""
    counted = "; ".join(f"{count} {name}" for name, count in affected.counts.items())
    if not affected.pairs:
        st.info(plain(f"No waiting or approved pair meets all of it. By themselves: {counted}."))
        return []
    st.text(f"{statistics.count(affected.total, 'pair')} found")
    if affected.total > len(affected.pairs):
        shell.note(
            f"The first {len(affected.pairs)} are here, as many as are dealt with at a time. Deal "
            "with them; the next ones come after."
        )
    aside = f" {affected.rejected} rejected ones are left alone." if affected.rejected else ""
    shell.note(f"By themselves: {counted}.{aside}")
    names = {era.id: era.name for era in project_eras}
    digest = pair_view.digest(affected.pairs)
    st.dataframe(
        [_cells(pair, names, in_review=pair.id in affected.claimed) for pair in affected.pairs],
        key=f"affected-rows-{digest}",
        height=pair_view.height(len(affected.pairs)),
        column_config={"Input": st.column_config.TextColumn(width=420)},
    )
    by_id = {pair.id: pair for pair in affected.pairs}
    picked = st.multiselect(
        "Only these pairs (all of them, where none is chosen)",
        list(by_id),
        key=f"affected-only-{digest}",
        placeholder="All pairs above",
    )
    return [by_id[pair_id] for pair_id in picked] or list(affected.pairs)


def _cells(pair: Pair, names: dict[int, str], *, in_review: bool) -> dict[str, str]:
    return {
        "Pair": str(pair.id),
        "Status": pair.status.capitalize() + ", in a reviewer's hand" * in_review,
        "Origin": pair.origin.capitalize() + ", test pair" * pair.held_out,
        "Era": names.get(pair.era_id or 0, ""),
        "Input": visible.reveal(pair.prompt),
        "Output": visible.reveal(pair.response),
    }


def deal(user: User, project: Project, chosen: Sequence[Pair], project_eras: Sequence[Era]) -> None:
    """The three ways to deal with the pairs chosen."""
    versions = {pair.id: pair.version for pair in chosen}
    digest, many = pair_view.digest(chosen), statistics.count(len(chosen), "pair")
    back, out, copy = st.columns(3, gap="medium")
    reason = f"affected-reason-{project.id}"
    with back.container(border=True, height="stretch"):
        st.text("Still right? Let people look again")
        shell.note("Approvals are withdrawn; the pairs wait for review.")
        st.text_input("Why", key=reason, max_chars=200, placeholder="The fee changed in May")
        st.button(
            f"Send {many} back",
            key=f"affected-back-{digest}",
            type="primary",
            on_click=_send_back,
            args=(user, project.id, versions, reason),
        )
    with out.container(border=True, height="stretch"):
        st.text("No longer right? Retire them")
        shell.note(f"Rejected, with the reason “{era_rows.RETIRED}”. It can be undone.")
        st.button(
            f"Retire {many}",
            key=f"affected-reject-{digest}",
            on_click=act,
            args=("Pairs are retired.", era_rows.reject, user, project.id, versions),
        )
    with copy.container(border=True, height="stretch"):
        st.text("Needed under the new rules? Clone them")
        _clone(user, project, versions, digest, [era for era in project_eras if not era.retired])


def _clone(
    user: User, project: Project, versions: dict[int, int], digest: str, alive: Sequence[Era]
) -> None:
    shell.note("Copies wait for review, where somebody rewrites them. A test pair's copy is one.")
    if not alive:
        st.text("Add an era that is in force first.")
        return
    names, now = {era.id: era.name for era in alive}, projects.current_era(alive)
    into = f"affected-into-{project.id}"
    st.selectbox(
        "Into the era",
        list(names),
        format_func=names.__getitem__,
        key=into,
        index=list(names).index(now.id) if now else 0,
    )
    st.button(
        f"Clone {statistics.count(len(versions), 'pair')}",
        key=f"affected-clone-{digest}",
        on_click=_clone_now,
        args=(user, project.id, versions, into),
    )


def _send_back(user: User, project_id: int, versions: dict[int, int], reason: str) -> None:
    why = str(st.session_state[reason])
    act("Pairs wait for review.", era_rows.send_back, user, project_id, versions, why)


def _clone_now(user: User, project_id: int, versions: dict[int, int], into: str) -> None:
    era_id = int(st.session_state[into])
    act("The copies wait for review.", era_rows.clone, user, project_id, versions, era_id)


def changes(user: User, session: Session, project: Project) -> None:
    """What was done to pairs, newest first, with the way back where there is one."""
    operations = era_rows.changes(session, project.id)
    if not operations:
        shell.note("No policy change has touched a pair yet.")
    for operation in operations:
        with st.container(border=True):
            left, way = st.columns([5, 2], vertical_alignment="center")
            with left.container(gap="xxsmall"):
                st.text(operation.summary)
                shell.note(f"{operation.by}, {operation.at:%Y-%m-%d %H:%M} UTC")
            with way:
                if operation.rows:
                    pair_view.link(operation.rows, "Show them")
                if operation.undoable:
                    st.button(
                        "Undo",
                        key=f"undo-policy-{operation.event_id}",
                        on_click=act,
                        args=("Undone, by new decisions.", era_rows.undo, user, operation.event_id),
                    )
