"""Profiles page: pick who you are in this browser, or make a profile."""

import streamlit as st

from pages.frame import identity, profiles, shell
from pages.frame.wiring import act, looking
from pages.parts.roles import MAY
from storage import people
from storage.types import Role, User


def _make() -> None:
    """Make the profile in the form and let the browser speak for it."""
    chosen = [role for role in Role if st.session_state[f"role-{role.value}"]]
    profile = act("", people.join, st.session_state["profile-name"], frozenset(chosen))
    st.session_state["made"] = None if profile is None else profile.id


def _profile(user: User) -> profiles.Profile:
    return {"id": user.id, "name": user.name, "does": ", ".join(sorted(user.roles))}


present = identity.current()
with looking() as session:
    everyone = people.everyone(session)

shell.header(
    "Profiles" if present else "Who are you?",
    "Decisions, drafts and votes are kept under your profile. There is no password: "
    "whoever can open this link can be anyone here.",
)
if everyone:
    st.subheader("Continue as", anchor=False)
    profiles.choices([_profile(user) for user in everyone], go=st.session_state.get("made"))

st.subheader("Make a profile" if everyone else "Make the first profile", anchor=False)
with st.form("make-profile"):
    st.text_input("Name", key="profile-name", max_chars=80)
    st.text("This person may:" if everyone else "The first profile may do everything:")
    for role, may in MAY.items():
        st.checkbox(f"{role.capitalize()}: {may}", value=not everyone, key=f"role-{role.value}")
    st.form_submit_button("Make and continue", type="primary", on_click=_make)
