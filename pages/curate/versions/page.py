"""Versions page: freeze the approved pairs, see what changed, prove, name and export them."""

import streamlit as st

from curation.versions import archive, standing
from pages.curate.versions import changes, export, views
from pages.frame import reported, shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.parts import baseline, job_panel
from storage import pairs
from storage.types import JobKind, PairStatus
from training import kinds

user = require_user()
shell.header("Versions", "Frozen sets of approved pairs: what trains, what tests, and its hash.")
project = shell.require_project(user)
with looking() as session:
    ready = pairs.counts(session, project.id)[PairStatus.APPROVED]
    versions = archive.listing(session, project.id)
    freezing = kinds.going(session, project.id, JobKind.FREEZE)
if not ready and not versions:
    shell.empty("No pair is approved yet.", "review", "Review some pairs first")
    st.stop()

job_panel.show(project.id, JobKind.FREEZE)
if not freezing:
    views.freeze(user, project, ready, versions)
if not versions:
    shell.note("There is no version yet. A training run needs one.")
    st.stop()
version = views.choose(project, versions)
views.figures(version)
reported_standing = reported.read(standing.STANDING, version.id)
state = reported_standing.content
left, right = st.columns(2, gap="large")
with right:
    views.proof(version, reported_standing)
    views.names(user, version)
if state.card is not None:
    with left:
        export.show(user, version, state)
    st.subheader("What changed", anchor=False)
    changes.show(version, versions)
    export.card(version, state.card)
views.manifest(version)
st.subheader("Baseline", anchor=False)
baseline.show(user, version)
shell.link("ready", "Next: see what is still missing for a training run")
