"""Importing a file: read it once, map its columns, look at the rows, take all of them or none."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from curation import statistics, visible
from curation.exchange import columns, files, incoming, intake
from curation.exchange.files import Refusal, Refused, Table
from curation.exchange.incoming import Incoming, Preview
from curation.project import sample
from curation.versions.layout import ColumnMapping
from pages.frame import shell
from pages.frame.wiring import act
from pages.parts.plain import plain
from storage import settings
from storage.errors import AssayError
from storage.types import Project, User

_READ = "import-read"
_PREVIEW = "import-preview"
_DONE = "import-done"
_SAMPLE = "import-sample"
_SHOWN = 8
_PARTS = {
    "messages": "Chat (a list of messages)",
    "prompt": "Input",
    "response": "Output",
    "era": "Policy era",
    "topic": "Topic",
    "source": "Record number",
    "system": "System message",
    "input": "More input (Alpaca)",
}


@dataclass(frozen=True, slots=True)
class Read:
    """A file as it was read: its table, or why it was refused. Kept for the session."""

    key: str
    name: str
    table: Table | None = None
    why: str = ""
    refusals: tuple[Refusal, ...] = ()
    count: int = 0


def choose(project: Project) -> Read | None:
    """The file to import, read once however often the page is drawn."""
    chosen = st.session_state.get(_SAMPLE) if project.sample else None
    if isinstance(chosen, str):
        left, right = st.columns([3, 1], vertical_alignment="center")
        left.text(f"The sample's {chosen}")
        right.button("Choose another file", key="import-other", on_click=_other)
        return _read((sample.FOLDER / chosen).read_bytes(), chosen)
    uploaded = st.file_uploader(
        "CSV, JSONL, Parquet, XLSX, an export of Assay, or a zip of a saved Hugging Face dataset",
        type=["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "zip"],
        key="import-file",
    )
    if uploaded is not None:
        return _read(uploaded.getvalue(), uploaded.name)
    if project.sample:
        _offer()
    return None


def _offer() -> None:
    shell.note("Or take the sample's own files, with the faults that were planted in them:")
    with st.container(horizontal=True):
        for name in sample.IMPORTS:
            st.button(f"Use the sample's {name}", key=f"sample-{name}", on_click=_use, args=(name,))


def _use(name: str) -> None:
    st.session_state[_SAMPLE] = name
    st.session_state.pop(_DONE, None)


def _other() -> None:
    for key in (_SAMPLE, _READ, _PREVIEW, _DONE):
        st.session_state.pop(key, None)


def _read(content: bytes, name: str) -> Read:
    key = f"{hashlib.sha256(content).hexdigest()}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    known = st.session_state.get(_READ)
    if isinstance(known, Read) and known.key == key:
        return known
    with st.spinner("Reading the file…"):
        found = _parse(content, name, key)
    st.session_state[_READ] = found
    st.session_state.pop(_PREVIEW, None)
    return found


def _parse(content: bytes, name: str, key: str) -> Read:
    folder = settings.current().data
    with tempfile.NamedTemporaryFile(prefix="upload-", dir=folder) as file:
        file.write(content)
        file.flush()
        try:
            return Read(key, name, files.read(Path(file.name), name))
        except Refused as error:
            return Read(key, name, None, str(error), error.refusals, error.count)
        except AssayError as error:
            return Read(key, name, None, str(error))


def refused(why: str, refusals: Sequence[Refusal], count: int) -> None:
    """Why nothing of a file was taken, line by line."""
    st.error(plain(why))
    if refusals:
        st.dataframe(
            [{"Line": str(one.line), "Why": visible.reveal(one.why)} for one in refusals],
            column_config={"Why": st.column_config.TextColumn(width="large")},
        )
        first = f"The first {len(refusals)} of {count} faulty lines. " if count > 100 else ""
        shell.note(f"{first}Repair them in the file and import it again: a file goes in whole.")


def mapping(read: Read, table: Table) -> ColumnMapping:
    """Which column holds what, guessed first and confirmed by a person."""
    guess = columns.suggest(table)
    names = [None, *table.columns]
    chosen: dict[str, Any] = {}
    for column, (part, label) in zip(_grid(), _PARTS.items(), strict=True):
        guessed = getattr(guess, part)
        chosen[part] = column.selectbox(
            label,
            names,
            index=names.index(guessed),
            key=f"map-{part}-{read.key}",
            format_func=lambda name: "not in this file" if name is None else str(name).strip(),
        )
    return replace(guess, **chosen)


def _grid() -> list[st.delta_generator.DeltaGenerator]:
    return [*st.columns(4), *st.columns(4)]


def preview(read: Read, table: Table, chosen: ColumnMapping, project: Project) -> Preview | None:
    """The rows as pairs under the mapping; None where the mapping itself is refused."""
    known = st.session_state.get(_PREVIEW)
    asked = (read.key, chosen, project.id)
    if known is not None and known[0] == asked:
        found: Preview = known[1]
    else:
        try:
            found = incoming.apply(table, chosen, project.system_message)
        except AssayError as error:
            st.error(plain(str(error)))
            return None
        st.session_state[_PREVIEW] = (asked, found)
    _show(found, table.notes)
    return found


def _show(found: Preview, notes: Sequence[str]) -> None:
    wide = st.column_config.TextColumn(width=380)
    st.dataframe(
        [_cells(row) for row in found.rows[:_SHOWN]],
        key="import-first-rows",
        column_config={"Input": wide, "Output": wide},
    )
    shell.note(
        f"The first {min(_SHOWN, len(found.rows))} of {statistics.count(len(found.rows), 'row')}."
    )
    for words in (*notes, *found.notes):
        st.text(f"• {words}")


def _cells(row: Incoming) -> dict[str, str]:
    return {
        "Line": str(row.line),
        "Input": visible.reveal(row.prompt),
        "Output": visible.reveal(row.response),
        "Era": visible.reveal(row.era or ""),
        "Topic": visible.reveal(row.topic or ""),
        "Record": visible.reveal(row.source_id or ""),
    }


def take(user: User, project: Project, read: Read, table: Table, found: Preview) -> None:
    """The last choice and the button."""
    st.checkbox(
        "These are test rows: reviewed like all others, never trained on",
        key=f"held-out-{read.key}",
    )
    st.button(
        f"Import {statistics.count(len(found.rows), 'row')}",
        key=f"import-{read.key}",
        type="primary",
        disabled=not found.rows,
        on_click=_take,
        args=(user, project, read, table.sha256, found),
    )


def _take(user: User, project: Project, read: Read, sha256: str, found: Preview) -> None:
    held_out = bool(st.session_state[f"held-out-{read.key}"])
    st.session_state.pop(_DONE, None)
    done = act(
        "",
        intake.take,
        user,
        project.id,
        found.rows,
        name=files.shown_name(read.name),
        sha256=sha256,
        held_out=held_out,
    )
    if done is not None:
        st.session_state[_DONE] = ((read.key, project.id), done)


def report(project: Project, read: Read) -> bool:
    """What the import of this file did; False where it has not been imported yet."""
    key, done = st.session_state.get(_DONE, (None, None))
    if key != (read.key, project.id) or not isinstance(done, intake.Taken):
        return False
    if done.added:
        new = statistics.count(len(done.added), "row was", "rows were")
        st.success(f"{new} imported, to be reviewed now. None was refused.")
    else:
        st.info("Nothing new was imported.")
    if done.known:
        was = statistics.count(done.known, "row was", "rows were")
        shell.note(f"{was} here already, from an earlier import of this file.")
    if done.invalid:
        fit = "does" if done.invalid == 1 else "do"
        shell.note(
            f"{statistics.count(done.invalid, 'output')} {fit} not fit the schema. They wait "
            "in review for someone to repair or reject them."
        )
    _repeating(done)
    shell.link("review", "Next: review them")
    return True


def _repeating(done: intake.Taken) -> None:
    """The rows of the file that repeat test rows, by line."""
    if not done.repeating:
        return
    lines = len({one.line for one in done.repeating})
    repeating = statistics.count(lines, "row repeats a test row", "rows repeat test rows")
    st.warning(
        f"{repeating}. They were taken, but no version takes them: look at both side by side and "
        "reject one."
    )
    st.dataframe(
        [
            {
                "Line": str(one.line),
                "Pair": str(one.pair_id),
                "Repeats pair": str(one.test_id),
                "How": one.how.capitalize(),
                "Similarity": f"{one.similarity:.2f}",
            }
            for one in done.repeating[:100]
        ]
    )
    shell.link("duplicates", "See both side by side")
