"""Eras page: which policy was in force when, and what its change means for the rows."""

import streamlit as st

from curation.policy import era_search, eras
from pages.parts import era_affected, era_list, shell
from pages.parts.identity import require_user
from pages.parts.wiring import looking
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

view = era_affected.view(project)
if view == era_affected.ERAS:
    old = [pair for pair in approved if eras.retired(pair, known)]
    era_list.standing(project, known, old)
    era_list.timeline(user, known, told, tagged)
    era_list.new(user, project, known)
elif view == era_affected.ROWS:
    found = era_affected.found(project, era_affected.search(project, known))
    chosen = era_affected.preview(found, known) if found is not None else []
    if chosen:
        era_affected.deal(user, project, chosen, known)
else:
    with looking() as session:
        era_affected.changes(user, session, project)
with st.expander("What is not found"):
    st.text(f"• {eras.LIMITS}\n• Rows that a reviewer holds are left alone, and counted.")
