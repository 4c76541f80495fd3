"""Eras page: which policy was in force when, and what its change means for the pairs."""

import streamlit as st

from curation.gate import measures
from curation.policy import era_search, eras
from pages.curate.eras import affected, listing
from pages.frame import reported, shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from storage import projects

user = require_user()
shell.header("Eras", "Which policy was in force when, and what its change means for the pairs.")
project = shell.require_project(user)
with looking() as session:
    project_eras = projects.eras(session, project.id)
    histories = eras.histories(session, [era.id for era in project_eras])
    tagged = era_search.tagged(session, project.id)

view = affected.view(project)
if view == affected.ERAS:
    listing.standing(project, project_eras, reported.read(measures.TEXTS, project.id).content)
    listing.timeline(user, project_eras, histories, tagged)
    listing.new(user, project, project_eras)
elif view == affected.ROWS:
    matches = affected.matches(project, affected.search(project, project_eras))
    chosen = affected.preview(matches, project_eras) if matches is not None else []
    if chosen:
        affected.deal(user, project, chosen, project_eras)
else:
    with looking() as session:
        affected.changes(user, session, project)
with st.expander("What is not found"):
    st.text(f"• {eras.LIMITS}\n• Pairs that a reviewer holds are left alone, and counted.")
