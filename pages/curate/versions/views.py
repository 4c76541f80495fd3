"""Versions in pieces: freezing one, its figures, its names, its proof and its manifest."""

import json
from dataclasses import asdict

import streamlit as st

from curation import statistics, visible
from curation.overlap import compared
from curation.versions import archive, freezing, tags
from curation.versions.standing import VersionStanding
from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import act, looking
from pages.parts import fields
from storage import people
from storage.reports import Reported
from storage.types import Project, User, Version
from training import asks

PARTS = {"train": "Training", "validation": "Validation", "test": "Test"}


def freeze(user: User, project: Project, ready: int, versions: list[Version]) -> None:
    """The form with which a lead freezes the approved pairs."""
    number = versions[0].number + 1 if versions else 1
    form = f"freeze-{project.id}-{number}"
    with st.container(border=True):
        st.subheader(f"Freeze version {number}", anchor=False)
        shell.note(
            f"{statistics.count(ready, 'approved pair')} would be copied as they are "
            "now and split into training, validation and test pairs. A test pair stays one in "
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
                f"Freeze {statistics.count(ready, 'pair')}",
                key=f"freeze-{project.id}-{number}",
                type="primary",
                on_click=_freeze_now,
                args=(user, project.id, form, ready >= compared.LARGE),
            )


def _freeze_now(user: User, project_id: int, form: str, large: bool) -> None:
    seed, note = int(st.session_state[fields.key(form, "seed")]), fields.value(form, "note")
    done, verb = ("", asks.freeze) if large else ("Frozen.", freezing.freeze)
    fields.send(done, user, form, verb, user, project_id, seed, note)


def choose(project: Project, versions: list[Version]) -> Version:
    """Which version to look at; the newest first."""
    by_id = {version.id: version for version in versions}
    chosen = st.selectbox(
        "Version",
        list(by_id),
        format_func=lambda number: _title(by_id[number]),
        key=f"version-shown-{project.id}",
        width=480,
    )
    return by_id[chosen]


def _title(version: Version) -> str:
    total = statistics.count(sum(version.counts.values()), "pair")
    return f"Version {version.number}: {total}, {version.created_at:%d %b %Y %H:%M} UTC"


def figures(version: Version) -> None:
    """Pairs per split with their share, who froze them, and the hash."""
    total = sum(version.counts.values())
    shell.stats(
        {
            PARTS[part]: f"{count} ({count / total * 100:.1f} % of {total})"
            for part, count in version.counts.items()
        }
    )
    with looking() as session:
        names = people.names(session)
    shell.note(
        f"Frozen by {names.get(version.created_by, 'someone')} with seed {version.seed}. Pairs "
        f"that belong together stay on one side: {total} pairs in {version.manifest.groups} "
        "groups."
    )
    if version.manifest.note:
        st.text(visible.reveal(version.manifest.note))


def names(user: User, version: Version) -> None:
    """The tags of a version, and the field for another one."""
    with looking() as session:
        tagged = tags.of(session, version)
    form = f"tag-{version.id}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fields.line(user, form, "name", "Tag this version, such as release-1", limit=40)
        st.button("Tag", key=form, on_click=_tag, args=(user, version, form))
    if tagged:
        with st.container(horizontal=True, gap="xsmall"):
            for name in tagged:
                st.badge(name, icon=":material/sell:", color="gray")


def _tag(user: User, version: Version, form: str) -> None:
    message = f"Version {version.number} is tagged."
    fields.send(message, user, form, tags.tag, user, version.id, fields.value(form, "name"))


def proof(version: Version, looked: Reported[VersionStanding]) -> None:
    """The names of the content, and whether the stored pairs still have them."""
    state = looked.content
    shell.note("Content (sha256 over every pair with its split)")
    st.code(version.sha256, language=None, wrap_lines=True)
    if state.problem:
        st.error(plain(state.problem))
    else:
        shell.note("Merkle root (proves single pairs without the others)")
        st.code(state.merkle_root, language=None, wrap_lines=True)
        shell.note(f"Every pair was checked against it on {looked.at:%d %b %Y %H:%M} UTC.")
    st.button(
        "Check every pair against it",
        key=f"verify-{version.id}",
        on_click=_verify,
        args=(version,),
    )


def _verify(version: Version) -> None:
    total = statistics.count(sum(version.counts.values()), "pair is", "pairs are")
    act(f"Version {version.number} is intact: all {total} as frozen.", archive.verify, version.id)


def manifest(version: Version) -> None:
    """Where the pairs come from, who approved them, and all that was frozen beside them."""
    with looking() as session:
        names = people.names(session)
    with st.expander("Manifest: origins, approvals, system message, schema"):
        origins = ", ".join(f"{name} {count}" for name, count in version.manifest.origins.items())
        approvals = ", ".join(
            f"{names.get(int(who), 'someone')} {count}"
            for who, count in version.manifest.approvals.items()
        )
        st.text(f"Origins: {origins}\nApproved by: {approvals}")
        content = json.dumps(asdict(version.manifest), indent=2, ensure_ascii=False)
        st.code(visible.reveal(content), language="json", wrap_lines=True)
