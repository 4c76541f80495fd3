"""Eras page: which policy was in force when, and what its change means for the rows."""

import streamlit as st

from curation.policy import era_search, eras
from pages.curate.eras import affected, listing
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from storage import pairs, projects
from storage.types import PairStatus

user = require_user()
shell.header("Eras", "Which policy was in force when, and what its change means for the rows.")
project = shell.require_project(user)
with looking() as session:
    known = projects.eras(session, project.id)
    told = eras.histories(session, [era.id for era in known])
    tagged = era_search.tagged(session, project.id)
    approved = pairs.listing(session, project.id, status=PairStatus.APPROVED)

view = affected.view(project)
if view == affected.ERAS:
    old = [pair for pair in approved if eras.retired(pair, known)]
    listing.standing(project, known, old)
    listing.timeline(user, known, told, tagged)
    listing.new(user, project, known)
elif view == affected.ROWS:
    found = affected.found(project, affected.search(project, known))
    chosen = affected.preview(found, known) if found is not None else []
    if chosen:
        affected.deal(user, project, chosen, known)
else:
    with looking() as session:
        affected.changes(user, session, project)
with st.expander("What is not found"):
    st.text(f"• {eras.LIMITS}\n• Rows that a reviewer holds are left alone, and counted.")
