"""Review page: one row at a time, each decision by a person."""

import streamlit as st

from pages.parts import label_conflicts, label_review, shell
from pages.parts.identity import require_user
from pages.parts.wiring import looking
from storage import pairs

user = require_user()
shell.header("Review", "One row at a time: approve it, repair it, or say why it goes.")
project = shell.require_project(user)
with looking() as session:
    known = sum(pairs.counts(session, project.id).values())
if not known:
    shell.empty("There are no rows to review yet.", "pages/label/import.py", "Import rows")
    shell.link("pages/label/write.py", "Write gold pairs")
else:
    above = st.container()
    figures = label_review.card(user, project)
    label_conflicts.show(user, project)
    if not figures.waiting:
        with above:
            shell.link("pages/curate/scrub.py", "Every row is decided. Next: remove personal data")
