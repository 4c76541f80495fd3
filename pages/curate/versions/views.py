"""Versions in pieces: freezing one, its figures, its names, its proof and its manifest."""

import json
from dataclasses import asdict

import streamlit as st
from sqlalchemy.orm import Session

from curation import statistics, visible
from curation.versions import archive, freezing, tags
from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import fields
from pages.parts.plain import plain
from storage import people, scratch
from storage.errors import AssayError
from storage.types import Project, User, Version

PARTS = {"train": "Training", "validation": "Validation", "test": "Test"}


def freeze(user: User, project: Project, ready: int, known: list[Version]) -> None:
    """The form with which a lead freezes the approved rows."""
    number = known[0].number + 1 if known else 1
    form = f"freeze-{project.id}-{number}"
    with st.container(border=True):
        st.subheader(f"Freeze version {number}", anchor=False)
        shell.note(
            f"{statistics.count(ready, 'approved row')} would be copied as they are "
            "now and split into training, validation and test rows. A test row stays one in "
            "every later version and never trains."
        )
        fields.line(user, form, "note", "Note: what this version is for")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            seed = fields.key(form, "seed")
            st.number_input(
                "Seed of the split",
                min_value=0,
                max_value=2**31 - 1,
                value=7,
                step=1,
                key=seed,
                width=220,
            )
            st.button(
                f"Freeze {statistics.count(ready, 'row')}",
                key=f"freeze-{project.id}-{number}",
                type="primary",
                on_click=_freeze_now,
                args=(user, project.id, form),
            )


def _freeze_now(user: User, project_id: int, form: str) -> None:
    seed, note = int(st.session_state[fields.key(form, "seed")]), fields.value(form, "note")

    def store(session: Session) -> None:
        freezing.freeze(session, user, project_id, seed, note)
        scratch.clear(session, user, form)

    act("Frozen.", store)


def choose(project: Project, known: list[Version]) -> Version:
    """Which version to look at; the newest first."""
    by_id = {one.id: one for one in known}
    chosen = st.selectbox(
        "Version",
        list(by_id),
        format_func=lambda number: _title(by_id[number]),
        key=f"version-shown-{project.id}",
        width=480,
    )
    return by_id[chosen]


def _title(one: Version) -> str:
    total = statistics.count(sum(one.counts.values()), "row")
    return f"Version {one.number}: {total}, {one.created_at:%d %b %Y %H:%M} UTC"


def figures(one: Version) -> None:
    """Rows per split with their share, who froze them, and the hash."""
    total = sum(one.counts.values())
    shell.stats(
        {
            PARTS[part]: f"{count} ({count / total * 100:.1f} % of {total})"
            for part, count in one.counts.items()
        }
    )
    with looking() as session:
        names = people.names(session)
    shell.note(
        f"Frozen by {names.get(one.created_by, 'someone')} with seed {one.seed}. Rows that belong "
        f"together stay on one side: {total} rows in {one.manifest.groups} groups."
    )
    if one.manifest.note:
        st.text(visible.reveal(one.manifest.note))


def names(user: User, one: Version) -> None:
    """The tags of a version, and the field for another one."""
    with looking() as session:
        known = tags.of(session, one)
    form = f"tag-{one.id}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fields.line(user, form, "name", "Tag this version, such as release-1", most=40)
        st.button("Tag", key=form, on_click=_tag, args=(user, one, form))
    if known:
        with st.container(horizontal=True, gap="xsmall"):
            for name in known:
                st.badge(name, icon=":material/sell:", color="gray")


def _tag(user: User, one: Version, form: str) -> None:
    name = fields.value(form, "name")

    def store(session: Session) -> None:
        tags.tag(session, user, one.id, name)
        scratch.clear(session, user, form)

    act(f"Version {one.number} is tagged.", store)


def opened(one: Version) -> archive.Opened | None:
    """The version with its proven rows; None, and why, where they are not the frozen ones."""
    try:
        with looking() as session:
            return archive.opened(session, one.id)
    except AssayError as error:
        st.error(plain(str(error)))
        return None


def proof(one: Version, found: archive.Opened | None) -> None:
    """The names of the content, and whether the stored rows still have them."""
    shell.note("Content (sha256 over every row with its split)")
    st.code(one.sha256, language=None, wrap_lines=True)
    if found is not None:
        shell.note("Merkle root (proves single rows without the others)")
        st.code(found.merkle_root, language=None, wrap_lines=True)
    st.button(
        "Check every row against it",
        key=f"verify-{one.id}",
        on_click=_verify,
        args=(one,),
    )


def _verify(one: Version) -> None:
    total = statistics.count(sum(one.counts.values()), "row is", "rows are")
    act(f"Version {one.number} is intact: all {total} as frozen.", archive.verify, one.id)


def manifest(one: Version) -> None:
    """Where the rows come from, who approved them, and all that was frozen beside them."""
    with looking() as session:
        names = people.names(session)
    with st.expander("Manifest: origins, approvals, system message, schema"):
        origins = ", ".join(f"{name} {count}" for name, count in one.manifest.origins.items())
        approvals = ", ".join(
            f"{names.get(int(who), 'someone')} {count}"
            for who, count in one.manifest.approvals.items()
        )
        st.text(f"Origins: {origins}\nApproved by: {approvals}")
        shown = json.dumps(asdict(one.manifest), indent=2, ensure_ascii=False)
        st.code(visible.reveal(shown), language="json", wrap_lines=True)
