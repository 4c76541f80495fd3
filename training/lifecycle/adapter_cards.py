"""The card of an adapter: the lineage from pairs to votes, as JSON and as Markdown.

What a run knew is stored when it ends; what came later (comparisons, trials, checks, stages) is
added when the card is read. docs/adapters.md describes every key.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import statistics
from curation.project.score import rates
from storage.tables import ComparisonRow, TrialCloseRow, TrialRow
from storage.types import Adapter, Arm, Stage, StageChange
from training.lifecycle import checks, stages, standing
from training.proving import best_prompt, blind
from training.records import cards
from training.records.cards import (
    CardCheck,
    CardRate,
    CardStage,
    CardTrial,
    CompleteCard,
    ImportedCard,
    Summary,
)
from training.records.parts import Consent, GateLine, ResumedFrom
from training.records.record import read, written
from training.records.results import TrainResult

FORMAT = "assay-adapter-card/1"
"""Rises when a key goes or changes its meaning; new keys may come at any time."""
LIMITS = (
    "Weights cannot be shown to have forgotten a pair.",
    "Figures hold for held-out pairs of this version, not for other inputs.",
)


def build(session: Session, adapter: Adapter) -> dict[str, Any]:
    """The whole card as JSON values; figures under an open blind trial are left out."""
    query = select(ComparisonRow).where(ComparisonRow.adapter_id == adapter.id)
    comparisons = session.scalars(query.order_by(ComparisonRow.id)).all()
    measured = [
        comparison for comparison in comparisons if not blind.sealed(session, comparison.id)
    ]
    history = stages.history(session, adapter.id)
    result = adapter.card.get("result", {})
    return {
        "format": FORMAT,
        "number": adapter.number,
        "name": adapter.name,
        "kind": standing.kind(adapter),
        "sha256": adapter.sha256,
        "stage": (history[-1].stage if history else Stage.CANDIDATE).value,
        **adapter.card,
        "base_licence": str(result.get("base", {}).get("licence") or "unknown: see its publisher"),
        "environment": {
            "libraries": result.get("libraries", {}),
            "hardware": result.get("hardware", {}),
        },
        "evaluations": [
            {
                **scored(comparison.summary),
                "base_prompt": best_prompt.prompt_scores(
                    read(Summary, comparison.summary).method.prompting
                ),
            }
            for comparison in measured
        ],
        "checks": checks.summary(session, adapter),
        "trials": [_trial(session, trial_id) for trial_id in _closed(session, adapter.id)],
        "stages": [written(_change(change)) for change in history],
        "waivers": _waivers(adapter, history),
        "limits": [*adapter.card.get("imported", {}).get("limits", ()), *LIMITS],
    }


def sealed(session: Session, adapter_id: int) -> int:
    """How many comparisons the card keeps back while a blind trial on their answers is open."""
    query = select(ComparisonRow.id).where(ComparisonRow.adapter_id == adapter_id)
    return sum(blind.sealed(session, comparison_id) for comparison_id in session.scalars(query))


def scored(summary: dict[str, Any]) -> dict[str, Any]:
    """Rates of a comparison with their n and 95 % Wilson interval, by arm and measure."""
    card: dict[str, Any] = {"n": summary["n"]}
    for arm in Arm:
        for metric, rate in rates(summary, arm).items():
            low, high = statistics.wilson(rate.hits, rate.n)
            card[f"{arm}_{metric.key}"] = {
                "k": rate.hits,
                "n": rate.n,
                "rate": rate.hits / rate.n,
                "low": low,
                "high": high,
            }
    return card


def _closed(session: Session, adapter_id: int) -> list[int]:
    query = (
        select(TrialRow.id)
        .join(ComparisonRow, ComparisonRow.id == TrialRow.evaluation_id)
        .join(TrialCloseRow, TrialCloseRow.trial_id == TrialRow.id)
        .where(ComparisonRow.adapter_id == adapter_id)
        .order_by(TrialRow.id)
    )
    return list(session.scalars(query))


def _trial(session: Session, trial_id: int) -> dict[str, Any]:
    trial, outcome = blind.get(session, trial_id), blind.result(session, trial_id)
    return {
        "planned": trial.planned,
        "question": trial.question,
        "registration_sha256": trial.registration["sha256"],
        "verdict": outcome.verdict,
        "why": outcome.why,
        "tuned": outcome.total.tuned,
        "base": outcome.total.base,
        "tie": outcome.total.tie,
        "both_bad": outcome.total.both_bad,
        "win_interval": [outcome.win_low, outcome.win_high],
        "p_value": outcome.p_value,
        "reviewers": len(outcome.reviewers),
        "familiar_votes": outcome.familiar,
    }


def _change(change: StageChange) -> CardStage:
    return CardStage(
        stage=change.stage.value,
        by=change.by,
        at=change.created_at.isoformat(),
        reason=change.reason,
        gate=tuple(read(GateLine, line) for line in change.gate),
    )


def _waivers(adapter: Adapter, history: list[StageChange]) -> list[dict[str, str]]:
    """Every line that was waived, at launch and at each promotion."""
    gates = [("launch", adapter.card.get("gate", ()))]
    gates += [(change.stage.value, change.gate) for change in history]
    return [
        {"when": when, "line": line["name"], "waiver": line["waiver"]}
        for when, gate in gates
        for line in gate
        if line.get("waiver") and not line["met"]
    ]


def markdown(content: Mapping[str, object]) -> str:
    """The card that `build` gives as Markdown, to travel with the adapter. Names are quoted as
    code: they are typed by people and must not turn into links or pictures.
    """
    card = cards.complete(content)
    lines = [
        f"# Adapter `{_code(card.name)}`",
        "",
        *_retired(card),
        f"- adapter@{card.number}, stage: {card.stage}, kind: {card.kind}",
        f"- sha256: `{card.sha256}`",
        f"- base model: `{_code(json.dumps(written(card.base)))}`, licence "
        f"`{_code(card.base_licence)}`",
        *(_imported(card, card.imported) if card.imported else _trained(card)),
        f"- settings: `{json.dumps(card.settings)}`",
        f"- libraries: `{_code(json.dumps(card.environment.libraries))}`",
        f"- hardware: `{_code(json.dumps(card.environment.hardware))}`",
        *(_remote(card.consent, card.result) if card.consent else ()),
        *_resumed(card.result.resumed_from),
        *_part("Gate when launched", (_gate_line(line) for line in card.gate)),
        *_part("Measured on held-out pairs", (_scores(rates) for rates in card.evaluations)),
        *_part("Checks before promotion", _checks(card.checks) if card.checks else ()),
        *_part("Blind trials", (_votes(trial) for trial in card.trials)),
        *_part("Stages", _stages(card.stages)),
        *_part("Limits", (f"- {limit}" for limit in card.limits)),
        "",
    ]
    return "\n".join(lines)


def _trained(card: CompleteCard) -> Iterator[str]:
    """The pairs that a run learnt from, and how far it went."""
    version = card.version
    yield (
        f"- data: version {version.number}, sha256 `{version.sha256}`, pairs per split "
        f"`{json.dumps(version.counts)}`, origins `{json.dumps(version.origins)}`"
    )
    approvals = json.dumps(version.approvals, ensure_ascii=False)
    yield f"- approvals by person: `{_code(approvals)}`"
    yield f"- steps {card.result.steps}, seed {card.settings.get('seed')}"


def _imported(card: CompleteCard, origin: ImportedCard) -> Iterator[str]:
    """What stands there of an adapter that was trained elsewhere."""
    by = _code(origin.by)
    yield f"- trained elsewhere and taken in by `{by}`; pairs and steps are not known"
    if origin.named_base:
        yield f"- its own configuration names the base `{_code(origin.named_base)}`"
    yield f"- judged on the held-out pairs of version {card.version.number}"


def _part(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield from list(lines) or ["- none"]


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")


def _retired(card: CompleteCard) -> Iterator[str]:
    if card.stage == Stage.RETIRED:
        last = card.stages[-1]
        yield f"**RETIRED** on {last.at[:10]} by `{_code(last.by)}`: `{_code(last.reason)}`"
        yield ""


def _remote(consent: Consent, result: TrainResult) -> Iterator[str]:
    """Where an endpoint keeps the model: its name there, who agreed to that, and the cost."""
    endpoint, model = _code(consent.endpoint), _code(str(result.fine_tuned_model))
    yield f"- model at endpoint `{endpoint}`: `{model}`"
    yield f"- job there: `{_code(str(result.remote_job))}`; {result.files_told}"
    by = _code(str(consent.given_by))
    yield f"- `{by}` agreed that {consent.rows} pairs leave the house"
    if result.cost:
        yield f"- cost: {result.cost.amount:,.2f} {_code(result.cost.currency)}"


def _resumed(start: ResumedFrom | None) -> Iterator[str]:
    """The runs that this one went on from, the latest first."""
    while start is not None:
        yield (
            f"- resumed from step {start.step} of run `{start.job}`, checkpoint sha256 "
            f"`{start.sha256}`"
        )
        start = start.before


def _gate_line(line: GateLine) -> str:
    state = "met" if line.met else f"waived by `{_code(str(line.waiver))}`"
    return f"- {line.name}: {line.measured}; {state}"


def _scores(rates: Mapping[str, CardRate | int | str]) -> str:
    parts = [
        f"{name.replace('_', ' ')} {statistics.rate(rate.k, rate.n)}"
        for name, rate in rates.items()
        if isinstance(rate, CardRate)
    ]
    prompt = rates.get("base_prompt")
    return "- " + "; ".join([*parts, *([f"the base got {prompt}"] if prompt else [])])


def _checks(check: CardCheck) -> Iterator[str]:
    general, hostile = check.general, check.red_team
    yield (
        f"- general tasks: base {statistics.rate(general.base, general.n)}, tuned "
        f"{statistics.rate(general.tuned, general.n)}; {general.lost} lost, "
        f"{general.gained} gained, exact McNemar test p = {general.p_value:.4f}"
    )
    failed = f"; failed: `{_code(', '.join(hostile.failed))}`" if hostile.failed else ""
    yield (
        f"- red-team prompts passed: base {statistics.rate(hostile.base, hostile.n)}, tuned "
        f"{statistics.rate(hostile.tuned, hostile.n)}{failed}"
    )
    yield from (f"- not caught: {limit}" for limit in check.limits)


def _votes(trial: CardTrial) -> str:
    return (
        f"- {trial.verdict}: tuned {trial.tuned}, base {trial.base}, ties {trial.tie}, both bad "
        f"{trial.both_bad}, {trial.reviewers} reviewers, sign test p = {trial.p_value:.4f}"
    )


def _stages(changes: Sequence[CardStage]) -> Iterator[str]:
    for change in changes:
        reason = f": `{_code(change.reason)}`" if change.reason else ""
        yield f"- {change.at[:10]} {change.stage}, by `{_code(change.by)}`{reason}"
        yield from (f"  {_gate_line(line)}" for line in change.gate)
