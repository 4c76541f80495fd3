"""The promotion gate of an adapter: gather what its lines look at, ask each, waive lines.

The lines are in `training.lifecycle.promotion`. A lead may waive one for one adapter by name,
with a reason and an expiry date.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.gate import readiness
from curation.policy import eras
from curation.versions import archive
from storage.access import allowed
from storage.errors import BadInput, RuleBroken
from storage.settings import Settings
from storage.tables import AdapterRow, ComparisonRow, TrialRow
from storage.types import Adapter, Arm, Role, Signal, User
from training.lifecycle import adapter_files, checks, promotion, standing
from training.lifecycle.promotion import Judged
from training.models import adapters
from training.proving import blind
from training.records.parts import GateLine

_FROM_CHECKS = ("regression", "redteam")
"""Lines that rest on a check."""
_WITHHELD = (*_FROM_CHECKS, "format")
"""Lines whose figures show how a model answers, and so wait for the end of a blind trial."""


def report(session: Session, adapter_id: int, settings: Settings) -> list[Signal]:
    """Every line of the promotion gate for an adapter, as it stands now."""
    adapter = adapters.get(session, adapter_id)
    waived = readiness.waivers(session, adapter.project_id)
    lines = _lines(session, adapter, settings)
    if adapter_files.at_endpoint(adapter):
        lines = [promotion.elsewhere(line) if line.key in _FROM_CHECKS else line for line in lines]
    if blind.going(session, adapter.project_id):
        lines = [promotion.withheld(line) if line.key in _WITHHELD else line for line in lines]
    return [replace(line, waiver=waived.get(_waiver_key(adapter, line.key))) for line in lines]


def _lines(session: Session, adapter: Adapter, settings: Settings) -> list[Signal]:
    newest, checked = compared(session, adapter), checks.newest_counts(session, adapter)
    version = archive.get(session, newest.version_id if newest else adapter.version_id)
    learnt = standing.retired_rows(session, adapter)
    return [
        promotion.runs(_runs(session, adapter)),
        promotion.format_(
            newest.summary[Arm.TUNED.value]["valid"] if newest else None,
            newest.summary["n"] if newest else 0,
            has_schema=version.manifest.output_schema is not None,
        ),
        promotion.regression(checked),
        promotion.redteam(checked),
        promotion.trial(judged(session, adapter)),
        promotion.files(standing.files(adapter, settings)),
        promotion.base(standing.base(adapter, settings)),
        promotion.eras(*learnt, eras.LIMITS),
    ]


def _waiver_key(adapter: Adapter, key: str) -> str:
    return f"promote:{adapter.id}:{key}"


def unmet(lines: Sequence[Signal]) -> list[Signal]:
    """The lines that block: neither met nor waived."""
    return [s for s in lines if not s.met and (s.waiver is None or s.key in promotion.NEVER_WAIVED)]


@allowed(Role.LEAD)
def waive(
    session: Session, actor: User, adapter_id: int, key: str, reason: str, expires_on: date
) -> None:
    """Waive one line of the gate for one adapter, until a date.

    Raises:
        RuleBroken: this line can never be waived.
        BadInput: unknown line, no reason, or a date that is past or too far away.
    """
    adapter = adapters.get(session, adapter_id)
    if key in promotion.NEVER_WAIVED:
        raise RuleBroken("This line cannot be waived: the adapter itself is not as it should be.")
    if key not in promotion.WAIVABLE:
        raise BadInput(f"There is no line {key[:40]!r}. There are: {', '.join(promotion.KEYS)}.")
    signal = _waiver_key(adapter, key)
    readiness.write_waiver(session, actor, adapter.project_id, signal, reason, expires_on)


def compared(session: Session, adapter: Adapter) -> ComparisonRow | None:
    """The newest comparison that has answers of this adapter."""
    query = select(ComparisonRow).where(ComparisonRow.adapter_id == adapter.id)
    rows = session.scalars(query.order_by(ComparisonRow.id.desc()))
    return next((row for row in rows if Arm.TUNED.value in row.summary), None)


def judged(session: Session, adapter: Adapter) -> Judged | None:
    """The newest blind trial on answers of this adapter."""
    query = (
        select(TrialRow.id)
        .join(ComparisonRow, ComparisonRow.id == TrialRow.evaluation_id)
        .where(ComparisonRow.adapter_id == adapter.id)
        .order_by(TrialRow.id.desc())
    )
    trials = [blind.get(session, trial_id) for trial_id in session.scalars(query)]
    if not trials:
        return None
    if any(trial.closed_at is None for trial in trials):
        return Judged(open=True)
    newest = trials[0]
    outcome = blind.result(session, newest.id)
    return Judged(
        open=False,
        verdict=outcome.verdict,
        planned=newest.planned,
        reached=max((trial.n for trial in outcome.reviewers), default=0),
        tuned=outcome.total.tuned,
        base=outcome.total.base,
        closed=len(trials),
    )


def _runs(session: Session, adapter: Adapter) -> int:
    """Different adapters compared on one version with this one: the most of any version."""
    query = (
        select(ComparisonRow.version_id, AdapterRow.id, AdapterRow.sha256)
        .join(AdapterRow, AdapterRow.id == ComparisonRow.adapter_id)
        .where(ComparisonRow.project_id == adapter.project_id)
    )
    by_version: dict[int, dict[int, str]] = {}
    for version_id, adapter_id, sha256 in session.execute(query):
        by_version.setdefault(version_id, {})[adapter_id] = sha256
    return max(
        (
            len(set(adapters_of_version.values()))
            for adapters_of_version in by_version.values()
            if adapter.id in adapters_of_version
        ),
        default=0,
    )


def recorded(line: Signal) -> GateLine:
    """A line as a promotion keeps it."""
    return GateLine(
        key=line.key, name=line.name, met=line.met, measured=line.measured, waiver=line.waiver
    )
