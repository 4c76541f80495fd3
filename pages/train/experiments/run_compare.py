"""Runs beside each other: their curves, what was set differently, what they scored, where they
differ."""

from collections.abc import Sequence

import streamlit as st

from curation import statistics, visible
from pages.frame import shell
from pages.frame.wiring import looking
from pages.parts import charts, progress, table
from storage.types import Job, JobState, Output, Project, VersionRow
from training.proving import experiments, side_by_side
from training.proving.side_by_side import MOST, Scored
from training.records import results, specs
from training.settings import LABELS

_SIZE = 5
_NAMES = LABELS | {"share": "share of the train pairs", "version": "version", "base": "base model"}


def name(job: Job) -> str:
    """A run by its name and the first letters of its id."""
    return f"{specs.train(job).name} ({job.id[:8]})"


def show(project: Project, runs: Sequence[Job]) -> None:
    """Choose two to four runs and see them beside each other."""
    begun = {run.id: run for run in runs if run.state is not JobState.QUEUED}
    chosen = st.multiselect(
        f"Runs, two to {MOST}",
        list(begun),
        default=list(begun)[:2],
        format_func=lambda i: name(begun[i]),
        max_selections=MOST,
        key=f"compare-{project.id}",
    )
    if len(chosen) < 2:
        st.text("Choose two runs to see them beside each other.")
        return
    compared = [begun[i] for i in chosen]
    labels = [f"{'ABCD'[i]}: {specs.train(run).name}" for i, run in enumerate(compared)]
    _curves(compared, labels)
    _settings(compared, labels)
    with looking() as session:
        measured = side_by_side.scored(session, project.id, compared)
        versions = {specs.train(run).version_id for run in compared}
        alike = len(versions) == 1
        pairs = side_by_side.differing(session, versions.pop(), measured) if alike else []
    _figures(measured, labels)
    _pairs(pairs, [label for label, scored in zip(labels, measured, strict=True) if scored.answers])


def _curves(runs: Sequence[Job], labels: Sequence[str]) -> None:
    """The losses over each other. Lines differ by dashes too, so that colour is not needed."""
    which = st.segmented_control(
        "Loss", ["validation", "training"], default="validation", key="compare-loss"
    )
    values: list[charts.Spec] = [
        {"step": point["step"], "loss": point[which or "validation"], "run": label}
        for run, label in zip(runs, labels, strict=True)
        for point in progress.curve(run)
        if point[which or "validation"] is not None
    ]
    if not values:
        shell.note("No loss was measured yet.")
        return
    chart = charts.losses(
        values,
        "run",
        mark={"type": "line", "point": which != "training"},
        y=charts.quantity("loss", scale={"zero": False}),
        shape={"field": "run", "type": "nominal", "title": None},
    )
    st.vega_lite_chart({"height": 260, **chart}, width="stretch")


def _settings(runs: Sequence[Job], labels: Sequence[str]) -> None:
    st.subheader("Set differently", anchor=False)
    different = side_by_side.settings(runs)
    if not different:
        st.text("Nothing: these runs have the same pairs, base model and settings.")
        return
    with st.container(border=True):
        table.line("", labels)
        for setting, values in different.items():
            texts = [experiments.value(value) for value in values]
            table.line(_NAMES.get(setting, setting.replace("_", " ")), texts)


def _figures(measured: Sequence[Scored], labels: Sequence[str]) -> None:
    st.subheader("Measured on held-out pairs", anchor=False)
    with st.container(border=True):
        table.line("", labels)
        table.line("Exactly right", [_share(scored, scored.hits) for scored in measured])
        table.line("Fits the schema", [_share(scored, scored.valid) for scored in measured])
        table.line(
            "Against A, pair by pair", ["", *(_paired(measured[0], o) for o in measured[1:])]
        )
        losses = [results.train(scored.job).validation_loss for scored in measured]
        table.line("Lowest validation loss", [f"{x:.3f}" if x is not None else "" for x in losses])
        table.line("Took", [_took(scored.job) for scored in measured])
    shell.note(
        "Pair by pair: pairs that a run answers right and A does not, and the other way round; p "
        "is the exact McNemar test. A run chosen because it scored best on these pairs is "
        "flattered by them: judge it blind. Validation losses compare only where the validation "
        "pairs are the same."
    )


def _share(scored: Scored, hits: int) -> str:
    if scored.sealed:
        return "sealed: a blind trial is open"
    return statistics.rate(hits, len(scored.answers)) if scored.answers else "not measured yet"


def _paired(first: Scored, second: Scored) -> str:
    difference = side_by_side.paired(first, second)
    if difference is None:
        return "not on the same pairs"
    return f"{difference.gained} gained, {difference.lost} lost, p = {difference.p_value:.3f}"


def _took(job: Job) -> str:
    seconds = results.train(job).seconds
    return progress.duration(seconds) if seconds else ""


def _pairs(pairs: Sequence[tuple[VersionRow, list[Output]]], labels: Sequence[str]) -> None:
    if not pairs:
        return
    st.subheader(f"Where they differ: {len(pairs)} pairs", anchor=False)
    for pair, answers in table.page(pairs, _SIZE, f"differing-{len(pairs)}"):
        with st.container(border=True):
            st.text(visible.reveal(pair.prompt))
            shell.note("Expected")
            st.text(visible.reveal(pair.response))
            for column, label, answer in zip(
                st.columns(len(answers)), labels, answers, strict=True
            ):
                with column:
                    shell.note(f"{'✓ right' if answer.correct else '✗ wrong'} · {label}")
                    st.text(visible.reveal(answer.text) or "(empty)")
