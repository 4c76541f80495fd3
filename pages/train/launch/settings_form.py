"""The settings of a method: three presets, and a drawer with each of them explained.

The drawer is drawn from the fields of the settings class, so a method that is added later has its
own. A field that is unknown here still appears, under its own name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args, get_type_hints

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.frame import shell
from storage.errors import BadInput
from training.families import LAYERS
from training.launch.presets import Preset, presets, usual
from training.models.base_models import BaseModel
from training.settings import METHODS, Method, Tuning

LOADED = "loaded-settings"
"""In the state of a tab: the settings of a file that was loaded, offered as a preset."""
FROM_FILE = "From the file"
PRESET = "preset"


@dataclass(frozen=True, slots=True)
class Field:
    """A setting in plain words."""

    label: str
    help: str
    step: float = 1
    choices: tuple[str, ...] = ()


FIELDS = {
    "epochs": Field(
        "Passes over the rows (epochs)",
        "How often each training row is seen. 1 to 3 is usual; more learns rows by heart.",
    ),
    "learning_rate": Field(
        "Learning rate",
        "How far each step moves the weights. Lower is safer; larger models want less.",
        0.0001,
    ),
    "learning_rate_multiplier": Field(
        "Learning rate, times the provider's own", "0 leaves it to the provider.", 0.1
    ),
    "batch_size": Field(
        "Rows a step (batch size)",
        "More rows a step learn more steadily and need more memory.",
    ),
    "r": Field("Rank (r)", "How much the adapter can learn. Higher needs more rows and memory."),
    "alpha": Field("Alpha", "How strongly the adapter acts; twice the rank is usual."),
    "dropout": Field(
        "Dropout",
        "Share of the adapter left out at random, so that it does not lean on single rows.",
        0.01,
    ),
    "beta": Field(
        "Beta",
        "How firmly it is held to the answers of the adapter it goes on from; higher is firmer.",
        0.05,
    ),
    "weight_decay": Field(
        "Weight decay", "Pulls weights towards zero at each step; 0 is usual.", 0.01
    ),
    "max_length": Field(
        "Longest row, in tokens",
        "A longer row is refused, never cut: a cut answer would teach a broken one.",
    ),
    "warmup": Field(
        "Warm-up, share of the steps",
        "The learning rate rises to its value over these steps.",
        0.01,
    ),
    "patience": Field(
        "Patience, in passes",
        "Stop after so many passes without a lower validation loss; 0 never stops early.",
    ),
    "seed": Field(
        "Seed",
        "The same seed, rows and libraries on the same machine give the same adapter.",
    ),
    "checkpoint_steps": Field(
        "Steps between checkpoints (0: none)",
        "A run that is killed can go on from its last checkpoint; less is lost the closer they "
        "are, and each takes some time and room on the disk.",
    ),
    "max_steps": Field("Step limit (0: none)", "Stop after so many steps, whatever the passes."),
    "gradient_checkpointing": Field(
        "Save memory (gradient checkpointing)",
        "A third slower, the same result. Only where the memory is not enough.",
    ),
    "rslora": Field(
        "rsLoRA", "Scales by the root of the rank, so that a high rank learns as well as a low one."
    ),
    "dora": Field("DoRA", "Learns direction and size apart: closer to full tuning, and slower."),
    "double_quantisation": Field(
        "Double quantisation", "Packs the scales of the 4-bit weights too; saves a little memory."
    ),
    "targets": Field(
        "Layers that get an adapter",
        "q_proj and v_proj are the usual pair; all seven learn more and cost more.",
    ),
    "batching": Field(
        "How rows are put together",
        "Joined rows compute what all begin with once; the result is the same.",
    ),
}
ELSEWHERE = frozenset({"bias", "adapter_id", "endpoint", "model", "suffix"})
"""Settings with one value only, or chosen in a form of their own."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, or the sentence that says which setting cannot be."""

    settings: Tuning | str
    scope: str
    """Part of the keys of the drawer's widgets."""


def key(name: str, scope: str) -> str:
    """The key of a setting's widget."""
    return f"{name}-{scope}"


