"""The losses of a training run and what else was measured at each step, live while it trains."""

import streamlit as st

from pages.frame import shell
from pages.frame.wiring import looking
from pages.parts import charts, progress
from pages.parts.charts import Spec, quantity
from pages.parts.progress import Point
from storage.types import Job, JobState
from training.launch import runs
from training.work import jobs


def show(job: Job) -> None:
    """Training and validation loss; drawn anew every two seconds while the run goes on."""
    if job.state is JobState.RUNNING:
        _live(job.id)
    elif job.state is not JobState.QUEUED:
        _draw(job)


@st.fragment(run_every="2s")
def _live(job_id: str) -> None:
    with looking() as session:
        _draw(jobs.get(session, job_id))


def _draw(job: Job) -> None:
    points = progress.curve(job)
    if not points:
        shell.note("No loss was measured yet.")
        return
    layers = [_layer(points, "training", marked=False), _layer(points, "validation", marked=True)]
    st.vega_lite_chart({"layer": layers, "height": 240}, width="stretch")
    weights = "the weights of the lowest validation loss are kept."
    if runs.is_remote(job):
        weights = "which weights are kept is the endpoint's choice."
    shell.note(
        "Both should fall. When validation loss rises while training loss still falls, the model "
        f"learns the pairs by heart; {weights}"
    )
    _gauges(job)


def _gauges(job: Job) -> None:
    """Small charts of what else was measured, each under its name and last value."""
    gauges = progress.gauges(job)
    for place, (name, points) in zip(st.columns(4), gauges.items(), strict=False):
        values: list[Spec] = [{"step": step, "value": value} for step, value in points]
        with place:
            last = points[-1][1]
            figure = f"{last:,.0f}" if last >= 100 else f"{last:.3g}"
            shell.note(f"{progress.GAUGES[name]}: {figure}")
            st.vega_lite_chart(_small(values), width="stretch")


def _small(values: list[Spec]) -> Spec:
    few = {"tickCount": 3}
    return {
        "data": {"values": values},
        "height": 90,
        "mark": "line",
        "encoding": {
            "x": quantity("step", title=None, axis={"tickMinStep": 1, **few}),
            "y": quantity("value", title=None, axis=few, scale={"zero": False}),
        },
    }


def _layer(points: list[Point], which: str, *, marked: bool) -> Spec:
    """One line; validation is measured once a pass, so its points are marked."""
    values: list[Spec] = [
        {"step": point["step"], "loss": point[which], "pairs": which}
        for point in points
        if point[which] is not None
    ]
    return charts.losses(values, "pairs", mark={"type": "line", "point": marked})
