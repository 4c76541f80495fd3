"""What an adapter comes from: the adapters before it, and the rows that all of them learnt from."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.orm import Session

from curation.versions import archive
from storage.errors import NotFound, RuleBroken
from storage.tables import AdapterRow
from storage.types import Split, Version
from training.records.parts import StartedFrom
from training.settings import Method


def is_full_model(card: Mapping[str, Any]) -> bool:
    """Whether what a card describes is a whole model, and no adapter for one."""
    return bool(card.get("settings", {}).get("method") == Method.FULL)


def is_imported(card: Mapping[str, Any]) -> bool:
    """Whether it was trained elsewhere, so that nothing is known of its rows and settings."""
    return card.get("origin") == "imported"


def chain(session: Session, adapter: AdapterRow) -> Iterator[AdapterRow]:
    """An adapter, the one it went on from, and so on."""
    current: AdapterRow | None = adapter
    while current is not None:
        yield current
        before = current.card.get("started_from")
        current = session.get(AdapterRow, before["id"]) if before else None


def refuse_trained_on(session: Session, version: Version, adapter: AdapterRow) -> None:
    """A newer version may hold out rows that an older one trained on.

    Raises:
        RuleBroken: the adapter, or one that it comes from, was trained on a test row of the
            version.
    """
    test_ids = {row.pair_id for row in archive.rows(session, version.id, Split.TEST)}
    for ancestor in chain(session, adapter):
        if ancestor.version_id == version.id or is_imported(
            ancestor.card
        ):  # of the latter nothing is known
            continue
        frozen = archive.rows(session, ancestor.version_id)
        trained = sum(row.split is not Split.TEST and row.pair_id in test_ids for row in frozen)
        if trained:
            raise RuleBroken(
                f"Adapter {ancestor.name} was trained on {trained} of these test pairs, so its "
                "answers would prove nothing. Compare it on the version it was trained on."
            )


def going_on(session: Session, version: Version, adapter_id: int) -> AdapterRow:
    """The adapter that a run on a version may go on from.

    Raises:
        NotFound: the project has none of that number.
        RuleBroken: it is a whole model, or was trained on rows that the version holds out.
    """
    adapter = session.get(AdapterRow, adapter_id)
    if adapter is None or adapter.project_id != version.project_id:
        raise NotFound(
            f"There is no adapter {adapter_id} in this project. Name the one to go on from."
        )
    if is_full_model(adapter.card):
        raise RuleBroken(
            f"{adapter.name} is a whole model; preference tuning goes on from an adapter. Choose "
            "one made by LoRA or QLoRA."
        )
    refuse_trained_on(session, version, adapter)
    return adapter


def started_from(adapter: AdapterRow) -> StartedFrom:
    """What a run that goes on from an adapter remembers of it."""
    return StartedFrom(
        id=adapter.id,
        name=adapter.name,
        job=adapter.job_id,
        sha256=adapter.sha256,
        version_id=adapter.version_id,
        precision=adapter.card.get("result", {}).get("precision"),
    )
