"""An adapter's card on the screen: its lineage from pairs to votes, in words and counts."""

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import streamlit as st

from curation import statistics
from curation.project.score import METRICS
from pages.parts.methods import TEXTS
from storage.types import Arm, Origin
from training.described import settings_of
from training.hosted import terms
from training.records import cards
from training.records.cards import (
    CardCheck,
    CardRate,
    CardTrial,
    CardVersion,
    CompleteCard,
    ImportedCard,
)
from training.records.parts import Consent, GateLine
from training.settings import Answering, Lora, Method

_ORIGINS = {
    Origin.GOLD: "written by experts",
    Origin.IMPORT: "imported",
    Origin.DRAFT: "drafted by a model",
    Origin.PRODUCTION: "from production",
}


def show(card: Mapping[str, object], sealed: int) -> None:
    """Draw the card. `sealed` counts the comparisons kept back while a blind trial is open."""
    complete = cards.complete(card)
    left, right = st.columns(2, gap="medium")
    with left:
        if complete.imported is not None:
            _part("Where it comes from", _origin(complete.imported, complete.version))
        else:
            _part("The pairs it learned from", _pairs(complete.version))
            _part("The gate when it was launched", [_line(line) for line in complete.gate])
    with right:
        _part("How it was trained", _training(complete))
        _part("Measured on held-out pairs", _measured(complete, sealed))
        _part("Checked before promotion", _checks(complete.checks))
        _part("Judged blind by people", _judged(complete.trials))
        _part("Limits", complete.limits)
    with st.expander("The whole card"):
        st.code(json.dumps(card, indent=2, ensure_ascii=False), language="json")


def _part(title: str, lines: Sequence[str]) -> None:
    with st.container(border=True):
        st.subheader(title, anchor=False)
        st.text("\n".join(lines))


def _pairs(version: CardVersion) -> list[str]:
    counts = version.counts
    origins = [f"{n} {_ORIGINS[Origin(name)]}" for name, n in version.origins.items()]
    approvals = [f"{n} by {name}" for name, n in version.approvals.items()]
    return [
        f"Version {version.number}, split with seed {version.seed}",
        f"sha256 {version.sha256}",
        f"{counts['train']} train, {counts['validation']} validation, {counts['test']} test pairs",
        f"Origin: {', '.join(origins)}",
        f"Approved: {', '.join(approvals) or 'nobody now approves these pairs'}",
    ]


def _origin(imported: ImportedCard, version: CardVersion) -> list[str]:
    named = [f"Its own configuration names the base {imported.named_base}"]
    return [
        f"Trained elsewhere, taken in by {imported.by}",
        *(named if imported.named_base else []),
        f"Judged on the held-out pairs of version {version.number}",
    ]


def _line(line: GateLine) -> str:
    if line.met:
        return f"✓ {line.name}: {line.measured}"
    return f"○ {line.name}: {line.measured}. Waived by {line.waiver}"


def _training(card: CompleteCard) -> list[str]:
    result = card.result
    base = (result.base and result.base.name) or card.base.where
    lines = [
        f"Launched by {card.launched_by}",
        f"Base model: {base}, licence {card.base_licence}",
        *_method(card),
    ]
    before = result.resumed_from
    if before is not None:
        lines.append(f"Resumed from step {before.step} of run {before.job[:8]}")
    if result.validation_loss is not None:
        lines.append(f"Lowest validation loss {result.validation_loss:.3f}")
    libraries = card.environment.libraries
    if libraries:
        lines.append(", ".join(f"{library} {number}" for library, number in libraries.items()))
    return [*lines, f"Adapter sha256 {card.sha256}"]


def _method(card: CompleteCard) -> list[str]:
    """How the weights were changed, and by how many steps."""
    chosen, before = card.settings, card.started_from
    if card.consent is not None:
        return _endpoint(card, card.consent)
    lines = [TEXTS[Method(card.method)].on_card]
    if "r" in chosen:
        lines.append(_lora(chosen))
    if before is not None:
        lines.append(f"Goes on from {before.name}, beta {chosen['beta']:g}")
    if "learning_rate" not in chosen:  # trained elsewhere
        return lines
    rate = f"learning rate {chosen['learning_rate']:g}"
    return [*lines, f"{card.result.steps} steps, {rate}, seed {chosen['seed']}"]


def _lora(chosen: Mapping[str, Any]) -> str:
    """What makes the adapter what it is: numbers, layers, and the switches that are on."""
    common = settings_of(Answering)
    own = [s for name, s in settings_of(Lora).items() if name not in common and name in chosen]
    numbers = [
        f"{setting.caption.label.partition(' (')[0].lower()} {chosen[setting.name]}"
        for setting in own
        if setting.number
    ]
    switches = [s.caption.label for s in own if s.kind is bool and chosen[s.name]]
    layers = ", ".join([*chosen["targets"], *switches])
    return f"{', '.join(numbers).capitalize()}, layers {layers}"


def _endpoint(card: CompleteCard, consent: Consent) -> list[str]:
    result = card.result
    lines = [
        f"Kept by endpoint {consent.endpoint} as {result.fine_tuned_model}",
        f"{consent.given_by} agreed that {consent.rows} pairs leave the house",
        result.files_told or "",
        f"{result.steps} steps, {card.settings['epochs']} passes",
    ]
    cost, price = result.cost, card.price
    if cost is not None and price is not None:
        estimated = terms.money(price.amount, price.currency)
        lines.append(f"Cost {terms.money(cost.amount, cost.currency)} (estimated {estimated})")
    return lines


def _measured(card: CompleteCard, sealed: int) -> list[str]:
    lines = []
    for comparison in card.evaluations:
        for arm, metric in product(Arm, METRICS):
            rate = comparison.get(f"{arm}_{metric.key}")
            if isinstance(rate, CardRate):
                share = statistics.rate(rate.k, rate.n)
                lines.append(f"{arm}, {metric.title.lower()}: {share}")
    if sealed:
        lines.append(f"{sealed} more: sealed until the open blind trial is closed.")
    return lines or ["Not measured yet. Compare it on the held-out pairs."]


def _checks(check: CardCheck | None) -> list[str]:
    if check is None:
        return ["Not checked yet, or kept back while a blind trial is open."]
    general, hostile = check.general, check.red_team
    return [
        f"General tasks, base: {statistics.rate(general.base, general.n)}",
        f"General tasks, tuned: {statistics.rate(general.tuned, general.n)}",
        f"{general.lost} lost, {general.gained} gained, p = {general.p_value:.4f}",
        f"Red-team prompts withstood: {statistics.rate(hostile.tuned, hostile.n)}",
    ]


def _judged(trials: Sequence[CardTrial]) -> list[str]:
    return [
        f"{trial.verdict}: {trial.tuned} votes for tuned, {trial.base} for base, {trial.tie} ties, "
        f"{trial.both_bad} both bad, p = {trial.p_value:.4f}, {trial.reviewers} reviewers"
        for trial in trials
    ] or ["No trial was closed yet."]
