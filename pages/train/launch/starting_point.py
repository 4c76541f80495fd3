"""What a run starts from: a version, and a base model or an adapter; and what is launched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from pages.frame.wiring import drawn, looking
from pages.parts import base_choice
from pages.train.launch import provider_form
from storage.types import Version
from training.launch.runs import RunPlan
from training.models import adapters
from training.records.parts import BaseModel
from training.settings import Method, Provider, Tuning

_WITHOUT_ADAPTER = (Method.FULL, Method.PROVIDER)
"""Methods that make no adapter which another run could go on from."""

_FIELDS = ("adapter-", "base", "consent-", "method", "name-", "preset", "provider-", "version-")
"""How the keys of the fields begin that a plan is made of, besides the drawer's."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a run starts from."""

    base: BaseModel | str
    """The base model, or the sentence that says why there is none."""
    settings: Mapping[str, object]
    """Those that follow from the choice."""


def version(project_id: int, versions: Sequence[Version]) -> Version:
    """The version that the run trains on."""
    by_id = {version.id: version for version in versions}
    chosen = st.selectbox(
        "Version",
        list(by_id),
        format_func=lambda i: f"Version {by_id[i].number}, {sum(by_id[i].counts.values())} pairs",
        key=f"version-{project_id}",
    )
    return by_id[chosen]


def choose(project_id: int, method: Method) -> Start:
    """The choice that a method asks for."""
    if method is Method.PREFERENCE:
        return _adapter(project_id)
    if method is Method.PROVIDER:
        chosen = provider_form.choice()
        if isinstance(chosen, str):
            return Start(chosen, {})
        # The base model is the endpoint's; the settings name it.
        return Start(BaseModel("packaged"), chosen)
    return Start(base_choice.choose(), {})


def _adapter(project_id: int) -> Start:
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


def plan(
    version: Version, name: str, base: BaseModel | str, settings: Tuning | str
) -> RunPlan | None:
    """What to launch; None while a choice cannot be used."""
    if isinstance(base, str) or isinstance(settings, str):
        return None
    consent = provider_form.agreement(version, settings) if isinstance(settings, Provider) else None
    return RunPlan(version.id, name, base, settings, consent=consent)


def fields(scope: str) -> Mapping[str, object]:
    """What the fields of the page hold that a plan is made of; `scope` is the drawer's."""
    keys = map(str, st.session_state)
    return drawn(key for key in keys if key.startswith(_FIELDS) or key.endswith(f"-{scope}"))


def agreed(plan: RunPlan) -> bool:
    """Whether nothing is left to agree to."""
    return not isinstance(plan.settings, Provider) or plan.consent is not None
