"""Adapters: what the runs made, by id or by number, and the folder to hand on with its card."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from curation.personal import model_files
from storage.errors import NotFound, Unavailable
from storage.settings import Settings
from storage.tables import AdapterRow
from storage.types import Adapter
from training.lifecycle import adapter_cards, standing
from training.lifecycle.adapter_cards import markdown as markdown
from training.lifecycle.adapter_cards import scored as scored
from training.lifecycle.adapter_cards import sealed as sealed

_NUMBERED = re.compile(r"(?:adapter@)?(\d{1,9})")

LARGEST = 256_000_000
"""Bytes of weights in one zip, which is made in memory."""


def _adapter(row: AdapterRow, number: int) -> Adapter:
    return Adapter(
        id=row.id,
        project_id=row.project_id,
        number=number,
        name=row.name,
        job_id=row.job_id,
        version_id=row.version_id,
        sha256=row.sha256,
        path=f"jobs/{row.job_id}/adapter",
        created_at=row.created_at,
        card=row.card,
    )


def listing(session: Session, project_id: int) -> list[Adapter]:
    """The adapters of a project, newest first."""
    query = select(AdapterRow).where(AdapterRow.project_id == project_id).order_by(AdapterRow.id)
    return [_adapter(row, i) for i, row in enumerate(session.scalars(query), 1)][::-1]


def get(session: Session, adapter_id: int) -> Adapter:
    """One adapter.

    Raises:
        NotFound: there is no such adapter.
    """
    row = session.get(AdapterRow, adapter_id)
    if row is None:
        raise NotFound(f"There is no adapter {adapter_id}.")
    # Adapters are never deleted, so a place among them is theirs for good.
    query = select(func.count()).where(
        AdapterRow.project_id == row.project_id, AdapterRow.id <= adapter_id
    )
    return _adapter(row, session.scalar(query) or 0)


def named(session: Session, project_id: int, words: str) -> Adapter:
    """The adapter of a project that is called so: "adapter@3", "3", or its whole name.

    Raises:
        NotFound: there is none.
    """
    found = listing(session, project_id)
    numbered = _NUMBERED.fullmatch(words.strip())
    for one in found:
        if one.name == words or (numbered and one.number == int(numbered[1])):
            return one
    there = f"There are adapter@1 to adapter@{len(found)}." if found else "There is none yet."
    raise NotFound(f"There is no adapter {words[:80]!r} in this project. {there}")


def card(session: Session, adapter_id: int) -> dict[str, Any]:
    """The whole card: how it was made, what it scored, what closed trials said, its stages."""
    return adapter_cards.build(session, get(session, adapter_id))


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
        raise Unavailable(
            f"The files of adapter {adapter.name} are missing or changed. Restore a backup."
        )
    return path


def package(session: Session, adapter_id: int, settings: Settings) -> bytes:
    """A zip of the PEFT folder with the card in JSON and Markdown; the hash is verified first. A
    model that lives at its provider has the card alone, and so has a whole model too large to be
    put together in memory, with a note of where its files lie.

    Raises:
        Unavailable: the files are gone, or not the ones that the run recorded.
    """
    adapter = get(session, adapter_id)
    files = [] if at_endpoint(adapter) else sorted(intact(adapter, settings).iterdir())
    whole = card(session, adapter_id)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        if sum(file.stat().st_size for file in files) > LARGEST:
            archive.writestr("WHERE.txt", f"The files lie in {adapter.path} of the data folder.\n")
            files = []
        for file in files:
            archive.write(file, file.name)
        archive.writestr("card.json", json.dumps(whole, ensure_ascii=False, indent=2))
        archive.writestr("card.md", markdown(whole))
    return content.getvalue()
