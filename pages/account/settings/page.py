"""Settings page: who you are here, and how to sign out."""

import streamlit as st

from pages.frame import profiles, shell
from pages.frame.identity import require_user

user = require_user()
shell.header("Settings", "Who you are in this browser, and which project the pages show.")
with st.container(border=True):
    st.text(user.name)
    shell.note("Roles: " + ", ".join(sorted(user.roles)))
shell.note("An admin changes roles on the People page; a change counts from your next click.")
shell.project_choice(user)
shell.link("sign_in", "Switch to another profile")
if st.button("Sign out", key="sign-out"):
    profiles.choices([], go=0)
