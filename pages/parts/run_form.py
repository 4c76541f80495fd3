"""What a lead chooses for a training run: the base model and the settings, explained in words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.parts import shell
from storage import settings
from storage.errors import BadInput
from storage.types import Version
from training import base_models, runs, vetting
from training.base_models import Base, Offer
from training.settings import BATCHINGS, SMALL_BASE, TARGETS, Lora, presets

_TYPED = {
    "folder": "Another folder on this server",
    "hub": "A model of the Hugging Face hub",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A number of `training.settings.Lora` in plain words."""

    name: str
    label: str
    help: str


_FIELDS = (
    Field(
        "epochs",
        "Passes over the rows (epochs)",
        "How often each training row is seen. 1 to 3 is usual; more learns rows by heart.",
    ),
    Field(
        "learning_rate",
        "Learning rate",
        "How far each step moves the weights. Lower is safer; larger models want less.",
    ),
    Field(
        "batch_size",
        "Rows a step (batch size)",
        "More rows a step learn more steadily and need more memory.",
    ),
    Field("r", "Rank (r)", "How much the adapter can learn. Higher needs more rows and memory."),
    Field("alpha", "Alpha", "How strongly the adapter acts; twice the rank is usual."),
    Field(
        "dropout",
        "Dropout",
        "Share of the adapter left out at random, so that it does not lean on single rows.",
    ),
    Field(
        "max_length",
        "Longest row, in tokens",
        "A longer row is refused, never cut: a cut answer would teach a broken one.",
    ),
    Field(
        "warmup",
        "Warm-up, share of the steps",
        "The learning rate rises to its value over these steps.",
    ),
    Field(
        "patience",
        "Patience, in passes",
        "Stop after so many passes without a lower validation loss; 0 never stops early.",
    ),
    Field(
        "seed",
        "Seed",
        "The same seed, rows and libraries on the same machine give the same adapter.",
    ),
    Field(
        "checkpoint_steps",
        "Steps between checkpoints (0: none)",
        "A run that is killed can go on from its last checkpoint; less is lost the closer they "
        "are, and each takes some time and room on the disk.",
    ),
    Field("max_steps", "Step limit (0: none)", "Stop after so many steps, whatever the passes."),
)
_STEPS = {"learning_rate": 0.0001, "dropout": 0.01, "warmup": 0.01}


def base() -> Base | str:
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
    return Base("hub", where.strip()) if where.strip() else "Type the model's name on the hub."


def _name(offer: Offer) -> str:
    return f"{offer.name} (licence: {offer.licence})"


def _offered(offer: Offer) -> Base | str:
    usable = offer.ready or offer.base.kind == "packaged"
    shell.note(offer.note)
    return offer.base if usable else offer.note


def _folder() -> Base | str:
    where = st.text_input("Folder", key="base-folder", placeholder="/models/my-base-model").strip()
    path = Path(where)
    if not where or not path.is_absolute() or not path.is_dir():
        return "Give the whole path of the base model's folder on this server."
    try:
        vetting.vet(path)
    except BadInput as error:
        return str(error)
    return Base("folder", str(path))


def lora(base: Base | str) -> Lora | str:
    """The chosen settings, or the sentence that says which one cannot be."""
    small = isinstance(base, Base) and base.kind == "packaged"
    offered = {preset.name: preset for preset in presets(SMALL_BASE if small else Lora())}
    name = st.radio("How thorough", list(offered), index=1, key="preset", horizontal=True)
    preset = offered[name or "Standard"]
    shell.note(preset.words)
    with st.expander("Advanced settings"):
        chosen = _advanced(f"{preset.name}-{small}", preset.settings)
    try:
        return Lora.from_dict(chosen)
    except BadInput as error:
        return str(error)


def _advanced(preset: str, start: Lora) -> dict[str, Any]:
    """Every setting, filled in from the preset; another preset fills them in anew."""
    given = start.to_dict()
    columns = st.columns(3)
    chosen: dict[str, Any] = {
        field.name: _number(columns[i % 3], preset, field, given[field.name] or 0)
        for i, field in enumerate(_FIELDS)
    }
    chosen["max_steps"] = chosen["max_steps"] or None
    chosen["targets"] = st.multiselect(
        "Layers that get an adapter",
        TARGETS,
        default=given["targets"],
        key=f"targets-{preset}",
        help="q_proj and v_proj are the usual pair; all seven learn more and cost more.",
    )
    chosen["batching"] = st.selectbox(
        "How rows of a step are batched",
        BATCHINGS,
        index=BATCHINGS.index(given["batching"]),
        key=f"batching-{preset}",
        help="joined reads what all rows begin with once a step; padded reads it for each row.",
    )
    chosen["gradient_checkpointing"] = st.checkbox(
        "Save memory (gradient checkpointing)",
        value=start.gradient_checkpointing,
        key=f"checkpointing-{preset}",
        help="A third slower. Only where the memory is not enough.",
    )
    return chosen


def _number(place: DeltaGenerator, preset: str, field: Field, value: float) -> float:
    """A number of the kind that its default has: whole or not."""
    step = _STEPS.get(field.name, 1)
    words = "%.6f" if field.name == "learning_rate" else None
    return place.number_input(
        field.label,
        value=value,
        step=step,
        format=words,
        key=f"{field.name}-{preset}",
        help=field.help,
    )


def wish(version: Version, name: str, base: Base | str, settings: Lora | str) -> runs.Wish | None:
    """What to launch; None while a choice cannot be used."""
    if isinstance(base, str) or isinstance(settings, str):
        return None
    return runs.Wish(version.id, name, base, settings)
