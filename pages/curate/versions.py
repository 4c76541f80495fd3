"""Versions page: freeze the approved rows, see what changed, prove, name and export them."""

import streamlit as st

from curation import versions
from pages.parts import baseline, shell, version_changes, version_export, version_views
from pages.parts.identity import require_user
from pages.parts.wiring import looking
from storage import pairs
from storage.types import PairStatus

user = require_user()
shell.header("Versions", "Frozen sets of approved rows: what trains, what tests, and its hash.")
project = shell.require_project(user)
with looking() as session:
    ready = pairs.counts(session, project.id)[PairStatus.APPROVED]
    known = versions.listing(session, project.id)
if not ready and not known:
    shell.empty("No row is approved yet.", "pages/label/review.py", "Review some rows first")
    st.stop()

version_views.freeze(user, project, ready, known)
if not known:
    shell.note("There is no version yet. A training run needs one.")
    st.stop()
one = version_views.choose(project, known)
version_views.figures(one)
found = version_views.opened(one)
left, right = st.columns(2, gap="large")
with right:
    version_views.proof(one, found)
    version_views.names(user, one)
if found is not None:
    with left:
        version_export.show(found)
    st.subheader("What changed", anchor=False)
    version_changes.show(found, known)
    version_export.card(found)
version_views.manifest(one)
st.subheader("Baseline", anchor=False)
baseline.show(user, one)
shell.link("pages/curate/ready.py", "Next: see what is still missing for a training run")
