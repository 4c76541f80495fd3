"""Versions in pieces: freezing one, its figures, what changed, its proof and its files."""

import hashlib
import json

import streamlit as st
from sqlalchemy.orm import Session

from curation import exports, versions, visible
from pages.parts import kept, rows, shell
from pages.parts.plain import plain
from pages.parts.wiring import act, looking
from storage import people, scratch
from storage.errors import AssayError
from storage.types import Project, Split, User, Version

_ALL = "all"
_PARTS = {
    _ALL: "All rows",
    Split.TRAIN.value: "Training",
    Split.VALIDATION.value: "Validation",
    Split.TEST.value: "Test",
}


def freeze(user: User, project: Project, ready: int, known: list[Version]) -> None:
    """The form with which a lead freezes the approved rows."""
    number = known[0].number + 1 if known else 1
    form = f"freeze-{project.id}-{number}"
    with st.container(border=True):
        st.subheader(f"Freeze version {number}", anchor=False)
        shell.note(
            f"{rows.count(ready, 'approved row', 'approved rows')} would be copied as they are "
            "now and split into training, validation and test rows. A test row stays one in "
            "every later version and never trains."
        )
        kept.line(user, form, "note", "Note: what this version is for")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            seed = kept.key(form, "seed")
            st.number_input(
                "Seed of the split", min_value=0, max_value=2**31 - 1, value=7, step=1,
                key=seed, width=220,
            )  # fmt: skip
            st.button(
                f"Freeze {rows.count(ready, 'row', 'rows')}",
                key=f"freeze-{project.id}-{number}",
                type="primary",
                on_click=_freeze_now,
                args=(user, project.id, form),
            )


def _freeze_now(user: User, project_id: int, form: str) -> None:
    seed, note = int(st.session_state[kept.key(form, "seed")]), kept.value(form, "note")

    def store(session: Session) -> None:
        versions.freeze(session, user, project_id, seed, note)
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
    total = rows.count(sum(one.counts.values()), "row", "rows")
    return f"Version {one.number}: {total}, {one.created_at:%d %b %Y %H:%M} UTC"


def figures(one: Version) -> None:
    """Rows per split with their share, who froze them, and the hash."""
    total = sum(one.counts.values())
    shell.stats(
        {
            _PARTS[part]: f"{count} ({count / total * 100:.1f} % of {total})"
            for part, count in one.counts.items()
        }
    )
    with looking() as session:
        names = people.names(session)
    shell.note(
        f"Frozen by {names.get(one.created_by, 'someone')} with seed {one.seed}. Rows that belong "
        f"together stay on one side: {total} rows in {one.manifest['groups']} groups."
    )
    if one.manifest["note"]:
        st.text(visible.reveal(one.manifest["note"]))


def proof(one: Version) -> None:
    """The name of the content, and whether the stored rows still have it."""
    shell.note("Content (sha256 over every row with its split)")
    st.code(one.sha256, language=None, wrap_lines=True)
    st.button(
        "Check every row against it",
        key=f"verify-{one.id}",
        on_click=_verify,
        args=(one,),
    )


def _verify(one: Version) -> None:
    total = rows.count(sum(one.counts.values()), "row is", "rows are")
    act(f"Version {one.number} is intact: all {total} as frozen.", versions.verify, one.id)


def changes(one: Version, known: list[Version]) -> None:
    """What a version has that the one before has not, and the other way round."""
    older = next((other for other in known if other.number == one.number - 1), None)
    if older is None:
        shell.note("The first version: there is none before it to compare with.")
        return
    with looking() as session:
        found = versions.difference(session, older.id, one.id)
    st.text(f"Since version {older.number}")
    for label, ids in (
        ("added", found.added), ("removed", found.removed), ("changed", found.changed),
    ):  # fmt: skip
        if ids:
            rows.browse(ids, f"{rows.count(len(ids), 'row', 'rows')} {label}")
    if not (found.added or found.removed or found.changed):
        shell.note("The same rows in another split.")


def export(one: Version) -> None:
    """The rows as chat JSON Lines, once they have been checked."""
    chosen = st.segmented_control(
        "Export as chat JSONL", list(_PARTS), format_func=_PARTS.__getitem__, default=_ALL,
        required=True, key=f"export-part-{one.id}",
    )  # fmt: skip
    part = None if chosen in (_ALL, None) else Split(chosen)
    try:
        content, sha256 = _content(one, part)
    except AssayError as error:
        st.error(plain(str(error)))
        return
    count = one.counts[part] if part else sum(one.counts.values())
    name = versions.export_name(one, sha256, part)
    st.download_button(
        f"Download {rows.count(count, 'row', 'rows')}",
        data=content,
        file_name=name,
        mime="application/x-ndjson",
        key=f"export-{one.id}-{part or _ALL}",
        on_click="ignore",
        icon=":material/download:",
    )
    shell.note(
        f"{name}. The name begins with the version and ends with the first digits of the file's "
        "own sha256."
    )


def _content(one: Version, part: Split | None) -> tuple[bytes, str]:
    with looking() as session:
        versions.verify(session, one.id)
        frozen = versions.rows(session, one.id, part)
    content = exports.to_chat_jsonl(frozen, one.manifest["system_message"])
    return content, hashlib.sha256(content).hexdigest()


def manifest(one: Version) -> None:
    """Where the rows come from, who approved them, and all that was frozen beside them."""
    with looking() as session:
        names = people.names(session)
    with st.expander("Manifest: origins, approvals, system message, schema"):
        origins = ", ".join(f"{name} {count}" for name, count in one.manifest["origins"].items())
        approvals = ", ".join(
            f"{names.get(int(who), 'someone')} {count}"
            for who, count in one.manifest["approvals"].items()
        )
        st.text(f"Origins: {origins}\nApproved by: {approvals}")
        shown = json.dumps(one.manifest, indent=2, ensure_ascii=False)
        st.code(visible.reveal(shown), language="json", wrap_lines=True)
