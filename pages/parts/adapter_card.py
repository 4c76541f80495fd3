"""An adapter's card on the screen: its lineage from rows to votes, in words and counts."""

import json
from typing import Any

import streamlit as st

from pages.parts import shell
from storage.types import Origin

_ORIGINS = {
    Origin.GOLD: "written by experts",
    Origin.IMPORT: "imported",
    Origin.DRAFT: "drafted by a model",
    Origin.PRODUCTION: "from production",
}
_SETTINGS = {
    "r": "rank",
    "alpha": "alpha",
    "dropout": "dropout",
    "targets": "layers",
    "beta": "beta",
    "model": "model",
    "epochs": "epochs",
    "steps": "steps",
    "learning_rate": "learning rate",
    "batch_size": "batch size",
    "seed": "seed",
}
"""Settings shown on the card, whichever of them a method has."""
_MEASURES = {"correct": "exactly right", "valid": "fits the schema"}


def show(card: dict[str, Any], sealed: int) -> None:
    """Draw the card. `sealed` counts the comparisons kept back while a blind trial is open."""
    left, right = st.columns(2, gap="medium")
    with left:
        _part("The rows it learned from", _rows(card["version"]))
        _part("The gate when it was launched", [_line(line) for line in card["gate"]])
    with right:
        _part("How it was trained", _training(card))
        _part("Measured on held-out rows", _measured(card["evaluations"], sealed))
        _part("Checked before promotion", _checks(card["checks"]))
        _part("Judged blind by people", _judged(card["trials"]))
        _part("Limits", list(card["limits"]))
    with st.expander("The whole card"):
        st.code(json.dumps(card, indent=2, ensure_ascii=False), language="json")


def _part(title: str, lines: list[str]) -> None:
    with st.container(border=True):
        st.subheader(title, anchor=False)
        st.text("\n".join(lines))


def _rows(version: dict[str, Any]) -> list[str]:
    counts = version["counts"]
    origins = [f"{n} {_ORIGINS[Origin(name)]}" for name, n in version["origins"].items()]
    approvals = [f"{n} by {name}" for name, n in version["approvals"].items()]
    return [
        f"Version {version['number']}, split with seed {version['seed']}",
        f"sha256 {version['sha256']}",
        f"{counts['train']} train, {counts['validation']} validation, {counts['test']} test rows",
        f"Origin: {', '.join(origins)}",
        f"Approved: {', '.join(approvals) or 'nobody now approves these rows'}",
    ]


def _line(line: dict[str, Any]) -> str:
    if line["met"]:
        return f"✓ {line['name']}: {line['measured']}"
    return f"○ {line['name']}: {line['measured']}. Waived by {line['waiver']}"


def _training(card: dict[str, Any]) -> list[str]:
    result, chosen = card["result"], card["settings"]
    name = result.get("base", {}).get("name") or card["base"].get("where", "unknown")
    told = {**chosen, "steps": result.get("steps")}
    settings = [
        f"{words} {_value(told[key])}"
        for key, words in _SETTINGS.items()
        if told.get(key) is not None
    ]
    lines = [
        f"Launched by {card['launched_by']}",
        f"Base model: {name}, licence {card['base_licence']}",
        f"Method: {chosen.get('method', 'lora')}",
        ", ".join(settings),
    ]
    before = result.get("resumed_from")
    if before is not None:
        lines.append(f"Resumed from step {before['step']} of run {before['job'][:8]}")
    if result.get("validation_loss") is not None:
        lines.append(f"Lowest validation loss {result['validation_loss']:.3f}")
    libraries = card["environment"]["libraries"]
    if libraries:
        lines.append(", ".join(f"{one} {number}" for one, number in libraries.items()))
    return [*lines, f"Adapter sha256 {card['sha256']}"]


def _value(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _checks(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["Not checked yet, or kept back while a blind trial is open."]
    general, hostile = found["general"], found["red_team"]
    return [
        f"General tasks, base: {shell.interval(general['base'], general['n'])}",
        f"General tasks, tuned: {shell.interval(general['tuned'], general['n'])}",
        f"{general['lost']} lost, {general['gained']} gained, p = {general['p_value']:.4f}",
        f"Red-team prompts withstood: {shell.interval(hostile['tuned'], hostile['n'])}",
    ]


def _measured(found: list[dict[str, Any]], sealed: int) -> list[str]:
    lines = []
    for rates in found:
        for arm in ("base", "tuned"):
            for measure, words in _MEASURES.items():
                rate = rates.get(f"{arm}_{measure}")
                if rate is not None:
                    lines.append(f"{arm}, {words}: {shell.interval(rate['k'], rates['n'])}")
    if sealed:
        lines.append(f"{sealed} more: sealed until the open blind trial is closed.")
    return lines or ["Not measured yet. Compare it on the held-out rows."]


def _judged(trials: list[dict[str, Any]]) -> list[str]:
    return [
        f"{trial['verdict']}: {trial['tuned']} votes for tuned, {trial['base']} for base, "
        f"{trial['tie']} ties, {trial['both_bad']} both bad, p = {trial['p_value']:.4f}, "
        f"{trial['reviewers']} reviewers"
        for trial in trials
    ] or ["No trial was closed yet."]
