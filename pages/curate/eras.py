"""Eras page: which policy was in force when, and what its change means for the rows."""

import streamlit as st

from curation import era_rows, eras
from pages.parts import era_affected, era_list, rows, shell
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
    approved = pairs.listing(session, project.id, status=PairStatus.APPROVED)
    tagged = era_rows.tagged(session, project.id)

old = [pair for pair in approved if eras.retired(pair, known)]
if old:
    with st.container(border=True):
        st.warning(
            f"{rows.count(len(old), 'approved row belongs', 'approved rows belong')} to a retired "
            "era, by tag or by wording. They block a training run until they are dealt with."
        )
        rows.browse([pair.id for pair in old], "Show them")
        for era in known:
            if not any(era.retired and eras.belongs(pair, era) for pair in old):
                continue
            st.button(
                f"Deal with the rows of {era.name}", key=f"deal-{era.id}", type="primary",
                on_click=era_affected.show_era, args=(project, era.id),
            )  # fmt: skip
elif known:
    st.success("No approved row belongs to a retired era.")
else:
    st.info("There are no eras yet. Add one when the rules change, so that old rows do not train.")

era_list.timeline(user, known, told, tagged)
era_list.new(user, project, known)
st.subheader("Rows that a change concerns", anchor=False)
found = era_affected.found(project, era_affected.search(project, known))
if found is not None:
    chosen = era_affected.preview(found, known)
    if chosen:
        era_affected.deal(user, project, chosen, known)
with looking() as session:
    era_affected.changes(user, session, project)
with st.expander("What this search does not catch"):
    st.text(f"• {eras.LIMITS}\n• Rows that a reviewer holds are left alone, and counted.")
