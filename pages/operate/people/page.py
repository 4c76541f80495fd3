"""People page: who has a profile here, and what each may do."""

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import act, looking
from storage import people
from storage.types import Role, User

_MAY = {
    Role.EXPERT: "write, import and draft examples, review, scrub, audit",
    Role.REVIEWER: "approve or reject drafts, vote in blind trials",
    Role.LEAD: "everything about the project, its runs and its trials",
    Role.ADMIN: "say who may do what",
}


def _change(one: User, key: str) -> None:
    chosen = frozenset(Role(role) for role in st.session_state[key])
    act(f"{one.name}'s roles are changed.", people.set_roles, user, one.id, chosen, one.roles)


def _profile(one: User) -> None:
    held = sorted(role.value for role in one.roles)
    # With the roles in the key, a change by someone else draws this line anew.
    key = f"roles-{one.id}-{'-'.join(held)}"
    with st.container(border=True):
        name, roles, save = st.columns([2, 4, 1], vertical_alignment="center")
        name.text(one.name)
        if one.id == user.id:
            with name:
                shell.note("This is you.")
        if Role.ADMIN not in user.roles:
            roles.text(", ".join(held))
            return
        chosen = roles.multiselect(
            "Roles",
            [role.value for role in Role],
            default=held,
            key=key,
            label_visibility="collapsed",
        )
        save.button(
            "Save",
            key=f"save-{key}",
            disabled=sorted(chosen) == held,
            on_click=_change,
            args=(one, key),
        )


user = require_user()
shell.header("People", "Who has a profile here, and what each may do.")
with looking() as session:
    everyone = people.everyone(session)
if Role.ADMIN not in user.roles:
    st.text("Only an admin can change roles; ask one of those listed below.")
for one in everyone:
    _profile(one)
with st.expander("What the roles may do"):
    st.text("\n".join(f"{role.value}: {words}" for role, words in _MAY.items()))
shell.note(
    "A change counts from that person's next click. Profiles are picked, not proven: whoever can "
    "open this server's link can be anyone here."
)
shell.link("sign_in", "Add a person")
