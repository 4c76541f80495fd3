"""An adapter's card on the screen: its lineage from pairs to votes, in words and counts."""

import json
from itertools import product
from typing import Any

import streamlit as st

from curation import statistics
from curation.project.score import METRICS
from storage.types import Arm, Origin
from training.hosted import terms
from training.settings import Method

_ORIGINS = {
    Origin.GOLD: "written by experts",
    Origin.IMPORT: "imported",
    Origin.DRAFT: "drafted by a model",
    Origin.PRODUCTION: "from production",
}
_METHODS = {
    Method.LORA: "LoRA adapter",
    Method.QLORA: "QLoRA adapter, on the base model held in 4 bits",
    Method.FULL: "Full tuning: a full model, all weights trained; it needs no base model beside it",
    Method.PREFERENCE: "Preference tuning of an adapter (DPO)",
}
_KINDS = {"rslora": "rsLoRA", "dora": "DoRA"}


def show(card: dict[str, Any], sealed: int) -> None:
    """Draw the card. `sealed` counts the comparisons kept back while a blind trial is open."""
    left, right = st.columns(2, gap="medium")
    with left:
        if "imported" in card:
            _part("Where it comes from", _import(card))
        else:
            _part("The pairs it learned from", _pairs(card["version"]))
            _part("The gate when it was launched", [_line(line) for line in card["gate"]])
    with right:
        _part("How it was trained", _training(card))
        _part("Measured on held-out pairs", _measured(card["evaluations"], sealed))
        _part("Checked before promotion", _checks(card["checks"]))
        _part("Judged blind by people", _judged(card["trials"]))
        _part("Limits", list(card["limits"]))
    with st.expander("The whole card"):
        st.code(json.dumps(card, indent=2, ensure_ascii=False), language="json")


def _part(title: str, lines: list[str]) -> None:
    with st.container(border=True):
        st.subheader(title, anchor=False)
        st.text("\n".join(lines))


def _pairs(version: dict[str, Any]) -> list[str]:
    counts = version["counts"]
    origins = [f"{n} {_ORIGINS[Origin(name)]}" for name, n in version["origins"].items()]
    approvals = [f"{n} by {name}" for name, n in version["approvals"].items()]
    return [
        f"Version {version['number']}, split with seed {version['seed']}",
        f"sha256 {version['sha256']}",
        f"{counts['train']} train, {counts['validation']} validation, {counts['test']} test pairs",
        f"Origin: {', '.join(origins)}",
        f"Approved: {', '.join(approvals) or 'nobody now approves these pairs'}",
    ]


def _import(card: dict[str, Any]) -> list[str]:
    imported = card["imported"]
    named = [f"Its own configuration names the base {imported['named_base']}"]
    return [
        f"Trained elsewhere, taken in by {imported['by']}",
        *(named if imported["named_base"] else []),
        f"Judged on the held-out pairs of version {card['version']['number']}",
    ]


def _line(line: dict[str, Any]) -> str:
    if line["met"]:
        return f"✓ {line['name']}: {line['measured']}"
    return f"○ {line['name']}: {line['measured']}. Waived by {line['waiver']}"


def _training(card: dict[str, Any]) -> list[str]:
    result = card["result"]
    lines = [
        f"Launched by {card['launched_by']}",
        f"Base model: {result.get('base', {}).get('name', card['base']['where'])}, licence "
        f"{card['base_licence']}",
        *_method(card),
    ]
    before = result.get("resumed_from")
    if before is not None:
        lines.append(f"Resumed from step {before['step']} of run {before['job'][:8]}")
    if result.get("validation_loss") is not None:
        lines.append(f"Lowest validation loss {result['validation_loss']:.3f}")
    libraries = card["environment"]["libraries"]
    if libraries:
        lines.append(", ".join(f"{library} {number}" for library, number in libraries.items()))
    return [*lines, f"Adapter sha256 {card['sha256']}"]


def _checks(comparison: dict[str, Any] | None) -> list[str]:
    if comparison is None:
        return ["Not checked yet, or kept back while a blind trial is open."]
    general, hostile = comparison["general"], comparison["red_team"]
    return [
        f"General tasks, base: {statistics.rate(general['base'], general['n'])}",
        f"General tasks, tuned: {statistics.rate(general['tuned'], general['n'])}",
        f"{general['lost']} lost, {general['gained']} gained, p = {general['p_value']:.4f}",
        f"Red-team prompts withstood: {statistics.rate(hostile['tuned'], hostile['n'])}",
    ]


def _method(card: dict[str, Any]) -> list[str]:
    """How the weights were changed, and by how many steps; older cards name no method: LoRA."""
    chosen, result, before = card["settings"], card["result"], card.get("started_from")
    if card.get("kind") == "provider":
        return _endpoint(card)
    method = chosen.get("method", Method.LORA)
    lines = [_METHODS.get(method, str(method))]
    if "r" in chosen:
        kinds = [label for name, label in _KINDS.items() if chosen.get(name)]
        layers = ", ".join([*chosen["targets"], *kinds])
        lines.append(
            f"Rank {chosen['r']}, alpha {chosen['alpha']}, dropout {chosen['dropout']}, "
            f"layers {layers}"
        )
    if before is not None:
        lines.append(f"Goes on from {before['name']}, beta {chosen['beta']:g}")
    if "learning_rate" not in chosen:  # trained elsewhere
        return lines
    rate = f"learning rate {chosen['learning_rate']:g}"
    return [*lines, f"{result.get('steps')} steps, {rate}, seed {chosen['seed']}"]


def _endpoint(card: dict[str, Any]) -> list[str]:
    consent, result = card["consent"], card["result"]
    lines = [
        f"Kept by endpoint {consent['endpoint']} as {result['fine_tuned_model']}",
        f"{consent['given_by']} agreed that {consent['rows']} pairs leave the house",
        result["files_told"],
        f"{result['steps']} steps, {card['settings']['epochs']} passes",
    ]
    if result["cost"] is not None:
        cost, estimate = result["cost"], card["price"]
        paid = terms.money(cost["amount"], cost["currency"])
        lines.append(
            f"Cost {paid} (estimated {terms.money(estimate['amount'], estimate['currency'])})"
        )
    return lines


def _measured(comparisons: list[dict[str, Any]], sealed: int) -> list[str]:
    lines = []
    for comparison in comparisons:
        for arm, metric in product(Arm, METRICS):
            rate = comparison.get(f"{arm}_{metric.key}")
            if rate is not None:
                share = statistics.rate(rate["k"], rate["n"])
                lines.append(f"{arm}, {metric.title.lower()}: {share}")
    if sealed:
        lines.append(f"{sealed} more: sealed until the open blind trial is closed.")
    return lines or ["Not measured yet. Compare it on the held-out pairs."]


def _judged(trials: list[dict[str, Any]]) -> list[str]:
    return [
        f"{trial['verdict']}: {trial['tuned']} votes for tuned, {trial['base']} for base, "
        f"{trial['tie']} ties, {trial['both_bad']} both bad, p = {trial['p_value']:.4f}, "
        f"{trial['reviewers']} reviewers"
        for trial in trials
    ] or ["No trial was closed yet."]
