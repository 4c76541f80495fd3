"""The files of an adapter: proved to be those that its run recorded, and put together with its card
to be handed on.
"""

import io
import json
import zipfile
from pathlib import Path

from sqlalchemy.orm import Session

from curation.personal import model_files
from storage.errors import RESTORE, Unavailable
from storage.settings import Settings
from storage.types import Adapter
from training.lifecycle import adapter_cards, standing
from training.models import adapters

LARGEST = 256_000_000
"""Bytes of weights in one zip, which is made in memory."""


def at_endpoint(adapter: Adapter) -> bool:
    """Whether an endpoint keeps the weights, so that only the card can be handed on."""
    return standing.kind(adapter) == standing.PROVIDER


def intact(adapter: Adapter, settings: Settings) -> Path:
    """The folder of an adapter whose files are the ones that its run recorded.

    Raises:
        Unavailable: they are gone, or changed.
    """
    path = settings.data / adapter.path
    if at_endpoint(adapter):
        raise Unavailable(
            f"The weights of {adapter.name} are kept by its endpoint and cannot be downloaded."
        )
    if not path.is_dir() or model_files.folder_sha256(path) != adapter.sha256:
        raise Unavailable(f"The files of adapter {adapter.name} are missing or changed. {RESTORE}")
    return path


def package(session: Session, adapter_id: int, settings: Settings) -> bytes:
    """A zip of the PEFT folder with the card in JSON and Markdown; the hash is verified first. A
    model that lives at its provider has the card alone, and so has a whole model too large to be
    put together in memory, with a note of where its files lie.

    Raises:
        Unavailable: the files are gone, or not the ones that the run recorded.
    """
    adapter = adapters.get(session, adapter_id)
    files = [] if at_endpoint(adapter) else sorted(intact(adapter, settings).iterdir())
    card = adapter_cards.build(session, adapter)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        if sum(file.stat().st_size for file in files) > LARGEST:
            archive.writestr("WHERE.txt", f"The files lie in {adapter.path} of the data folder.\n")
            files = []
        for file in files:
            archive.write(file, file.name)
        archive.writestr("card.json", json.dumps(card, ensure_ascii=False, indent=2))
        archive.writestr("card.md", adapter_cards.markdown(card))
    return content.getvalue()
