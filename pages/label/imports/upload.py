"""The file to import: read once however often the page is drawn, or refused line by line."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from curation import visible
from curation.exchange import files
from curation.exchange.source import Refusal, Refused, Table
from curation.project import sample
from pages.frame import shell, uploads
from pages.frame.plain import plain
from storage import settings
from storage.errors import AssayError
from storage.types import Project

_UPLOAD = "import-read"
_SAMPLE = "import-sample"
_UPLOADER = "import-uploader"
OUTCOME = "import-done"
"""What the last import did; a file that is chosen anew may be imported anew."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was read: its table, or why it was refused. Stays for the session."""

    key: str
    name: str
    table: Table | None = None
    why: str = ""
    refusals: tuple[Refusal, ...] = ()
    count: int = 0


def choose(project: Project) -> Upload | None:
    """The file to import; None until there is one."""
    name = st.session_state.get(_SAMPLE) if project.sample else None
    if isinstance(name, str):
        left, right = st.columns([3, 1], vertical_alignment="center")
        left.text(f"The sample's {name}")
        right.button("Choose another file", key="import-other", on_click=_forget)
        return _read((sample.FOLDER / name).read_bytes(), name)
    uploaded = st.file_uploader(
        "CSV, JSONL, Parquet, XLSX, an export of Assay, or a zip of a saved Hugging Face dataset",
        type=["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "zip"],
        key=_uploader_key(),
    )
    shell.note(uploads.NOTE)
    if uploaded is not None:
        return _read(uploaded.getvalue(), uploaded.name)
    if project.sample:
        shell.note("Or take the sample's own files, with the faults that were planted in them:")
        with st.container(horizontal=True):
            for name in sample.IMPORTS:
                label = f"Use the sample's {name}"
                st.button(label, key=f"sample-{name}", on_click=_use, args=(name,))
    return None


def _use(name: str) -> None:
    st.session_state[_SAMPLE] = name
    st.session_state.pop(OUTCOME, None)


def _uploader_key() -> str:
    """Another one once a file was handed on: the field is empty then."""
    number = st.session_state.get(_UPLOADER, 0)
    return f"import-file-{number}" if number else "import-file"


def hand_on() -> None:
    """Forget a file that a job imports from now on; the memory of the server is not its place."""
    _forget()
    st.session_state[_UPLOADER] = st.session_state.get(_UPLOADER, 0) + 1


def _forget() -> None:
    for key in (_SAMPLE, _UPLOAD, OUTCOME):
        st.session_state.pop(key, None)


def _read(content: bytes, name: str) -> Upload:
    key = f"{hashlib.sha256(content).hexdigest()}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    cached = st.session_state.get(_UPLOAD)
    if isinstance(cached, Upload) and cached.key == key:
        return cached
    with st.spinner("Reading the file…"):
        upload = _parse(content, name, key)
    st.session_state[_UPLOAD] = upload
    return upload


def _parse(content: bytes, name: str, key: str) -> Upload:
    folder = settings.current().data
    with tempfile.NamedTemporaryFile(prefix="upload-", dir=folder) as file:
        file.write(content)
        file.flush()
        try:
            return Upload(key, name, files.read(Path(file.name), name))
        except Refused as error:
            return Upload(key, name, None, str(error), error.refusals, error.count)
        except AssayError as error:
            return Upload(key, name, None, str(error))


def refused(why: str, refusals: Sequence[Refusal], count: int) -> None:
    """Why nothing of a file was taken, line by line."""
    st.error(plain(why))
    if refusals:
        st.dataframe(
            [{"Line": str(fault.line), "Why": visible.reveal(fault.why)} for fault in refusals],
            column_config={"Why": st.column_config.TextColumn(width="large")},
        )
        first = f"The first {len(refusals)} of {count} faulty lines. " if count > 100 else ""
        shell.note(f"{first}Repair them in the file and import it again: a file goes in whole.")
