"""Taking the pairs of a file, and what that did."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from curation import statistics
from curation.exchange import intake, source
from curation.exchange.incoming import Preview
from curation.exchange.intake import Intake
from curation.exchange.source import Table
from pages.frame import shell
from pages.frame.wiring import act, act_in_chunks, drawn, looking, unchanged
from pages.label.imports import mapping, upload
from pages.label.imports.upload import OUTCOME, Upload
from pages.parts import job_panel
from storage import settings
from storage.types import JobKind, Project, User
from training import asks
from training.chores import importing
from training.records import results, specs
from training.records.results import IntakeResult
from training.records.specs import IntakeSpec
from training.work import jobs


@dataclass(frozen=True, slots=True)
class _Import:
    """The last import. Stays for the session."""

    key: str
    project_id: int
    brought: IntakeResult


def ask(user: User, project: Project, file: Upload, table: Table, preview: Preview) -> None:
    """The last choice and the button."""
    st.checkbox(
        "These are test pairs: reviewed like all others, never trained on",
        key=f"held-out-{file.key}",
    )
    st.button(
        f"Import {statistics.count(len(preview.rows), 'pair')}",
        key=f"import-{file.key}",
        type="primary",
        disabled=not preview.rows,
        on_click=_take,
        args=(user, project, file, table.sha256, preview, drawn(mapping.keys(file))),
    )


def _take(
    user: User,
    project: Project,
    file: Upload,
    sha256: str,
    preview: Preview,
    columns: Mapping[str, object],
) -> None:
    if not unchanged(columns):
        return
    held_out = bool(st.session_state[f"held-out-{file.key}"])
    name = source.display_name(file.name)
    st.session_state.pop(OUTCOME, None)
    if len(preview.rows) > intake.LARGE:
        spec = IntakeSpec(file=name, sha256=sha256, rows=len(preview.rows), held_out=held_out)
        _queue(user, project, preview, spec)
        return
    into = Intake(project.id, name, sha256, held_out=held_out)
    outcome = act_in_chunks(intake.take_in_chunks, user, into, preview.rows)
    if outcome is not None:
        st.session_state[OUTCOME] = _Import(file.key, project.id, importing.result(outcome))


def _queue(user: User, project: Project, preview: Preview, spec: IntakeSpec) -> None:
    """Ask for a job that imports the file: it is long work, and nobody is to wait for it."""
    places = settings.current()
    job_id = importing.stage(places, preview.rows)
    if act("The import waits to start.", asks.bring_in, user, project.id, spec, job_id) is None:
        importing.unstage(places, job_id)
        return
    mapping.forget()
    upload.hand_on()


def show_job(project: Project) -> None:
    """The newest import that a job does or did in the project; nothing where there was none."""
    with looking() as session:
        newest = next(iter(jobs.listing(session, project.id, JobKind.IMPORT)), None)
    if newest is None:
        return
    shell.note(f"Import of {specs.intake(newest).file}")
    job_panel.panel(newest)
    brought = results.intake(newest)
    if brought is not None:
        _details(brought)


def report(project: Project, file: Upload) -> bool:
    """What the import of this file did; False where it has not been imported yet."""
    last = st.session_state.get(OUTCOME)
    if not isinstance(last, _Import) or (last.key, last.project_id) != (file.key, project.id):
        return False
    if last.brought.added:
        added = statistics.count(last.brought.added, "pair was", "pairs were")
        st.success(f"{added} imported, to be reviewed now. None was refused.")
    else:
        st.info("Nothing new was imported.")
    _details(last.brought)
    return True


def _details(brought: IntakeResult) -> None:
    """What is to be known of the pairs of a file, and where they are reviewed."""
    if brought.existing:
        before = statistics.count(brought.existing, "pair was", "pairs were")
        shell.note(f"{before} here already, from an earlier import of this file.")
    if brought.invalid:
        invalid = statistics.count(brought.invalid, "output does", "outputs do")
        shell.note(
            f"{invalid} not fit the schema. They wait in review for someone to repair or reject "
            "them."
        )
    _repeating(brought)
    shell.link("review", "Next: review them")


def _repeating(brought: IntakeResult) -> None:
    """The pairs of the file that repeat test pairs, by line."""
    if not brought.repeating:
        return
    repeats = statistics.count(
        brought.repeating, "pair repeats a test pair", "pairs repeat test pairs"
    )
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
            for repeat in brought.repeats
        ]
    )
    shell.link("duplicates", "See both side by side")
