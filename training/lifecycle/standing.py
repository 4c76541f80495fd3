"""Whether an adapter can still be used: its files, its base model, the eras of what it learnt."""

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.review import phrases
from curation.versions import archive
from storage import projects
from storage.settings import Settings
from storage.tables import AdapterRow, PairRow
from storage.types import Adapter, Split
from training.hosted import terms
from training.launch import lineage
from training.models import fetching
from training.records.parts import PACKAGED, BaseModel
from training.work import unchanged

PROVIDER, FULL = terms.KIND, "full"


def kind(adapter: Adapter) -> str:
    """What it is: "lora" (needs its base), "full" (a whole model) or "provider" (not here)."""
    return str(adapter.card.get("kind", "lora"))


def files(adapter: Adapter, settings: Settings) -> str | None:
    """What is wrong with its files; None where they are the ones that its run recorded."""
    if kind(adapter) == PROVIDER:
        return None
    path = settings.data / adapter.path
    if not path.is_dir():
        return "its files are gone"
    if unchanged.folder_sha256(path) != adapter.sha256:
        return "its files changed since the run recorded them"
    return None


def base(adapter: Adapter, settings: Settings) -> str | None:
    """What is wrong with its base model; None where it is there as it was, or is not needed.

    The packaged model counts as there: it is unpacked again when it is asked for.
    """
    if kind(adapter) in (PROVIDER, FULL):
        return None
    recorded = adapter.card.get("result", {}).get("base", {})
    named = BaseModel.from_dict(adapter.card["base"])
    path = _place(named, recorded.get("revision") or named.revision, settings)
    if path is None or not (path / "config.json").exists():
        return None if named.kind == "packaged" else "its base model is gone"
    if recorded.get("sha256") and unchanged.folder_sha256(path) != recorded["sha256"]:
        return "its base model changed since it was trained"
    return None


def _place(named: BaseModel, revision: str | None, settings: Settings) -> Path | None:
    models = settings.data / "models"
    if named.kind == "packaged":
        return models / PACKAGED
    if named.kind == "hub":
        return fetching.hub_folder(named.where, revision, models) if revision else None
    return Path(named.where)


def retired_rows(session: Session, adapter: Adapter) -> tuple[list[int], int]:
    """The rows it learnt from that are of a retired era, by their tag now or by their words then;
    and how many it learnt from in all, those of the adapter that it went on from included.
    """
    if lineage.is_imported(adapter.card):
        return [], 0
    row = session.get(AdapterRow, adapter.id)
    versions_of = (
        {ancestor.version_id for ancestor in lineage.chain(session, row)} if row else set()
    )
    learnt = {
        row.pair_id: f"{row.prompt}\n{row.response}"
        for version_id in versions_of
        for row in archive.rows(session, version_id)
        if row.split is not Split.TEST
    }
    eras = [era for era in projects.eras(session, adapter.project_id) if era.retired]
    tagged = set(
        session.scalars(
            select(PairRow.id).where(
                PairRow.project_id == adapter.project_id,
                PairRow.era_id.in_([era.id for era in eras]),
            )
        )
    )
    wording = tuple(phrase for era in eras for phrase in era.phrases)
    retired = [i for i, text in learnt.items() if i in tagged or phrases.matches(text, wording)]
    return sorted(retired), len(learnt)


def troubles(session: Session, adapter: Adapter, settings: Settings) -> list[str]:
    """Why it should be retired, each as a part of a sentence; empty where nothing speaks for it."""
    reasons = [why for why in (files(adapter, settings), base(adapter, settings)) if why]
    rows, total = retired_rows(session, adapter)
    if rows:
        reasons.append(f"{len(rows)} of the {total} pairs it learnt from are of a retired era")
    return reasons
