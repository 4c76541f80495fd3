"""What every exit is written from: an adapter with its base, its settings and its system message.

Read from the adapter's card and folders without torch; nothing is loaded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from sqlalchemy.orm import Session

from curation.personal import model_files
from curation.versions import archive
from storage import projects
from storage.settings import Settings
from storage.types import Adapter
from training import settings as methods
from training.launch import lineage
from training.lifecycle import adapter_files, standing
from training.models import base_models
from training.records import cards
from training.records.cards import AdapterCard
from training.records.parts import BaseModel
from training.settings import Answering, Full, Tuning


@dataclass(frozen=True, slots=True)
class ExportSource:
    """An adapter as the exits see it."""

    adapter: Adapter
    card: AdapterCard
    served: str
    """The name it is served under: assay/<project>/adapter@<number>."""
    kind: str
    """"lora", "full" (a whole model) or "provider"."""
    settings: Tuning | None
    """Of its run; None where it was trained elsewhere, as little is known of them then."""
    rank: int | None
    """Of the LoRA weights, where it is told."""
    dora: bool
    """Whether the direction and size of its weights were learnt apart."""
    base: BaseModel
    base_folder: Path | None
    """The base model's folder on this machine; None where it is not there."""
    config: Mapping[str, object]
    """The base model's config.json; empty where that is not there."""
    template: str
    """The chat template, as it was when the adapter was trained."""
    system: str
    """The system message of its version."""

    @property
    def run(self) -> Answering:
        """The settings of a run that others can repeat (`needs_repeatable_run`)."""
        if not isinstance(self.settings, Answering):
            raise TypeError("a run that nobody else can repeat has no such settings")
        return self.settings

    @property
    def weight_decay(self) -> float:
        """Share of each weight that the run took off a step."""
        return self.settings.weight_decay if isinstance(self.settings, Full) else 0.0

    @property
    def warmup_steps(self) -> int:
        """Steps over which the learning rate rises, as the run reckoned them."""
        return ceil(self.run.warmup * self.run.steps(self.card.version.counts["train"]))

    @property
    def validates(self) -> bool:
        """Whether its version has validation pairs."""
        return bool(self.card.version.counts.get("validation"))

    @property
    def precision(self) -> str | None:
        """How the base model's weights were held when it was trained: a word of `Precision`."""
        return self.card.result.precision

    @property
    def base_sha256(self) -> str | None:
        """Over the files of the base model that it was trained on."""
        return self.card.result.base.sha256 if self.card.result.base else None

    @property
    def base_reference(self) -> str:
        """How a configuration names the base model: its hub id, or the folder `base`."""
        return self.base.where if self.base.kind == "hub" else "base"

    @property
    def top(self) -> str:
        """The folder of an export that holds the trained weights."""
        return "model" if self.kind == "full" else "adapter"


def of(session: Session, adapter: Adapter, settings: Settings) -> ExportSource:
    """The source of one adapter.

    Raises:
        Unavailable: the adapter's files are missing or changed.
    """
    card = cards.of(adapter)
    kind = standing.FULL if lineage.is_full_model(adapter.card) else standing.kind(adapter)
    remote = kind == standing.PROVIDER
    base = BaseModel("hub", "provider") if remote else card.base
    origin = card.result.base
    if base.kind == "hub" and origin and origin.revision:
        base = BaseModel("hub", base.where, origin.revision)
    folder = base_models.at_hand(base, settings.data)
    version = archive.get(session, adapter.version_id)
    project = projects.get(session, adapter.project_id)
    rank = card.settings.get("r")
    return ExportSource(
        adapter=adapter,
        card=card,
        served=served_name(project.name, adapter),
        kind=kind,
        settings=None if lineage.is_imported(adapter.card) else methods.read(card.settings),
        rank=rank if isinstance(rank, int) else None,
        dora=bool(card.settings.get("dora")),
        base=base,
        base_folder=folder,
        config=model_files.readable(folder, "config.json") if folder else {},
        template="" if remote else _template(adapter_files.intact(adapter, settings)),
        system=version.manifest.system_message,
    )


def served_name(project: str, adapter: Adapter) -> str:
    """The name under which an adapter is served: plain letters, whatever the project is called."""
    plain = re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-")[:60]
    return f"assay/{plain or f'project-{adapter.project_id}'}/adapter@{adapter.number}"


def _template(folder: Path) -> str:
    path = folder / "chat_template.jinja"
    return path.read_text(encoding="utf-8") if path.exists() else ""
