"""How often base and tuned model answered right: in all, by label and by policy era."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from curation import statistics
from pages.frame import shell
from pages.parts import table
from storage.types import Arm, Evaluation
from training.proving import best_prompt, evaluations

NAMES = {Arm.BASE: "Base model", Arm.TUNED: "Tuned model"}
NO_ERA = "no era"


def show(evaluation: Evaluation) -> None:
    """Exact accuracy and validity of each arm, as k of n with its interval."""
    summary, n = evaluation.summary, evaluation.summary["n"]
    arms = [arm for arm in Arm if arm.value in summary]
    with st.container(border=True):
        table.line("", [NAMES[arm] for arm in arms])
        for name, measure in (("Exactly right", "correct"), ("Fits the schema", "valid")):
            table.line(name, [statistics.rate(summary[arm.value][measure], n) for arm in arms])
        labels = [_label(summary["made"], arm) for arm in arms]
        if any(labels):
            table.line("Right label", labels)
        table.line("Personal data in it", [_personal(evaluation, arm) for arm in arms])
    before = summary["made"].get("base_answers_of")
    again = (
        f" It was not asked again: its answers are those of comparison {before}." if before else ""
    )
    shell.note(f"The base model got {best_prompt.prompt_scores(summary['made'])}.{again}")
    if "eras" in summary:
        _by_era(summary["eras"], arms)
    shell.note(
        "Exactly right means the expected JSON value, or the same words where there is no schema: "
        "a good answer in other words counts as wrong. Personal data counts where a scan with the "
        "project's settings found some, or could not read the answer whole; it misses some. "
        "The figures hold for these held-out pairs."
    )


def _personal(evaluation: Evaluation, arm: Arm) -> str:
    findings = evaluations.personal(evaluation, arm)
    if findings is None:
        return "not looked for"
    return statistics.rate(len(findings), evaluation.summary["n"])


def _by_era(eras: Mapping[str, Any], arms: list[Arm]) -> None:
    """Exact accuracy per policy era; few pairs make a wide interval."""
    with st.container(border=True):
        table.line("Exactly right, by policy era", [NAMES[arm] for arm in arms])
        for name, counted in eras.items():
            right = [counted.get(arm.value, {}).get("correct", 0) for arm in arms]
            table.line(name or NO_ERA, [statistics.rate(k, counted["n"]) for k in right])


def _label(settings: Mapping[str, Any], arm: Arm) -> str:
    count = settings.get(f"{arm}_label_accuracy_count")
    return statistics.rate(count, settings["n"]) if count is not None else ""
