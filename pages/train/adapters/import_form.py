"""Take in an adapter that was trained elsewhere: a zip, its base model, a name."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from pages.frame import shell, uploads
from pages.frame.plain import plain
from pages.frame.wiring import act, looking
from storage import settings
from storage.errors import AssayError
from storage.types import Project, Role, User
from training.lifecycle import imports
from training.models import base_models
from training.records.parts import BaseModel

_LIMIT_MB = 50


def show(user: User, project: Project) -> None:
    """The form, for a lead."""
    with st.expander("Take in an adapter trained elsewhere"):
        if Role.LEAD not in user.roles:
            shell.note("Someone with the role lead can take in an adapter.")
            return
        shell.note(
            "A zip of a PEFT folder: adapter_config.json and adapter_model.safetensors, up to "
            f"{_LIMIT_MB} MB (larger ones: python -m training import-adapter). Code, pickled files "
            "and settings that could run code are refused before anything is loaded. It is judged "
            "on the held-out pairs of the newest version; which pairs it was trained on is not "
            "known."
        )
        offers = {
            str(offer.base.to_dict()): offer
            for offer in base_models.listing(settings.current().data)
            if offer.ready
        }
        bases = {key: offer.base for key, offer in offers.items()}
        if not offers:
            shell.note("No base model is on this server yet. Launch a run first.")
            return
        st.selectbox(
            "Base model it was trained on",
            list(offers),
            format_func=lambda key: offers[key].name,
            key=f"import-base-{project.id}",
        )
        st.text_input("Name", max_chars=80, key=f"import-name-{project.id}")
        uploaded = st.file_uploader("Zip", type=["zip"], key=f"import-adapter-{project.id}")
        shell.note(uploads.NOTE)
        if uploaded is not None:
            st.button(
                "Take it in",
                key=f"take-{project.id}",
                type="primary",
                on_click=_take,
                args=(user, project.id, uploaded.getvalue(), bases),
            )


def _take(user: User, project_id: int, content: bytes, bases: Mapping[str, BaseModel]) -> None:
    """Keep the upload in a file for as long as it is looked at."""
    if len(content) > _LIMIT_MB * 1_000_000:
        st.error(f"The zip is larger than {_LIMIT_MB} MB. Use the command: import-adapter.")
        return
    base = bases[st.session_state[f"import-base-{project_id}"]]
    present, name = settings.current(), st.session_state.get(f"import-name-{project_id}", "")
    with tempfile.NamedTemporaryFile(prefix="upload-", suffix=".zip", dir=present.data) as file:
        file.write(content)
        file.flush()
        try:
            with looking() as session:
                place = Path(file.name)
                files = imports.look_through(session, user, project_id, place, base, present)
        except AssayError as error:
            st.error(plain(str(error)))
            return
    act("Taken in.", imports.take, user, project_id, files, name, present)
