"""Review page: one pair at a time, each decision by a person."""

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.label.review import card, conflicts
from storage import pairs

user = require_user()
shell.header("Review", "One pair at a time: approve it, repair it, or say why it goes.")
project = shell.require_project(user)
with looking() as session:
    begun = pairs.any_in(session, project.id)
if not begun:
    shell.empty("There are no pairs to review yet.", "import", "Import pairs")
    shell.link("write", "Write gold pairs")
else:
    above = st.container()
    figures = card.show(user, project)
    conflicts.show(user, project)
    if not figures.waiting:
        with above:
            shell.link("scrub", "Every pair is decided. Next: remove personal data")
