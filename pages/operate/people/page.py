"""People page: who has a profile here, and what each may do."""

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import act, looking
from pages.parts.roles import MAY
from storage import people
from storage.types import Role, User


def _change(person: User, key: str) -> None:
    chosen = frozenset(Role(role) for role in st.session_state[key])
    act(
        f"{person.name}'s roles are changed.",
        people.set_roles,
        user,
        person.id,
        chosen,
        person.roles,
    )


def _profile(person: User) -> None:
    current = sorted(role.value for role in person.roles)
    # With the roles in the key, a change by someone else draws this line anew.
    key = f"roles-{person.id}-{'-'.join(current)}"
    with st.container(border=True):
        name, roles, save = st.columns([2, 4, 1], vertical_alignment="center")
        name.text(person.name)
        if person.id == user.id:
            with name:
                shell.note("This is you.")
        if Role.ADMIN not in user.roles:
            roles.text(", ".join(current))
            return
        chosen = roles.multiselect(
            "Roles",
            [role.value for role in Role],
            default=current,
            key=key,
            label_visibility="collapsed",
        )
        save.button(
            "Save",
            key=f"save-{key}",
            disabled=sorted(chosen) == current,
            on_click=_change,
            args=(person, key),
        )


user = require_user()
shell.header("People", "Who has a profile here, and what each may do.")
with looking() as session:
    everyone = people.everyone(session)
if Role.ADMIN not in user.roles:
    st.text("Only an admin can change roles; ask one of those listed below.")
for person in everyone:
    _profile(person)
with st.expander("What the roles may do"):
    st.text("\n".join(f"{role.value}: {may}" for role, may in MAY.items()))
shell.note(
    "A change counts from that person's next click. Profiles are picked, not proven: whoever can "
    "open this server's link can be anyone here."
)
shell.link("sign_in", "Add a person")
