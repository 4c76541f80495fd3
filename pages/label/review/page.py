"""Review page: one row at a time, each decision by a person."""

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.label.review import card, conflicts
from storage import pairs

user = require_user()
shell.header("Review", "One row at a time: approve it, repair it, or say why it goes.")
project = shell.require_project(user)
with looking() as session:
    known = sum(pairs.counts(session, project.id).values())
if not known:
    shell.empty("There are no rows to review yet.", "import", "Import rows")
    shell.link("write", "Write gold pairs")
else:
    above = st.container()
    figures = card.card(user, project)
    conflicts.show(user, project)
    if not figures.waiting:
        with above:
            shell.link("scrub", "Every row is decided. Next: remove personal data")
