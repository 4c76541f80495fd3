"""Taking the pairs of a file, and what that did."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from curation import statistics
from curation.exchange import intake, source
from curation.exchange.incoming import Preview
from curation.exchange.intake import Imported
from curation.exchange.source import Table
from pages.frame import shell
from pages.frame.wiring import act, drawn, unchanged
from pages.label.imports import mapping
from pages.label.imports.upload import OUTCOME, Upload
from storage.types import Project, User


@dataclass(frozen=True, slots=True)
class _Import:
    """The last import. Stays for the session."""

    key: str
    project_id: int
    outcome: Imported


def ask(user: User, project: Project, upload: Upload, table: Table, preview: Preview) -> None:
    """The last choice and the button."""
    st.checkbox(
        "These are test pairs: reviewed like all others, never trained on",
        key=f"held-out-{upload.key}",
    )
    st.button(
        f"Import {statistics.count(len(preview.rows), 'pair')}",
        key=f"import-{upload.key}",
        type="primary",
        disabled=not preview.rows,
        on_click=_take,
        args=(user, project, upload, table.sha256, preview, drawn(mapping.keys(upload))),
    )


def _take(
    user: User,
    project: Project,
    upload: Upload,
    sha256: str,
    preview: Preview,
    columns: Mapping[str, object],
) -> None:
    if not unchanged(columns):
        return
    held_out = bool(st.session_state[f"held-out-{upload.key}"])
    st.session_state.pop(OUTCOME, None)
    outcome = act(
        "",
        intake.take,
        user,
        project.id,
        preview.rows,
        name=source.display_name(upload.name),
        sha256=sha256,
        held_out=held_out,
    )
    if outcome is not None:
        st.session_state[OUTCOME] = _Import(upload.key, project.id, outcome)


def report(project: Project, upload: Upload) -> bool:
    """What the import of this file did; False where it has not been imported yet."""
    last = st.session_state.get(OUTCOME)
    if not isinstance(last, _Import) or (last.key, last.project_id) != (upload.key, project.id):
        return False
    outcome = last.outcome
    if outcome.added:
        added = statistics.count(len(outcome.added), "pair was", "pairs were")
        st.success(f"{added} imported, to be reviewed now. None was refused.")
    else:
        st.info("Nothing new was imported.")
    if outcome.existing:
        before = statistics.count(outcome.existing, "pair was", "pairs were")
        shell.note(f"{before} here already, from an earlier import of this file.")
    if outcome.invalid:
        invalid = statistics.count(outcome.invalid, "output does", "outputs do")
        shell.note(
            f"{invalid} not fit the schema. They wait in review for someone to repair or reject "
            "them."
        )
    _repeating(outcome)
    shell.link("review", "Next: review them")
    return True


def _repeating(outcome: Imported) -> None:
    """The pairs of the file that repeat test pairs, by line."""
    if not outcome.repeating:
        return
    lines = len({repeat.line for repeat in outcome.repeating})
    repeats = statistics.count(lines, "pair repeats a test pair", "pairs repeat test pairs")
    st.warning(
        f"{repeats}. They were taken, but no version takes them: look at both side by side and "
        "reject one."
    )
    st.dataframe(
        [
            {
                "Line": str(repeat.line),
                "Pair": str(repeat.pair_id),
                "Repeats pair": str(repeat.test_id),
                "How": repeat.how.capitalize(),
                "Similarity": f"{repeat.similarity:.2f}",
            }
            for repeat in outcome.repeating[:100]
        ]
    )
    shell.link("duplicates", "See both side by side")
