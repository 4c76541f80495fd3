"""Hand an adapter on: every exit with what it is for, one zip of them, the merged model."""

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import streamlit as st
from sqlalchemy import Engine

from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import act, engine, looking
from pages.parts import job_panel
from storage import projects, settings
from storage.engine import reading
from storage.errors import AssayError
from storage.types import Adapter, Job, Role, User
from training import asks
from training.exits import exports, source as sources
from training.exits.registry import EXITS, MERGED, Offered, offered
from training.work import jobs

_LIMIT = 200_000_000
"""Of weights in one download: it is made in the server's memory."""


def show(user: User, adapter: Adapter, card: Mapping[str, object]) -> None:
    """The exits of one adapter; nothing where its files are missing or changed."""
    present = settings.current()
    try:
        with looking() as session:
            source = sources.of(session, adapter, present)
            merged = exports.merged(session, adapter, present)
            tried = [jobs.get(session, job_id) for job_id in exports.tried(session, adapter)]
            project = projects.get(session, adapter.project_id).name
    except AssayError as error:
        st.error(plain(str(error)))
        return
    offers = offered(source)
    programs = ", ".join(entry.program for entry in EXITS.values() if entry.program)
    with st.expander(f"Use it elsewhere: {programs}"):
        st.text(
            "\n".join(
                f"{'○' if offer.why_not else '✓'} {offer.exit.title}: "
                f"{offer.why_not or offer.exit.purpose}"
                for offer in offers
            )
        )
        _download(adapter, card, offers)
        if all(offer.why_not is None for offer in offers if offer.exit.name == MERGED):
            _merge(user, adapter, merged, tried[0] if tried else None)
        shell.note(
            f"Serve it on this computer: python -m training serve adapter@{adapter.number} "
            f"--project {shlex.quote(project)}"
        )


def _download(adapter: Adapter, card: Mapping[str, object], offers: list[Offered]) -> None:
    """One zip of all that fit, but the merged model, which is too large for a download."""
    names = [offer.exit.name for offer in offers if not offer.why_not and offer.exit.name != MERGED]
    folder = settings.current().data / adapter.path
    size = sum(file.stat().st_size for file in folder.iterdir()) if folder.is_dir() else 0
    if not names or size > _LIMIT:
        shell.note(f"{size / 1e6:,.0f} MB is too much for a download; use the command: export.")
        return
    # Large downloads are told apart by their name alone, so it holds a hash of what decides them.
    digest = hashlib.sha256(json.dumps([card, names], default=str).encode()).hexdigest()[:16]
    st.download_button(
        f"Download {len(names)} exits (zip)",
        data=_content(engine(), adapter.id, tuple(names)),
        file_name=f"adapter-{adapter.number}-exits-{digest}.zip",
        mime="application/zip",
        key=f"exits-{adapter.id}",
        on_click="ignore",
        icon=":material/download:",
    )


def _content(engine: Engine, adapter_id: int, names: tuple[str, ...]) -> Callable[[], bytes]:
    """What makes the zip when the button is pressed."""

    def make() -> bytes:
        with reading(engine) as session:
            return exports.build(session, adapter_id, settings.current(), names).zipped()

    return make


def _merge(user: User, adapter: Adapter, folder: Path | None, job: Job | None) -> None:
    if job is not None:
        job_panel.panel(job)
        if not job.state.final:
            return
    if folder is not None:
        st.text(f"The merged model is in {folder}")
        return
    if Role.LEAD not in user.roles:
        shell.note("Someone with the role lead can merge it with its base model.")
        return
    st.button(
        "Merge with its base model",
        key=f"merge-{adapter.id}",
        help="For programs that read no adapters. Checked against base and adapter.",
        on_click=act,
        args=("Started.", asks.merge, user, adapter.id, settings.current()),
    )
