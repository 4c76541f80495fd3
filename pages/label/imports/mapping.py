"""Which column of a file holds what, and the first of its pairs under that mapping."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from curation import statistics, visible
from curation.exchange import columns, incoming
from curation.exchange.incoming import Incoming, Preview
from curation.exchange.source import Table
from curation.versions.layout import ColumnMapping
from pages.frame import shell
from pages.frame.plain import plain
from pages.label.imports.upload import Upload
from storage.errors import AssayError
from storage.types import Project

_PREVIEW = "import-preview"
_FIRST = 8
"""Pairs that the preview draws."""
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
class _Previewed:
    """The last preview, and what it was made of. Stays for the session."""

    key: str
    mapping: ColumnMapping
    project_id: int
    preview: Preview


def keys(upload: Upload) -> list[str]:
    """Of the fields that `choose` draws."""
    return [f"map-{part}-{upload.key}" for part in _PARTS]


def choose(upload: Upload, table: Table) -> ColumnMapping:
    """Which column holds what, guessed first and confirmed by a person."""
    guess = columns.suggest(table)
    names = [None, *table.columns]
    chosen: dict[str, str | None] = {}
    grid = [*st.columns(4), *st.columns(4)]
    for column, (part, label) in zip(grid, _PARTS.items(), strict=True):
        chosen[part] = column.selectbox(
            label,
            names,
            index=names.index(getattr(guess, part)),
            key=f"map-{part}-{upload.key}",
            format_func=lambda name: "not in this file" if name is None else str(name).strip(),
        )
    return replace(guess, **chosen)  # type: ignore[arg-type]  # the parts are all names


def preview(
    upload: Upload, table: Table, mapping: ColumnMapping, project: Project
) -> Preview | None:
    """The lines as pairs under the mapping; None where the mapping itself is refused."""
    cached = st.session_state.get(_PREVIEW)
    if not isinstance(cached, _Previewed) or (cached.key, cached.mapping, cached.project_id) != (
        upload.key,
        mapping,
        project.id,
    ):
        try:
            applied = incoming.apply(table, mapping, project.system_message)
        except AssayError as error:
            st.error(plain(str(error)))
            return None
        cached = _Previewed(upload.key, mapping, project.id, applied)
        st.session_state[_PREVIEW] = cached
    _draw(cached.preview, table.notes)
    return cached.preview


def forget() -> None:
    """Drop the last preview: it holds all pairs of a file."""
    st.session_state.pop(_PREVIEW, None)


def _draw(preview: Preview, notes: Sequence[str]) -> None:
    wide = st.column_config.TextColumn(width=380)
    st.dataframe(
        [_cells(pair) for pair in preview.rows[:_FIRST]],
        key="import-first-rows",
        column_config={"Input": wide, "Output": wide},
    )
    total = len(preview.rows)
    shell.note(f"The first {min(_FIRST, total)} of {statistics.count(total, 'pair')}.")
    for note in (*notes, *preview.notes):
        st.text(f"• {note}")


def _cells(pair: Incoming) -> dict[str, str]:
    return {
        "Line": str(pair.line),
        "Input": visible.reveal(pair.prompt),
        "Output": visible.reveal(pair.response),
        "Era": visible.reveal(pair.era or ""),
        "Topic": visible.reveal(pair.topic or ""),
        "Record": visible.reveal(pair.source_id or ""),
    }
