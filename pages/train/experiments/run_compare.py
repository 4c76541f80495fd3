"""Runs beside each other: their curves, what was set differently, what they scored, where they
differ."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from curation import statistics, visible
from pages.frame import shell
from pages.frame.wiring import looking
from pages.parts import progress
from storage.types import Job, JobState, Output, Project, VersionRow
from training.proving import experiments, side_by_side
from training.proving.side_by_side import MOST, Scored

_ROWS = 5
_NAMES = {"share": "share of the train rows", "version": "version", "base": "base model"}


def name(job: Job) -> str:
    """A run by its name and the first letters of its id."""
    return f"{job.spec['name']} ({job.id[:8]})"


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
    found = [begun[i] for i in chosen]
    labels = [f"{'ABCD'[i]}: {run.spec['name']}" for i, run in enumerate(found)]
    _curves(found, labels)
    _settings(found, labels)
    with looking() as session:
        measured = side_by_side.scored(session, project.id, found)
        same = len({run.spec["version_id"] for run in found}) == 1
        rows = (
            side_by_side.differing(session, found[0].spec["version_id"], measured) if same else []
        )
    _figures(measured, labels)
    _rows(rows, [label for label, one in zip(labels, measured, strict=True) if one.answers])


def _curves(found: Sequence[Job], labels: Sequence[str]) -> None:
    """The losses over each other. Lines differ by dashes too, so that colour is not needed."""
    which = st.segmented_control(
        "Loss", ["validation", "training"], default="validation", key="compare-loss"
    )
    values = [
        {"step": point["step"], "loss": point[which or "validation"], "run": label}
        for run, label in zip(found, labels, strict=True)
        for point in progress.curve(run)
        if point[which or "validation"] is not None
    ]
    if not values:
        shell.note("No loss was measured yet.")
        return
    spec: dict[str, Any] = {
        "data": {"values": values},
        "height": 260,
        "mark": {"type": "line", "point": which != "training"},
        "encoding": {
            "x": {"field": "step", "type": "quantitative", "axis": {"tickMinStep": 1}},
            "y": {"field": "loss", "type": "quantitative", "scale": {"zero": False}},
            "color": {"field": "run", "type": "nominal", "title": None},
            "strokeDash": {"field": "run", "type": "nominal", "title": None},
            "shape": {"field": "run", "type": "nominal", "title": None},
        },
    }
    st.vega_lite_chart(spec, width="stretch")


def _settings(found: Sequence[Job], labels: Sequence[str]) -> None:
    st.subheader("Set differently", anchor=False)
    table = side_by_side.settings(found)
    if not table:
        st.text("Nothing: these runs have the same rows, base model and settings.")
        return
    with st.container(border=True):
        _cells("", labels)
        for setting, values in table.items():
            shown = [experiments.value(one) for one in values]
            _cells(_NAMES.get(setting, setting.replace("_", " ")), shown)


def _figures(measured: Sequence[Scored], labels: Sequence[str]) -> None:
    st.subheader("Measured on held-out rows", anchor=False)
    with st.container(border=True):
        _cells("", labels)
        _cells("Exactly right", [_share(one, one.hits) for one in measured])
        _cells("Fits the schema", [_share(one, one.valid) for one in measured])
        _cells("Against A, row by row", ["", *(_paired(measured[0], o) for o in measured[1:])])
        losses = [(one.job.result or {}).get("validation_loss") for one in measured]
        _cells("Lowest validation loss", [f"{x:.3f}" if x is not None else "" for x in losses])
        _cells("Took", [_took(one.job) for one in measured])
    shell.note(
        "Row by row: rows that a run answers right and A does not, and the other way round; p is "
        "the exact McNemar test. A run chosen because it scored best on these rows is flattered by "
        "them: judge it blind. Validation losses compare only where the validation rows are the "
        "same."
    )


def _share(one: Scored, hits: int) -> str:
    if one.sealed:
        return "sealed: a blind trial is open"
    return statistics.rate(hits, len(one.answers)) if one.answers else "not measured yet"


def _paired(first: Scored, other: Scored) -> str:
    found = side_by_side.paired(first, other)
    if found is None:
        return "not on the same rows"
    return f"{found.gained} gained, {found.lost} lost, p = {found.p_value:.3f}"


def _took(job: Job) -> str:
    seconds = (job.result or {}).get("seconds")
    return progress.duration(seconds) if seconds else ""


def _cells(head: str, words: Sequence[str]) -> None:
    columns = st.columns([1, *[2] * len(words)])
    for column, word in zip(columns, [head, *words], strict=True):
        column.text(word)


def _rows(rows: Sequence[tuple[VersionRow, list[Output]]], labels: Sequence[str]) -> None:
    if not rows:
        return
    st.subheader(f"Where they differ: {len(rows)} rows", anchor=False)
    pages = -(-len(rows) // _ROWS)
    page = 1
    if pages > 1:
        key = f"differing-{len(rows)}"
        page = st.number_input(f"Page, of {pages}", 1, pages, key=key, width=160)
    for row, answers in rows[(page - 1) * _ROWS : page * _ROWS]:
        with st.container(border=True):
            st.text(visible.reveal(row.prompt))
            shell.note("Expected")
            st.text(visible.reveal(row.response))
            for column, label, one in zip(st.columns(len(answers)), labels, answers, strict=True):
                with column:
                    shell.note(f"{'✓ right' if one.correct else '✗ wrong'} · {label}")
                    st.text(visible.reveal(one.text) or "(empty)")
