"""Whether an adapter can still be used: its files, its base model, the eras of what it learnt."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from curation.policy import belonging
from curation.review import phrases
from curation.versions import archive
from storage import projects
from storage.settings import Settings
from storage.tables import AdapterRow, MemberRow, PairRow
from storage.types import Adapter, Era, Split
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

    The rows are not proven: `prove` does that, before anything is decided by them.
    """
    version_ids = versions(session, adapter)
    learnt = and_(MemberRow.version_id.in_(version_ids), MemberRow.split != Split.TEST)
    eras = [era for era in projects.eras(session, adapter.project_id) if era.retired]
    retired = _tagged(session, learnt, eras) | _worded(session, learnt, eras)
    return sorted(retired), _total(session, version_ids, learnt)


def versions(session: Session, adapter: Adapter) -> set[int]:
    """The versions whose rows it learnt from, by id, those of the adapter that it went on from
    included; none where it was trained elsewhere.
    """
    row = session.get(AdapterRow, adapter.id)
    if row is None or lineage.is_imported(adapter.card):
        return set()
    return {ancestor.version_id for ancestor in lineage.chain(session, row)}


def prove(session: Session, adapter: Adapter) -> None:
    """Prove the rows of every version that it learnt from.

    Raises:
        Unavailable: they are not the ones that were frozen.
    """
    for version_id in versions(session, adapter):
        archive.verify(session, version_id)


def _total(session: Session, version_ids: set[int], learnt: ColumnElement[bool]) -> int:
    if len(version_ids) == 1:
        counts = archive.get(session, *version_ids).counts
        return sum(counts.values()) - counts[Split.TEST]
    return session.scalar(select(func.count(MemberRow.pair_id.distinct())).where(learnt)) or 0


def _tagged(session: Session, learnt: ColumnElement[bool], eras: Sequence[Era]) -> set[int]:
    if not eras:
        return set()
    query = (
        select(MemberRow.pair_id)
        .join(PairRow, PairRow.id == MemberRow.pair_id)
        .where(learnt, PairRow.era_id.in_([era.id for era in eras]))
    )
    return set(session.scalars(query))


def _worded(session: Session, learnt: ColumnElement[bool], eras: Sequence[Era]) -> set[int]:
    wording = tuple(phrase for era in eras for phrase in era.phrases)
    if not wording:
        return set()
    texts = session.execute(
        select(MemberRow.pair_id, MemberRow.prompt, MemberRow.response).where(
            learnt, belonging.may_hold(wording, MemberRow.prompt, MemberRow.response)
        )
    )
    return {i for i, *sides in texts if phrases.matches("\n".join(sides), wording)}


def troubles(session: Session, adapter: Adapter, settings: Settings) -> list[str]:
    """Why it should be retired, each as a part of a sentence; empty where nothing speaks for it."""
    reasons = [why for why in (files(adapter, settings), base(adapter, settings)) if why]
    rows, total = retired_rows(session, adapter)
    if rows:
        reasons.append(f"{len(rows)} of the {total} pairs it learnt from are of a retired era")
    return reasons
