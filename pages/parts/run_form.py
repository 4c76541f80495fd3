"""What a run starts from: a base model, or an adapter of the project."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from pages.frame import shell
from pages.frame.wiring import looking
from pages.parts import provider_form
from storage import settings
from storage.errors import BadInput
from storage.types import Version
from training.launch.recipe import Recipe, base_text
from training.launch.runs import RunPlan
from training.models import adapters, base_models, vetting
from training.models.base_models import BaseModel, BaseOption
from training.settings import Method, Provider, Tuning

_TYPED = {
    "folder": "Another folder on this server",
    "hub": "A model of the Hugging Face hub",
}
_WITHOUT_ADAPTER = (Method.FULL, Method.PROVIDER)
"""Methods that make no adapter which another run could go on from."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a run starts from."""

    base: BaseModel | str
    """The base model, or the sentence that says why there is none."""
    settings: dict[str, Any]
    """Those that follow from the choice."""


def start(project_id: int, method: Method) -> Start:
    """The choice that a method asks for."""
    if method is Method.PREFERENCE:
        return adapter(project_id)
    if method is Method.PROVIDER:
        chosen = provider_form.choice()
        # The base model is the endpoint's; the settings name it.
        return (
            Start(chosen, {}) if isinstance(chosen, str) else Start(BaseModel("packaged"), chosen)
        )
    return Start(base(), {})


def base() -> BaseModel | str:
    """The chosen base model, or the sentence that says why it cannot be used."""
    offers = {_name(offer): offer for offer in base_models.listing(settings.current().data)}
    chosen = st.selectbox(
        "Base model",
        [*offers, *_TYPED],
        format_func=lambda key: _TYPED.get(key, key),
        key="base",
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
    where = st.text_input("Folder", key="base-folder", placeholder="/models/my-base-model").strip()
    path = Path(where)
    if not where or not path.is_absolute() or not path.is_dir():
        return "Give the whole path of the base model's folder on this server."
    try:
        vetting.vet(path)
    except BadInput as error:
        return str(error)
    return BaseModel("folder", str(path))


def adapter(project_id: int) -> Start:
    """The adapter that preference tuning goes on from, with its base model; or the sentence that
    says why there is none.
    """
    with looking() as session:
        by_id = {
            tuned.id: tuned
            for tuned in adapters.listing(session, project_id)
            if tuned.card.get("settings", {}).get("method", Method.LORA) not in _WITHOUT_ADAPTER
        }
    if not by_id:
        return Start("There is no adapter to go on from. Launch a LoRA run first.", {})
    chosen = st.selectbox(
        "Goes on from",
        list(by_id),
        format_func=lambda number: by_id[number].name,
        key=f"adapter-{project_id}",
        help="Its answers are the ones that preference tuning starts with and is held to.",
    )
    return Start(BaseModel.from_dict(by_id[chosen].card["base"]), {"adapter_id": chosen})


def wish(
    version: Version, name: str, base: BaseModel | str, settings: Tuning | str
) -> RunPlan | None:
    """What to launch; None while a choice cannot be used."""
    if isinstance(base, str) or isinstance(settings, str):
        return None
    consent = provider_form.agreement(version, settings) if isinstance(settings, Provider) else None
    return RunPlan(version.id, name, base, settings, consent=consent)


def agreed(wish: RunPlan) -> bool:
    """Whether nothing is left to agree to."""
    return not isinstance(wish.settings, Provider) or wish.consent is not None


def load(recipe: Recipe) -> None:
    """Choose the base model of a recipe, for a callback."""
    base = recipe.base
    offers = base_models.listing(settings.current().data)
    named = next((_name(offer) for offer in offers if offer.base == base), None)
    st.session_state["base"] = named or base.kind
    st.session_state[f"base-{base.kind}"] = base_text(recipe)
