"""What every exit is written from: an adapter with its base, its settings and its system message.

Read from the adapter's card and folders without torch; nothing is loaded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from curation.versions import archive
from storage import projects
from storage.settings import Settings
from storage.types import Adapter
from training.launch import lineage
from training.lifecycle import adapter_files, standing
from training.models import base_models
from training.records.parts import BaseModel
from training.work import evidence

TOP = {"lora": "adapter", "full": "model"}
"""The folder of an export that holds the trained weights, by the kind of adapter."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """An adapter as the exits see it."""

    adapter: Adapter
    served: str
    """The name it is served under: assay/<project>/adapter@<number>."""
    kind: str
    """"lora", "full" (a whole model) or "provider"."""
    imported: bool
    """Whether it was trained elsewhere, so that nothing is known of its settings and rows."""
    settings: Mapping[str, Any]
    base: BaseModel
    base_name: str
    base_folder: Path | None
    """The base model's folder on this machine; None where it is not there."""
    config: Mapping[str, Any]
    """The base model's config.json; empty where that is not there."""
    template: str
    """The chat template, as it was when the adapter was trained."""
    system: str
    """The system message of its version."""

    @property
    def method(self) -> str:
        """How it was tuned: a word of `settings.Method`."""
        return str(self.settings.get("method", "lora"))

    @property
    def warmup_steps(self) -> int:
        """Steps over which the learning rate rises, as the run reckoned them."""
        rows = self.adapter.card["version"]["counts"]["train"]
        whole = self.settings["epochs"] * ceil(rows / self.settings["batch_size"])
        steps: int = self.settings.get("max_steps") or whole
        return ceil(float(self.settings["warmup"]) * steps)

    @property
    def precision(self) -> str | None:
        """How the base model's weights were held when it was trained: a word of `Precision`."""
        word: str | None = self.adapter.card.get("result", {}).get("precision")
        return word

    @property
    def base_sha256(self) -> str | None:
        """Over the files of the base model that it was trained on."""
        sha256: str | None = self.adapter.card.get("result", {}).get("base", {}).get("sha256")
        return sha256

    @property
    def base_word(self) -> str:
        """How a configuration names the base model: its hub id, or the folder `base`."""
        return self.base.where if self.base.kind == "hub" else "base"

    @property
    def top(self) -> str:
        """The folder of an export that holds the trained weights."""
        return TOP.get(self.kind, "adapter")


def of(session: Session, adapter: Adapter, settings: Settings) -> Recipe:
    """The recipe of one adapter.

    Raises:
        Unavailable: the adapter's files are missing or changed.
    """
    card = adapter.card
    kind = standing.FULL if lineage.is_full_model(card) else standing.kind(adapter)
    remote = kind == standing.PROVIDER
    template = "" if remote else _template(adapter_files.intact(adapter, settings))
    made_on = card.get("result", {}).get("base", {})
    base = BaseModel("hub", "provider") if remote else BaseModel.from_dict(card["base"])
    if base.kind == "hub" and made_on.get("revision"):
        base = BaseModel("hub", base.where, made_on["revision"])
    found = base_models.at_hand(base, settings.data)
    version = archive.get(session, adapter.version_id)
    project = projects.get(session, adapter.project_id)
    return Recipe(
        adapter=adapter,
        served=served_name(project.name, adapter),
        kind=kind,
        imported=lineage.is_imported(card),
        settings=card.get("settings") or {},
        base=base,
        base_name=str(made_on.get("name", base.where)),
        base_folder=found,
        config=(evidence.read_json(found / "config.json") or {}) if found else {},
        template=template,
        system=version.manifest.system_message,
    )


def served_name(project: str, adapter: Adapter) -> str:
    """The name under which an adapter is served: plain letters, whatever the project is called."""
    plain = re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-")[:60]
    return f"assay/{plain or f'project-{adapter.project_id}'}/adapter@{adapter.number}"


def _template(folder: Path) -> str:
    path = folder / "chat_template.jinja"
    return path.read_text(encoding="utf-8") if path.exists() else ""
