"""Answers of base and tuned model to held-out inputs, side by side against the expected ones."""

import random
from collections.abc import Callable, Mapping

import streamlit as st

from curation import visible
from curation.versions import archive
from pages.frame import shell
from pages.frame.wiring import looking
from pages.parts import diff, table
from pages.prove.compare.figures import NAMES, NO_ERA
from storage.types import Arm, Comparison, Output, VersionRow
from training.proving import comparisons

Answers = Mapping[int, Mapping[Arm, Output]]
_PAGE = 6
_EVERY = "every era"


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


def of_era(comparison: Comparison, answers: Answers, eras_of: Mapping[int, str]) -> Answers:
    """The answers to pairs of one policy era, where there are several."""
    named = {pair_id: eras_of.get(pair_id, NO_ERA) for pair_id in answers}
    names = sorted(set(named.values()))
    if len(names) < 2:
        return answers
    chosen = st.selectbox("Policy era", [_EVERY, *names], key=f"era-{comparison.id}", width=320)
    return {i: arms for i, arms in answers.items() if chosen in (_EVERY, named[i])}


def show(comparison: Comparison, answers: Answers) -> None:
    """Choose which pairs to look at, and look at them."""
    both = any(Arm.TUNED in arms for arms in answers.values())
    views = _VIEWS if both else _ALONE
    selections = {name: [i for i in answers if fits(answers[i])] for name, fits in views.items()}
    personal = {i for arm in Arm for i in comparisons.personal(comparison, arm) or ()}
    if personal:
        selections[_PERSONAL] = sorted(personal & set(answers))
    selections[_RANDOM] = list(answers)
    view = st.radio(
        "Pairs",
        list(selections),
        format_func=lambda name: f"{name} ({len(selections[name])})",
        horizontal=True,
        key=f"view-{comparison.id}",
    )
    chosen = selections[view]
    if view == _RANDOM:
        seed = st.number_input("Seed of the draw", value=7, step=1, key=f"seed-{comparison.id}")
        chosen = random.Random(int(seed)).sample(chosen, len(chosen))  # noqa: S311 - repeatable
    if not chosen:
        st.text("There are no such pairs.")
        return
    shell.note("Struck through: expected but not said. Underlined: said but not expected.")
    on_page = table.page(chosen, _PAGE, f"page-{comparison.id}-{view}")
    with looking() as session:
        expected = archive.texts(session, comparison.version_id, on_page)
    for pair_id in on_page:
        _pair(comparison, answers[pair_id], expected[pair_id])


def _pair(comparison: Comparison, arms: Mapping[Arm, Output], pair: VersionRow) -> None:
    with st.container(border=True):
        shell.note(f"Input of pair {pair.pair_id}")
        st.text(visible.reveal(pair.prompt))
        shell.note("Expected")
        st.text(visible.reveal(pair.response))
        for column, (arm, output) in zip(st.columns(len(arms)), sorted(arms.items()), strict=True):
            with column:
                name = f"{NAMES[arm]}: {_verdict(output)}"
                key = f"diff-{comparison.id}-{pair.pair_id}-{arm}"
                diff.show(name, pair.response, output.text, key=key)
                _mark(comparison, arm, pair.pair_id)


def _mark(comparison: Comparison, arm: Arm, pair_id: int) -> None:
    findings = comparisons.personal(comparison, arm) or {}
    if pair_id in findings:
        kinds = ", ".join(findings[pair_id]) or "could not be read whole"
        st.badge(f"Personal data: {kinds}", icon=":material/shield_person:", color="orange")


def _verdict(output: Output) -> str:
    if output.correct:
        return "exactly right"
    return "wrong" if output.valid else "wrong, does not fit the schema"
