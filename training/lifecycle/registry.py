"""The adapter registry: approve, put into production, roll back, retire.

Each promotion keeps the lines of the gate as they were, waivers included.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy.orm import Session

from curation.versions import archive
from storage import events
from storage.access import allowed, beforehand
from storage.blank import trim
from storage.errors import BadInput, RuleBroken
from storage.settings import Settings
from storage.types import Adapter, Arm, Role, Stage, User
from training.lifecycle import gate, stages, standing
from training.models import adapters
from training.proving import blind
from training.records.parts import GateLine

_LONGEST = 500
"""Characters of a reason that are kept."""
STAGES = {
    Stage.CANDIDATE: "a candidate",
    Stage.APPROVED: "approved",
    Stage.PRODUCTION: "in production",
    Stage.RETIRED: "retired",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One adapter in the list of a project."""

    adapter: Adapter
    stage: Stage
    method: str
    version: int
    right: tuple[int, int] | None
    """Exactly right of how many held-out rows, in the newest comparison; None without one, and
    while it is sealed."""
    sealed: bool
    """Whether a blind trial keeps figures back."""
    verdict: str
    """Of the newest blind trial: "open", its verdict, or nothing."""
    troubles: tuple[str, ...]
    """Why it should be retired."""


def overview(session: Session, project_id: int, settings: Settings) -> list[Entry]:
    """The adapters of a project with how far they have come, newest first."""
    stands = stages.of_project(session, project_id)
    return [
        _entry(session, adapter, stands[adapter.id], settings)
        for adapter in adapters.listing(session, project_id)
    ]


def _entry(session: Session, adapter: Adapter, stage: Stage, settings: Settings) -> Entry:
    newest, judged = gate.compared(session, adapter), gate.judged(session, adapter)
    sealed = newest is not None and blind.sealed(session, newest.id)
    right = None
    if newest is not None and not sealed:
        right = newest.summary[Arm.TUNED.value]["correct"], newest.summary["n"]
    verdict = "" if judged is None else "open" if judged.open else judged.verdict
    return Entry(
        adapter=adapter,
        stage=stage,
        method=str(adapter.card.get("settings", {}).get("method", "lora")),
        version=adapter.card["version"]["number"],
        right=right,
        sealed=sealed,
        verdict=verdict,
        troubles=tuple(standing.troubles(session, adapter, settings)),
    )


def _promoted_proven(
    session: Session, _actor: User, adapter_id: int, *_: object, **__: object
) -> AbstractContextManager[None]:
    versions = standing.versions(session, adapters.get(session, adapter_id))
    return archive.trusting(archive.prove(session, versions))


@beforehand(_promoted_proven)
@allowed(Role.LEAD)
def promote(
    session: Session, actor: User, adapter_id: int, to: Stage, settings: Settings, reason: str = ""
) -> None:
    """Approve a candidate (or a retired adapter), or put an approved one into production.

    The gate is asked each time. The adapter that was in production goes back to approved.

    Raises:
        RuleBroken: it is not at the stage before, or a line of the gate blocks.
        BadInput: `to` is neither of these stages.
    """
    adapter = adapters.get(session, adapter_id)
    _from(stages.of_project(session, adapter.project_id)[adapter_id], to, adapter)
    standing.prove(session, adapter)
    lines = gate.report(session, adapter_id, settings)
    blocking = gate.unmet(lines)
    if blocking:
        raise RuleBroken(
            f"Adapter {adapter.number} is not promoted: {len(blocking)} of {len(lines)} lines "
            f"block, the first is “{blocking[0].name}” ({blocking[0].measured}; asked: "
            f"{blocking[0].required}). See the Adapters page."
        )
    if to is Stage.PRODUCTION:
        _displace(session, actor, adapter)
    _move(session, actor, adapter, to, reason, [gate.recorded(line) for line in lines])


def _from(now: Stage, to: Stage, adapter: Adapter) -> None:
    """Raises unless an adapter may go from one stage to the other."""
    if to not in (Stage.APPROVED, Stage.PRODUCTION):
        raise BadInput("An adapter is promoted to approved or to production.")
    if now is to or (now is Stage.PRODUCTION and to is Stage.APPROVED):
        raise RuleBroken(
            f"Adapter {adapter.number} is already {STAGES[now]}. Someone was there before you."
        )
    if to is Stage.PRODUCTION and now is not Stage.APPROVED:
        raise RuleBroken(f"Adapter {adapter.number} is {STAGES[now]}. Approve it first.")


def _displace(session: Session, actor: User, coming: Adapter, why: str = "") -> None:
    """Move whichever adapter is in production back to approved."""
    going = stages.in_production(session, coming.project_id)
    if going is not None:
        reason = why or f"Adapter {coming.number} took its place."
        _move(session, actor, adapters.get(session, going), Stage.APPROVED, reason)


def _move(
    session: Session,
    actor: User,
    adapter: Adapter,
    to: Stage,
    reason: str,
    lines: Sequence[GateLine] = (),
) -> None:
    stages.add(session, actor, adapter.id, to, trim(reason)[:_LONGEST], lines)
    events.record(
        session,
        actor,
        f"to_{to}",
        "adapter",
        adapter.id,
        project_id=adapter.project_id,
        sha256=adapter.sha256,
        waived=[line.key for line in lines if not line.met],
    )


@allowed(Role.LEAD)
def rollback(
    session: Session, actor: User, project_id: int, settings: Settings, reason: str
) -> Adapter:
    """Put the adapter back into production that was there before; returns it.

    The gate is not asked: it let this adapter through before, and a rollback cannot wait.

    Raises:
        RuleBroken: none was there before, or it can no longer be used.
        BadInput: no reason.
    """
    _reason(reason)
    before = stages.before(session, project_id)
    if before is None:
        raise RuleBroken("No approved adapter was in production before. Promote one instead.")
    adapter = adapters.get(session, before)
    standing.prove(session, adapter)
    wrong = standing.troubles(session, adapter, settings)
    if wrong:
        raise RuleBroken(f"Adapter {adapter.number} cannot come back: {wrong[0]}. Retire it.")
    _displace(session, actor, adapter, f"Rolled back to adapter {adapter.number}: {trim(reason)}")
    _move(session, actor, adapter, Stage.PRODUCTION, f"Rolled back: {trim(reason)}")
    return adapter


@allowed(Role.LEAD)
def retire(session: Session, actor: User, adapter_id: int, reason: str) -> None:
    """Retire an adapter, from whatever stage. It stays on the shelf, with a mark in its card.

    Raises:
        RuleBroken: it is retired already.
        BadInput: no reason.
    """
    adapter = adapters.get(session, adapter_id)
    _reason(reason)
    if stages.of_project(session, adapter.project_id)[adapter_id] is Stage.RETIRED:
        raise RuleBroken(f"Adapter {adapter.number} is already retired.")
    _move(session, actor, adapter, Stage.RETIRED, reason)


def _reason(reason: str) -> None:
    if not trim(reason):
        raise BadInput("Say in a few words why.")
