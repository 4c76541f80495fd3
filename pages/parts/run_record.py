"""One training run: its loss curve while it trains, and the record it leaves."""

import json
from typing import Any

import streamlit as st

from pages.parts import identity, progress, shell
from pages.parts.plain import plain
from pages.parts.progress import Point
from pages.parts.wiring import looking
from storage.types import Job, JobState, Role
from training import jobs

_BATCHES = {
    "joined": "joined: what all rows begin with was computed once a step",
    "padded": "padded: each row was computed alone",
}
_LOG = 8000
"""Characters of the log's end that are shown."""


def chart(job: Job) -> None:
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
    layers = [_layer(points, "training", point=False), _layer(points, "validation", point=True)]
    st.vega_lite_chart({"layer": layers, "height": 240}, width="stretch")
    shell.note(
        "Both should fall. When validation loss rises while training loss still falls, the model "
        "learns the rows by heart; the weights of the lowest validation loss are kept."
    )
    _gauges(job)


def _gauges(job: Job) -> None:
    """Small charts of what else was measured, each under its name and last value."""
    found = progress.gauges(job)
    for place, (name, points) in zip(st.columns(4), found.items(), strict=False):
        values = [{"step": step, "value": value} for step, value in points]
        with place:
            last = points[-1][1]
            words = f"{last:,.0f}" if last >= 100 else f"{last:.3g}"
            shell.note(f"{progress.GAUGES[name]}: {words}")
            st.vega_lite_chart(_small(values), width="stretch")


def _small(values: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "data": {"values": values},
        "height": 90,
        "mark": "line",
        "encoding": {
            "x": {"field": "step", "type": "quantitative", "title": None,
                  "axis": {"tickMinStep": 1, "tickCount": 3}},
            "y": {"field": "value", "type": "quantitative", "title": None,
                  "axis": {"tickCount": 3}, "scale": {"zero": False}},
        },
    }  # fmt: skip


def _layer(points: list[Point], which: str, *, point: bool) -> dict[str, Any]:
    """One line; validation is measured once a pass, so its points are marked."""
    values = [
        {"step": one["step"], "loss": one[which], "rows": which}
        for one in points
        if one[which] is not None
    ]
    return {
        "data": {"values": values},
        "mark": {"type": "line", "point": point},
        "encoding": {
            "x": {"field": "step", "type": "quantitative", "axis": {"tickMinStep": 1}},
            "y": {"field": "loss", "type": "quantitative"},
            "color": {"field": "rows", "type": "nominal", "title": None},
            "strokeDash": {"field": "rows", "type": "nominal", "title": None},
        },
    }


def record(job: Job) -> None:
    """What went in, what came out, and with which libraries; all that is needed to repeat it."""
    result = job.result or {}
    for words in result.get("warnings", []):
        st.warning(plain(words))
    with st.container(border=True):
        st.text("\n".join(f"{name}: {value}" for name, value in _figures(job, result).items()))
    with st.expander("Settings, libraries and the whole record"):
        whole = {"id": job.id, "state": job.state, "launched": job.spec, "result": result}
        st.code(json.dumps(whole, indent=2, ensure_ascii=False), language="json")
    _log(job)


def _figures(job: Job, result: dict[str, Any]) -> dict[str, str]:
    """The figures that a finished run has; fewer where it did not finish."""
    rows, base = result.get("rows", {}), result.get("base", {})
    figures = {
        "Version": job.spec["version_number"],
        "Version sha256": job.spec["version_sha256"],
        "Base model": base.get("name", job.spec["base"]["where"]),
        "Seed": job.spec["settings"]["seed"],
        "Rows": f"{rows['train']} train, {rows['validation']} validation" if rows else None,
        "Steps": result.get("steps"),
        "Batches": _BATCHES.get(result.get("batching", "")),
        **_resumed(job.spec.get("resumed_from")),
        "Training loss": _fall(result),
        "Lowest validation loss": _short(result.get("validation_loss")),
        "Adapter sha256": result.get("adapter_sha256"),
    }
    return {name: str(value) for name, value in figures.items() if value is not None}


def _resumed(before: dict[str, Any] | None) -> dict[str, str]:
    """Which run and checkpoint a run went on from, and which checkpoints were passed over."""
    if before is None:
        return {}
    told = {
        "Resumed": f"from step {before['step']} of run {before['job']}",
        "Checkpoint sha256": before["sha256"],
    }
    for one in before["refused"]:
        told[f"Checkpoint {one['step']} was refused"] = one["why"]
    return told


def _fall(result: dict[str, Any]) -> str | None:
    first, last = _short(result.get("first_train_loss")), _short(result.get("train_loss"))
    return f"from {first} to {last}" if first and last else None


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _log(job: Job) -> None:
    """The end of the process's log, for those who mend things. It holds no text of a row."""
    user = identity.current()
    path = progress.folder(job) / "train.log"
    if user is None or not {Role.LEAD, Role.ADMIN} & user.roles or not path.is_file():
        return
    words = path.read_bytes()[-_LOG:].decode(errors="replace").strip()
    with st.expander("Log of the process"):
        st.code(words or "The log is empty.", language=None)
