"""Exports of an adapter: its exits as files, as one zip, and the job that merges it.

Everything is written below one folder, and the paths in it are relative to that folder. Pairs go
out with the training configurations only: training and validation pairs, never test pairs.
"""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.personal import model_files
from curation.versions import archive, packages
from storage import events
from storage.errors import BadInput, RuleBroken, Unavailable
from storage.settings import Settings
from storage.tables import JobRow
from storage.types import Adapter, Job, JobKind, JobState, Split, User
from training.exits import source as sources
from training.exits.registry import EXITS, MERGED, offered
from training.exits.source import ExportSource
from training.lifecycle import adapter_cards, adapter_files
from training.models import adapters
from training.records import cards
from training.records.parts import AdapterRef
from training.records.record import read
from training.records.results import MergeResult
from training.records.specs import MergeSpec
from training.records.tasks import MergeTask

_INPUTS = 5
"""How many inputs a merged model is compared on with base and adapter."""
_SMALL = tuple(name for name in EXITS if name != MERGED)


@dataclass(frozen=True, slots=True)
class Export:
    """An export as files: content by path, folders of models by path."""

    source: ExportSource
    exits: tuple[str, ...]
    left_out: Mapping[str, str]
    """Why an exit that was asked for is not in it."""
    files: Mapping[str, bytes]
    folders: Mapping[str, Path]

    def zipped(self) -> bytes:
        """Everything as one zip, folders included."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in self.files.items():
                archive.writestr(path, data)
            for path, folder in self.folders.items():
                for file in sorted(folder.iterdir()):
                    archive.write(file, f"{path}/{file.name}")
        return content.getvalue()


def request(session: Session, adapter_id: int, settings: Settings) -> tuple[int, MergeSpec]:
    """The project and the spec of a job that merges an adapter.

    Raises:
        RuleBroken: it is merged already, or there is nothing to merge.
        Unavailable: its files are missing or changed.
    """
    adapter = adapters.get(session, adapter_id)
    why = EXITS[MERGED].refuses(sources.of(session, adapter, settings))
    if why is not None:
        raise RuleBroken(f"This adapter cannot be merged. {why}")
    if merged(session, adapter, settings) is not None:
        raise RuleBroken("This adapter is merged already. Export it.")
    return adapter.project_id, MergeSpec(
        exit=MERGED,
        version_id=adapter.version_id,
        base=cards.of(adapter).base,
        adapter=AdapterRef(id=adapter.id, job=adapter.job_id, sha256=adapter.sha256),
    )


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> MergeTask:
    """What a worker needs: base, adapter, and a few inputs that no test asks."""
    del directory
    adapter = adapters.get(session, read(MergeSpec, job.spec).adapter.id)
    path = adapter_files.intact(adapter, settings)
    source = sources.of(session, adapter, settings)
    opened = archive.opened(session, adapter.version_id)
    rows = opened.part(Split.VALIDATION) or opened.part(Split.TRAIN)
    return MergeTask(
        name=source.served,
        base=source.base,
        base_sha256=source.base_sha256,
        precision=source.precision,
        adapter_path=str(path),
        adapter_sha256=adapter.sha256,
        system_message=source.system,
        prompts=tuple(row.prompt for row in rows[:_INPUTS]),
        data_dir=str(settings.data),
    )


def ingest(session: Session, actor: User, job: Job, directory: Path, result: MergeResult) -> None:
    """Record that an adapter was merged.

    Raises:
        Unavailable: the files are not the ones that the job recorded.
    """
    sha256 = model_files.folder_sha256(directory / "merged")
    if sha256 != result.merged_sha256:
        raise Unavailable("The merged model differs from what the job recorded. Merge it again.")
    events.record(
        session,
        actor,
        "merge",
        "adapter",
        read(MergeSpec, job.spec).adapter.id,
        project_id=job.project_id,
        sha256=sha256,
        job=job.id,
    )


def tried(session: Session, adapter: Adapter) -> list[str]:
    """The ids of the jobs that merged an adapter, or try to, newest first."""
    return [row.id for row in _merges(session, adapter)]


def _merges(session: Session, adapter: Adapter) -> list[JobRow]:
    query = (
        select(JobRow)
        .where(JobRow.project_id == adapter.project_id, JobRow.kind == JobKind.EXPORT)
        .order_by(JobRow.created_at.desc())
    )
    return [
        row
        for row in session.scalars(query)
        if row.spec.get("exit") == MERGED and row.spec["adapter"]["id"] == adapter.id
    ]


def merged(session: Session, adapter: Adapter, settings: Settings) -> Path | None:
    """The folder of the merged model, where there is one whose files are those recorded."""
    for row in _merges(session, adapter):
        folder = settings.jobs / row.id / "merged"
        if row.state is JobState.FINISHED and row.result is not None and folder.is_dir():
            unchanged = row.spec["adapter"]["sha256"] == adapter.sha256
            if unchanged and model_files.folder_sha256(folder) == row.result["merged_sha256"]:
                return folder
    return None


def build(
    session: Session,
    adapter_id: int,
    settings: Settings,
    names: Collection[str] = _SMALL,
    *,
    base: bool = False,
) -> Export:
    """The exits of these names, with card and manifest; `base` adds the base model's folder.

    Raises:
        BadInput: there is no exit of a name, or the only one asked for does not fit.
        Unavailable: the adapter's files are missing or changed, or a folder asked for is not there.
    """
    unknown = sorted(set(names) - set(EXITS))
    if unknown or not names:
        raise BadInput(f"There is no exit {', '.join(unknown)}. Choose among {', '.join(EXITS)}.")
    adapter = adapters.get(session, adapter_id)
    source = sources.of(session, adapter, settings)
    why_not = {offer.exit.name: offer.why_not for offer in offered(source) if offer.why_not}
    chosen = tuple(name for name in EXITS if name in names and name not in why_not)
    if not chosen:
        raise BadInput(why_not[next(iter(names))])
    left_out = {name: why for name, why in why_not.items() if name in names}
    files: dict[str, bytes] = {}
    for name in chosen:
        files |= EXITS[name].write(source)
    if any(EXITS[name].trains for name in chosen):
        files |= _pairs(session, adapter)
    folders = _folders(session, source, chosen, settings, base=base)
    card = adapter_cards.build(session, adapters.get(session, adapter_id))
    files["card.json"] = json.dumps(card, ensure_ascii=False, indent=2).encode()
    files["card.md"] = adapter_cards.markdown(card).encode()
    files["README.md"] = _readme(source, chosen, left_out)
    files["manifest.json"] = _manifest(source, chosen, files, folders)
    return Export(source, chosen, left_out, files, folders)


def _folders(
    session: Session,
    source: ExportSource,
    chosen: Collection[str],
    settings: Settings,
    *,
    base: bool,
) -> dict[str, Path]:
    folders = {source.top: adapter_files.intact(source.adapter, settings)}
    if MERGED in chosen:
        folder = merged(session, source.adapter, settings)
        if folder is None:
            raise Unavailable("This adapter is not merged yet. Merge it first.")
        folders["merged"] = folder
    if base:
        if source.base_folder is None:
            raise Unavailable("The base model is not on this machine. Leave it out.")
        folders["base"] = source.base_folder
    return folders


def _pairs(session: Session, adapter: Adapter) -> dict[str, bytes]:
    package = packages.build(session, adapter.version_id, "chat")
    return {f"rows/{path}": content for path, content in package.files.items()}


def _manifest(
    source: ExportSource,
    chosen: Collection[str],
    files: Mapping[str, bytes],
    folders: Mapping[str, Path],
) -> bytes:
    """Every file with its sha256, and what all of it was made from."""
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    for top, folder in folders.items():
        of_folder = model_files.file_hashes(folder)
        hashes |= {f"{top}/{name}": sha256 for name, sha256 in of_folder.items()}
    return json.dumps(
        {
            "served": source.served,
            "adapter_sha256": source.adapter.sha256,
            "base": source.base.to_dict(),
            "base_sha256": source.base_sha256,
            "exits": list(chosen),
            "files": dict(sorted(hashes.items())),
        },
        ensure_ascii=False,
        indent=2,
    ).encode()


def _readme(source: ExportSource, chosen: Collection[str], left_out: Mapping[str, str]) -> bytes:
    base = (
        f"The base model is {source.base.where} at revision {source.base.revision} on the hub."
        if source.base.kind == "hub"
        else "Put the base model's folder here under the name `base`: the model that the card "
        "names, with the sha256 that manifest.json gives. `export --with-base` does it."
    )
    lines = [
        f"# {source.served}",
        "",
        "Run every command from this folder. manifest.json gives the sha256 of each file.",
        base,
        "",
        *(f"- {EXITS[name].title}: {EXITS[name].purpose}" for name in chosen),
        "",
        *(f"- Not here: {EXITS[name].title}. {why}" for name, why in left_out.items()),
        "",
    ]
    return "\n".join(lines).encode()


def write(export: Export, target: Path) -> None:
    """Write an export as a new folder, whole or not at all.

    Raises:
        BadInput: something of this name is there already.
    """
    if target.exists():
        raise BadInput(f"{target} exists. Name a new folder.")
    if not target.parent.is_dir():
        raise BadInput(f"There is no folder {target.parent}. Make it first.")
    half = target.with_name(f".{target.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    for path, content in export.files.items():
        (half / path).parent.mkdir(parents=True, exist_ok=True)
        (half / path).write_bytes(content)
    for path, folder in export.folders.items():
        shutil.copytree(folder, half / path)
    half.rename(target)
