"""Adapters page: what was trained, with its whole lineage, to download or to compare."""

from functools import partial

import streamlit as st

from pages.parts import adapter_card, compare_start, job_panel, shell
from pages.parts.identity import require_user
from pages.parts.plain import plain
from pages.parts.wiring import looking
from storage import settings
from storage.errors import Unavailable
from storage.types import JobKind
from training import adapters


def _package(adapter_id: int) -> bytes:
    with looking() as session:
        return adapters.package(session, adapter_id, settings.current())


user = require_user()
shell.header("Adapters", "What the runs made, each with a card that says how it came to be.")
project = shell.require_project(user)
with looking() as session:
    known = {adapter.id: adapter for adapter in adapters.listing(session, project.id)}
if not known:
    shell.empty("There is no adapter yet.", "pages/train/launch.py", "Launch a run")
    st.stop()

chosen = st.selectbox(
    "Adapter", list(known), format_func=lambda i: known[i].name, key=f"adapter-{max(known)}"
)
adapter = known[chosen]
job_panel.show(project.id, JobKind.EVALUATE)
with looking() as session:
    card = adapters.card(session, adapter.id)
    sealed = adapters.sealed(session, adapter.id)
with st.container(horizontal=True):
    at_endpoint = adapters.at_endpoint(adapter)
    try:
        if not at_endpoint:
            adapters.intact(adapter, settings.current())
    except Unavailable as error:
        st.error(plain(str(error)))
    else:
        st.download_button(
            "Download the card (zip)" if at_endpoint else "Download (zip)",
            partial(_package, adapter.id),
            file_name=f"adapter-{adapter.sha256[:16]}.zip",
            mime="application/zip",
            key=f"download-{adapter.id}",
            on_click="ignore",
        )
    compare_start.button(user, adapter.version_id, adapter, "Compare on held-out rows")
adapter_card.show(card, sealed)
shell.link("pages/prove/compare.py", "See the answers side by side")
