"""How often base and tuned model answered right: in all, by label and by policy era."""

from collections.abc import Mapping

import streamlit as st

from curation import statistics
from curation.project import score
from pages.frame import shell
from pages.parts import table
from storage.types import Arm, Comparison
from training.proving import best_prompt, comparisons
from training.records import cards
from training.records.cards import Summary

NAMES = {Arm.BASE: "Base model", Arm.TUNED: "Tuned model"}
NO_ERA = "no era"


def show(comparison: Comparison) -> None:
    """Each metric of each arm, as k of n with its interval."""
    summary = cards.summary(comparison)
    arms = [arm for arm in Arm if summary.arm(arm) is not None]
    rates = {arm: score.rates(comparison.summary, arm) for arm in arms}
    with st.container(border=True):
        table.line("", [NAMES[arm] for arm in arms])
        for metric in score.METRICS:
            if any(metric in rates[arm] for arm in arms):
                table.line(metric.title, [_rate(rates[arm].get(metric)) for arm in arms])
        table.line("Personal data in it", [_personal(comparison, arm) for arm in arms])
    before = summary.method.base_answers_of
    again = (
        f" It was not asked again: its answers are those of comparison {before}." if before else ""
    )
    shell.note(f"The base model got {best_prompt.prompt_scores(summary.method.prompting)}.{again}")
    if summary.eras is not None:
        _by_era(summary.eras, arms)
    shell.note(
        "Exactly right means the expected JSON value, or the same words where there is no schema: "
        "a good answer in other words counts as wrong. Personal data counts where a scan with the "
        "project's settings found some, or could not read the answer whole; it misses some. "
        "The figures hold for these held-out pairs."
    )


def _personal(comparison: Comparison, arm: Arm) -> str:
    findings = comparisons.personal(comparison, arm)
    if findings is None:
        return "not looked for"
    return statistics.rate(len(findings), comparison.summary["n"])


def _by_era(eras: Mapping[str, Summary], arms: list[Arm]) -> None:
    """Exact accuracy per policy era; few pairs make a wide interval."""
    with st.container(border=True):
        table.line("Exactly right, by policy era", [NAMES[arm] for arm in arms])
        for name, era in eras.items():
            counts = [era.arm(arm) for arm in arms]
            right = [count.correct if count is not None else 0 for count in counts]
            table.line(name or NO_ERA, [statistics.rate(k, era.n) for k in right])


def _rate(rate: score.Rate | None) -> str:
    return statistics.rate(rate.hits, rate.n) if rate is not None else ""
