"""Versions page: freeze the approved rows, see what changed, prove, name and export them."""

import streamlit as st

from curation.versions import archive
from pages.curate.versions import changes, export, views
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.parts import baseline
from storage import pairs
from storage.types import PairStatus

user = require_user()
shell.header("Versions", "Frozen sets of approved rows: what trains, what tests, and its hash.")
project = shell.require_project(user)
with looking() as session:
    ready = pairs.counts(session, project.id)[PairStatus.APPROVED]
    known = archive.listing(session, project.id)
if not ready and not known:
    shell.empty("No row is approved yet.", "review", "Review some rows first")
    st.stop()

views.freeze(user, project, ready, known)
if not known:
    shell.note("There is no version yet. A training run needs one.")
    st.stop()
one = views.choose(project, known)
views.figures(one)
found = views.opened(one)
left, right = st.columns(2, gap="large")
with right:
    views.proof(one, found)
    views.names(user, one)
if found is not None:
    with left:
        export.show(found)
    st.subheader("What changed", anchor=False)
    changes.show(found, known)
    export.card(found)
views.manifest(one)
st.subheader("Baseline", anchor=False)
baseline.show(user, one)
shell.link("ready", "Next: see what is still missing for a training run")