def show(method: Method, base: BaseModel | str, fixed: dict[str, Any]) -> Choice:
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
        chosen = _drawer(preset.settings, scope)
    try:
        return Choice(METHODS[method].from_dict(chosen | fixed), scope)
    except BadInput as error:
        return Choice(str(error), scope)


def _offered(method: Method, base: BaseModel | None) -> dict[str, Preset[Tuning]]:
    offered = {preset.name: preset for preset in presets(usual(method, base))}
    loaded = st.session_state.get(LOADED)
    if isinstance(loaded, dict) and loaded.get("method") == method:
        settings = METHODS[method].from_dict(loaded)
        offered[FROM_FILE] = Preset(FROM_FILE, "The settings of the file you loaded.", settings)
    return offered


def _drawer(start: Tuning, scope: str) -> dict[str, Any]:
    """Every setting, filled in from the preset; another preset fills them in anew."""
    hints = get_type_hints(type(start))
    values = start.to_dict()
    names = [name for name in start.__struct_fields__ if name not in ELSEWHERE]
    switches = [name for name in names if hints[name] is bool]
    numbers = [name for name in names if _is_number(hints[name])]
    chosen: dict[str, Any] = {"method": start.METHOD.value}
    for i in range(0, len(numbers), 3):
        places = st.columns(3, vertical_alignment="bottom")
        for place, name in zip(places, numbers[i : i + 3], strict=False):
            chosen[name] = _number(place, name, hints[name], values[name], scope)
    for name in names:
        if name not in switches and name not in numbers:
            chosen[name] = _choice(name, hints[name], values[name], scope)
    for name in switches:
        field = _field(name)
        chosen[name] = st.toggle(
            field.label, value=values[name], key=key(name, scope), help=field.help
        )
    return chosen | {name: values[name] for name in ELSEWHERE & values.keys()}


def _field(name: str) -> Field:
    return FIELDS.get(name, Field(name.replace("_", " ").capitalize(), ""))


def _kinds(hint: Any) -> set[Any]:  # noqa: ANN401 - a type
    return set(get_args(hint)) or {hint}


def _is_number(hint: Any) -> bool:  # noqa: ANN401 - a type
    return _kinds(hint) - {type(None)} <= {int, float}


def _number(
    place: DeltaGenerator,
    name: str,
    hint: Any,  # noqa: ANN401 - a type
    value: float | None,
    scope: str,
) -> float | None:
    """A number of the kind of its setting; 0 stands for none where none is possible."""
    field, kinds = _field(name), _kinds(hint)
    integer = float not in kinds
    start = int(value or 0) if integer else float(value or 0)
    format_ = "%.6f" if name == "learning_rate" else None
    step = int(field.step) if integer else float(field.step if field.step != 1 else 0.1)
    chosen = place.number_input(
        field.label,
        value=start,
        step=step,
        format=format_,
        key=key(name, scope),
        help=field.help or None,
    )
    return None if type(None) in kinds and not chosen else chosen


def _choice(name: str, hint: Any, value: Any, scope: str) -> Any:  # noqa: ANN401 - of the setting's kind
    """Names to choose from, or text."""
    field = _field(name)
    if name == "targets":
        return _targets(field, value, scope)
    choices = _choices(hint)
    if choices:
        return st.selectbox(
            field.label,
            choices,
            index=list(choices).index(value),
            key=key(name, scope),
            help=field.help or None,
        )
    return st.text_input(field.label, value=str(value), key=key(name, scope), help=field.help)


def _choices(hint: Any) -> Sequence[str]:  # noqa: ANN401 - a type
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return [member.value for member in hint]
    return [name for name in get_args(hint) if isinstance(name, str)]


def _targets(field: Field, value: list[str], scope: str) -> list[str]:
    where = key("targets", scope)
    chosen = st.multiselect(field.label, LAYERS, default=value, key=where, help=field.help)
    st.button(
        "All linear layers",
        key=f"all-{where}",
        disabled=set(chosen) == set(LAYERS),
        on_click=lambda: st.session_state.update({where: list(LAYERS)}),
    )
    return chosen
