"""The choice of a base model: what is on this server, another folder, or a name on the hub."""

from pathlib import Path

import streamlit as st

from pages.frame import shell
from storage import settings
from training.launch.recipe import Recipe, base_text
from training.models import base_models, verdicts
from training.models.base_models import BaseOption
from training.records.parts import BaseModel

_TYPED = {
    "folder": "Another folder on this server",
    "hub": "A model of the Hugging Face hub",
}


KEYS = ("base", "base-hub", "base-folder")
"""Of the fields that `choose` draws."""


def choose() -> BaseModel | str:
    """The chosen base model, or the sentence that says why it cannot be used."""
    offers = {_name(offer): offer for offer in base_models.listing(settings.current().data)}
    chosen = st.selectbox(
        "Base model",
        [*offers, *_TYPED],
        format_func=lambda key: _TYPED.get(key, key),
        key="base",
        on_change=_look_through,
        help="The model that is tuned. The smallest one that can do the task is the best choice.",
    )
    if chosen in offers:
        return _offered(offers[chosen])
    if chosen == "folder":
        return _folder()
    where = st.text_input("Name on the hub", key="base-hub", placeholder="organisation/model")
    shell.note("The hub is asked when the run starts, so this server must be online then.")
    if not where.strip():
        return "Type the model's name on the hub."
    name, _, revision = where.strip().partition("@")
    return BaseModel("hub", name, revision or None)


def _name(offer: BaseOption) -> str:
    return f"{offer.name} (licence: {offer.licence})"


def _offered(offer: BaseOption) -> BaseModel | str:
    usable = offer.ready or offer.base.kind == "packaged"
    shell.note(offer.note)
    return offer.base if usable else offer.note


def _folder() -> BaseModel | str:
    where = st.text_input(
        "Folder",
        key="base-folder",
        placeholder="/models/my-base-model",
        on_change=_look_through,
    ).strip()
    path = Path(where)
    if not where or not path.is_absolute() or not path.is_dir():
        return "Give the whole path of the base model's folder on this server."
    verdict = verdicts.of(path, settings.current().data)
    if verdict is not None and verdict.problem:
        return verdict.problem
    return BaseModel("folder", str(path))


def _look_through() -> None:
    """Vet the folder that was chosen or typed: once, and never while a page is drawn."""
    data, chosen = settings.current().data, st.session_state.get("base")
    offers = {_name(offer): offer.base for offer in base_models.listing(data)}
    where = st.session_state.get("base-folder", "") if chosen == "folder" else ""
    if chosen in offers and offers[chosen].kind == "folder":
        where = offers[chosen].where
    path = Path(where.strip())
    if where and path.is_absolute() and path.is_dir():
        verdicts.judge(path, data)


def load(recipe: Recipe) -> None:
    """Choose the base model of a recipe, for a callback."""
    base = recipe.base
    offers = base_models.listing(settings.current().data)
    named = next((_name(offer) for offer in offers if offer.base == base), None)
    st.session_state["base"] = named or base.kind
    st.session_state[f"base-{base.kind}"] = base_text(recipe)
    _look_through()
