"""Answers of base and tuned model to held-out messages, side by side against the expected ones."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from curation import statistics, visible
from pages.frame import shell
from pages.parts import diff
from storage.types import Arm, Evaluation, Output, VersionRow
from training.proving import best_prompt, evaluations

Answers = Mapping[int, Mapping[Arm, Output]]
NAMES = {Arm.BASE: "Base model", Arm.TUNED: "Tuned model"}
_PAGE = 6
_NO_ERA, _EVERY = "no era", "every era"


def _right(arms: Mapping[Arm, Output], arm: Arm) -> bool:
    return arm in arms and arms[arm].correct


_VIEWS: dict[str, Callable[[Mapping[Arm, Output]], bool]] = {
    "Worse: base right, tuned wrong": lambda a: _right(a, Arm.BASE) and not _right(a, Arm.TUNED),
    "Better: base wrong, tuned right": lambda a: _right(a, Arm.TUNED) and not _right(a, Arm.BASE),
    "Both wrong": lambda a: not _right(a, Arm.BASE) and not _right(a, Arm.TUNED),
}
_ALONE: dict[str, Callable[[Mapping[Arm, Output]], bool]] = {
    "Wrong": lambda a: not _right(a, Arm.BASE),
    "Right": lambda a: _right(a, Arm.BASE),
}
_RANDOM = "Random"
_PERSONAL = "Personal data"


def figures(evaluation: Evaluation) -> None:
    """Exact accuracy and validity of each arm, as k of n with its interval."""
    summary, n = evaluation.summary, evaluation.summary["n"]
    arms = [arm for arm in Arm if arm.value in summary]
    with st.container(border=True):
        _cells("", [NAMES[arm] for arm in arms])
        for name, measure in (("Exactly right", "correct"), ("Fits the schema", "valid")):
            _cells(name, [statistics.rate(summary[arm.value][measure], n) for arm in arms])
        labels = [_label(summary["made"], arm) for arm in arms]
        if any(labels):
            _cells("Right label", labels)
        _cells("Personal data in it", [_personal(evaluation, arm) for arm in arms])
    before = summary["made"].get("base_answers_of")
    again = (
        f" It was not asked again: its answers are those of comparison {before}." if before else ""
    )
    shell.note(f"The base model got {best_prompt.words(summary['made'])}.{again}")
    if "eras" in summary:
        _by_era(summary["eras"], arms)
    shell.note(
        "Exactly right means the expected JSON value, or the same words where there is no schema: "
        "a good answer in other words counts as wrong. Personal data counts where a scan with the "
        "project's settings found some, or could not read the answer whole; it misses some. "
        "The figures hold for these held-out rows."
    )


def _personal(evaluation: Evaluation, arm: Arm) -> str:
    found = evaluations.personal(evaluation, arm)
    if found is None:
        return "not looked for"
    return statistics.rate(len(found), evaluation.summary["n"])


def _by_era(eras: Mapping[str, Any], arms: list[Arm]) -> None:
    """Exact accuracy per policy era; few rows make a wide interval."""
    with st.container(border=True):
        _cells("Exactly right, by policy era", [NAMES[arm] for arm in arms])
        for name, counted in eras.items():
            figures = [counted.get(arm.value, {}).get("correct", 0) for arm in arms]
            _cells(name or _NO_ERA, [statistics.rate(right, counted["n"]) for right in figures])


def _label(made: Mapping[str, Any], arm: Arm) -> str:
    count = made.get(f"{arm}_label_accuracy_count")
    return statistics.rate(count, made["n"]) if count is not None else ""


def _cells(head: str, words: list[str]) -> None:
    columns = st.columns([1, *[2] * len(words)])
    for column, word in zip(columns, [head, *words], strict=True):
        column.text(word)


def of_era(evaluation: Evaluation, answers: Answers, eras_of: Mapping[int, str]) -> Answers:
    """The answers to rows of one policy era, where the rows are of several."""
    named = {pair_id: eras_of.get(pair_id, _NO_ERA) for pair_id in answers}
    names = sorted(set(named.values()))
    if len(names) < 2:
        return answers
    chosen = st.selectbox("Policy era", [_EVERY, *names], key=f"era-{evaluation.id}", width=320)
    return {i: arms for i, arms in answers.items() if chosen in (_EVERY, named[i])}


def browse(evaluation: Evaluation, answers: Answers, expected: Mapping[int, VersionRow]) -> None:
    """Choose which rows to look at, and look at them."""
    both = any(Arm.TUNED in arms for arms in answers.values())
    views = _VIEWS if both else _ALONE
    found = {name: [i for i in answers if fits(answers[i])] for name, fits in views.items()}
    told = {i for arm in Arm for i in evaluations.personal(evaluation, arm) or ()}
    if told:
        found[_PERSONAL] = sorted(told & set(answers))
    found[_RANDOM] = list(answers)
    view = st.radio(
        "Rows",
        list(found),
        format_func=lambda name: f"{name} ({len(found[name])})",
        horizontal=True,
        key=f"view-{evaluation.id}",
    )
    chosen = found[view]
    if view == _RANDOM:
        seed = st.number_input("Seed of the draw", value=7, step=1, key=f"seed-{evaluation.id}")
        chosen = random.Random(int(seed)).sample(chosen, len(chosen))  # noqa: S311 - repeatable
    if not chosen:
        st.text("There are no such rows.")
        return
    shell.note("Struck through: expected but not said. Underlined: said but not expected.")
    for pair_id in _page(chosen, f"page-{evaluation.id}-{view}"):
        _row(evaluation, answers[pair_id], expected[pair_id])


def _page(chosen: list[int], key: str) -> list[int]:
    pages = -(-len(chosen) // _PAGE)
    if pages == 1:
        return chosen
    page = st.number_input(f"Page of {pages}", 1, pages, key=key)
    return chosen[(page - 1) * _PAGE : page * _PAGE]


def _row(evaluation: Evaluation, arms: Mapping[Arm, Output], row: VersionRow) -> None:
    with st.container(border=True):
        shell.note(f"Message of pair {row.pair_id}")
        st.text(visible.reveal(row.prompt))
        shell.note("Expected")
        st.text(visible.reveal(row.response))
        for column, (arm, output) in zip(st.columns(len(arms)), sorted(arms.items()), strict=True):
            with column:
                name = f"{NAMES[arm]}: {_verdict(output)}"
                key = f"diff-{evaluation.id}-{row.pair_id}-{arm}"
                diff.show(name, row.response, output.text, key=key)
                _mark(evaluation, arm, row.pair_id)


def _mark(evaluation: Evaluation, arm: Arm, pair_id: int) -> None:
    found = evaluations.personal(evaluation, arm) or {}
    if pair_id in found:
        kinds = ", ".join(found[pair_id]) or "could not be read whole"
        st.badge(f"Personal data: {kinds}", icon=":material/shield_person:", color="orange")


def _verdict(output: Output) -> str:
    if output.correct:
        return "exactly right"
    return "wrong" if output.valid else "wrong, does not fit the schema"
