"""The settings of a method: presets, and a drawer with each of them explained.

The drawer is drawn from what the settings class says of its fields, so a setting that is added
there has its place here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.frame import shell
from storage import settings as places
from storage.errors import BadInput
from training.described import Setting, settings_of
from training.families import LAYERS
from training.launch.presets import Preset, presets, usual
from training.models import base_models
from training.records.parts import BaseModel
from training.settings import METHODS, Method, Tuning

LOADED = "loaded-settings"
"""In the state of a tab: the settings of a file that was loaded, offered as a preset."""
FROM_FILE = "From the file"
PRESET = "preset"


@dataclass(frozen=True, slots=True)
class SettingsChoice:
    """What was chosen, or the sentence that says which setting cannot be."""

    settings: Tuning | str
    scope: str
    """Part of the keys of the drawer's widgets."""


def key(name: str, scope: str) -> str:
    """The key of a setting's widget."""
    return f"{name}-{scope}"


def show(method: Method, base: BaseModel | str, fixed: Mapping[str, object]) -> SettingsChoice:
    """Presets and drawer; `fixed` are settings chosen elsewhere, such as an adapter."""
    offered = _offered(method, base if isinstance(base, BaseModel) else None)
    if st.session_state.get(PRESET) not in offered:
        st.session_state[PRESET] = FROM_FILE if FROM_FILE in offered else "Standard"
    name = st.radio("How thorough", list(offered), key=PRESET, horizontal=True)
    preset = offered[name or "Standard"]
    shell.note(preset.advice)
    kind = base.kind if isinstance(base, BaseModel) else "none"
    scope = f"{preset.name}-{method}-{kind}"
    if preset.name == FROM_FILE:
        scope += f"-{hash(preset.settings)}"
    with st.expander("Advanced settings"):
        chosen = _drawer(preset.settings, scope, _layers(base))
    try:
        return SettingsChoice(METHODS[method].from_dict({**chosen, **fixed}), scope)
    except BadInput as error:
        return SettingsChoice(str(error), scope)


def _layers(base: BaseModel | str) -> tuple[str, ...]:
    """The layers that can be tuned, by name."""
    if isinstance(base, BaseModel):
        return base_models.tunable_layers(base, places.current().data)
    return LAYERS


def _offered(method: Method, base: BaseModel | None) -> dict[str, Preset[Tuning]]:
    offered = {preset.name: preset for preset in presets(usual(method, base))}
    loaded = st.session_state.get(LOADED)
    if isinstance(loaded, dict) and loaded.get("method") == method:
        settings = METHODS[method].from_dict(loaded)
        offered[FROM_FILE] = Preset(FROM_FILE, "The settings of the file you loaded.", settings)
    return offered


def _drawer(start: Tuning, scope: str, layers: tuple[str, ...]) -> dict[str, Any]:
    """Every setting, filled in from the preset; another preset fills them in anew."""
    values = start.to_dict()
    drawn = [setting for setting in settings_of(type(start)).values() if setting.caption.drawn]
    numbers = [setting for setting in drawn if setting.number]
    for i in range(0, len(numbers), 3):
        places = st.columns(3, vertical_alignment="bottom")
        for place, setting in zip(places, numbers[i : i + 3], strict=False):
            values[setting.name] = _number(place, setting, values[setting.name], scope)
    for setting in drawn:
        if not setting.number and setting.kind is not bool:
            values[setting.name] = _choice(setting, values[setting.name], scope, layers)
    for setting in drawn:
        if setting.kind is bool:
            values[setting.name] = st.toggle(
                setting.caption.label,
                value=values[setting.name],
                key=key(setting.name, scope),
                help=setting.caption.help,
            )
    return values


def _number(
    place: DeltaGenerator, setting: Setting, value: float | None, scope: str
) -> float | None:
    """A number of the kind of its setting; 0 stands for none where none is possible."""
    chosen = place.number_input(
        setting.caption.label,
        value=setting.kind(value or 0),
        step=setting.kind(setting.caption.step),
        format="%.6f" if setting.name == "learning_rate" else None,
        key=key(setting.name, scope),
        help=setting.caption.help or None,
    )
    return None if setting.optional and not chosen else chosen


def _choice(
    setting: Setting,
    value: Any,  # noqa: ANN401 - of the setting's kind
    scope: str,
    layers: tuple[str, ...],
) -> Any:  # noqa: ANN401 - of the setting's kind
    """Names to choose from, or text."""
    label, help_text, choices = setting.caption.label, setting.caption.help, setting.choices
    place = key(setting.name, scope)
    if isinstance(value, list):
        return _several(setting, value, place, layers)
    if choices:
        start = choices.index(value)
        return st.selectbox(label, choices, index=start, key=place, help=help_text or None)
    return st.text_input(label, value=str(value), key=place, help=help_text)


def _several(setting: Setting, value: list[str], place: str, layers: tuple[str, ...]) -> list[str]:
    """Layers, of those that the base model has."""
    chosen = st.multiselect(
        setting.caption.label,
        layers,
        default=[name for name in value if name in layers],
        key=place,
        help=setting.caption.help,
    )
    st.button(
        "All linear layers",
        key=f"all-{place}",
        disabled=set(chosen) == set(layers),
        on_click=lambda: st.session_state.update({place: list(layers)}),
    )
    return chosen
