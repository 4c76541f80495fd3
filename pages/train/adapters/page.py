"""Adapters page: what was trained, how far each has come, and the one next step towards use."""

from functools import partial

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.plain import plain
from pages.frame.wiring import looking
from pages.parts import gate_lines
from pages.train.adapters import card, checks, exits, import_form, listing, promotion, steps
from storage import settings
from storage.errors import RESTORE
from training.lifecycle import adapter_cards, adapter_files, gate, registry, stages, standing
from training.models import adapters


def _package(adapter_id: int) -> bytes:
    with looking() as session:
        return adapter_files.package(session, adapter_id, settings.current())


user = require_user()
shell.header("Adapters", "What the runs made, and how far each is from production.")
project = shell.require_project(user)
with looking() as session:
    entries = registry.overview(session, project.id, settings.current())
if not entries:
    shell.empty("There is no adapter yet.", "launch", "Launch a run")
    import_form.show(user, project)
    st.stop()

entry = listing.choose(entries)
adapter = entry.adapter
with looking() as session:
    lines = gate.report(session, adapter.id, settings.current())
    changes = stages.history(session, adapter.id)
    adapter_card = adapter_cards.build(session, adapter)
    sealed = adapter_cards.sealed(session, adapter.id)
    before = stages.before(session, project.id)
    former = adapters.get(session, before) if before is not None else None
st.subheader(f"adapter@{adapter.number}", anchor=False)
st.text(adapter.name)
working_on = steps.next_step(user, entry, lines)
steps.going(project.id)
with st.container(horizontal=True):
    if standing.files(adapter, settings.current()) is not None:
        st.error(plain(f"The files of adapter {adapter.name} are missing or changed. {RESTORE}"))
    else:
        st.download_button(
            "Download the card (zip)" if adapter_files.at_endpoint(adapter) else "Download (zip)",
            partial(_package, adapter.id),
            file_name=f"adapter-{adapter.sha256[:16]}.zip",
            mime="application/zip",
            key=f"download-{adapter.id}",
            on_click="ignore",
        )
    steps.remaining_work(user, entry, working_on)
promotion.show(user, entry, lines)
checks.answers(adapter)
gate_lines.limits(lines)
checks.own_prompts(user, project)
promotion.history(changes)
steps.back_or_retire(user, entry, former)
card.show(adapter_card, sealed)
exits.show(user, adapter, adapter_card)
import_form.show(user, project)
shell.link("compare", "See the answers side by side")
