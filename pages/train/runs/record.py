"""One training run: its loss curve while it trains, and the record it leaves."""

import json
from typing import Any

import streamlit as st

from pages.frame import identity, shell
from pages.frame.plain import plain
from pages.frame.wiring import looking
from pages.parts import memory_bar, progress
from pages.parts.progress import Point
from storage.types import Job, JobState, Role
from training.hosted import terms
from training.launch import estimates, runs
from training.settings import Method
from training.work import jobs

_METHODS = {
    Method.LORA: "LoRA",
    Method.QLORA: "QLoRA",
    Method.FULL: "full tuning",
    Method.PREFERENCE: "preference tuning (DPO)",
}
_BATCHES = {
    "joined": "joined: what all pairs begin with is computed once",
    "padded": "padded: each pair on its own",
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
        values = [{"step": step, "value": value} for step, value in points]
        with place:
            last = points[-1][1]
            figure = f"{last:,.0f}" if last >= 100 else f"{last:.3g}"
            shell.note(f"{progress.GAUGES[name]}: {figure}")
            st.vega_lite_chart(_small(values), width="stretch")


def _small(values: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "data": {"values": values},
        "height": 90,
        "mark": "line",
        "encoding": {
            "x": {
                "field": "step",
                "type": "quantitative",
                "title": None,
                "axis": {"tickMinStep": 1, "tickCount": 3},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "axis": {"tickCount": 3},
                "scale": {"zero": False},
            },
        },
    }


def _layer(points: list[Point], which: str, *, point: bool) -> dict[str, Any]:
    """One line; validation is measured once a pass, so its points are marked."""
    values = [
        {"step": point["step"], "loss": point[which], "rows": which}
        for point in points
        if point[which] is not None
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
    for warning in result.get("warnings", []):
        st.warning(plain(warning))
    with st.container(border=True):
        st.text("\n".join(f"{name}: {value}" for name, value in _figures(job, result).items()))
        _against(job)
    with st.expander("Settings, libraries and the whole record"):
        everything = {"id": job.id, "state": job.state, "launched": job.spec, "result": result}
        st.code(json.dumps(everything, indent=2, ensure_ascii=False), language="json")
    _log(job)


def _figures(job: Job, result: dict[str, Any]) -> dict[str, str]:
    """The figures that a finished run has; fewer where it did not finish."""
    rows, base = result.get("rows", {}), result.get("base", {})
    figures = {
        "Version": job.spec["version_number"],
        "Version sha256": job.spec["version_sha256"],
        "Base model": base.get("name", job.spec["base"]["where"]),
        "Seed": job.spec["settings"]["seed"],
        "Pairs": f"{rows['train']} train, {rows['validation']} validation" if rows else None,
        "Steps": result.get("steps"),
        **_how(job, result),
        **_resumed(job.spec.get("resumed_from")),
        "Training loss": _fall(result),
        "Lowest validation loss": _short(result.get("validation_loss")),
        "Adapter sha256": result.get("adapter_sha256"),
        **_outside(result),
    }
    return {name: str(value) for name, value in figures.items() if value is not None}


def _outside(result: dict[str, Any]) -> dict[str, str | None]:
    """What stands elsewhere: a model at its endpoint with its cost, a run at its trackers."""
    figures: dict[str, str | None] = {
        f"Reported to {name}": report["link"] or report["run"]
        for name, report in result.get("trackers", {}).items()
    }
    if "fine_tuned_model" in result:
        figures["Model at the endpoint"] = result["fine_tuned_model"]
        cost = result.get("cost")
        figures["Cost"] = terms.money(cost["amount"], cost["currency"]) if cost else None
    return figures


_PRECISION = {
    "float32": "32 bits",
    "nf4": "4 bits (NF4)",
    "nf4_double": "4 bits (NF4, scales quantised too)",
}


def _how(job: Job, result: dict[str, Any]) -> dict[str, Any]:
    """Method, how the base was held, how pairs were put together, what the run started from."""
    before = job.spec.get("started_from")
    processes = result.get("hardware", {}).get("processes", 1)
    return {
        "Method": _METHODS.get(job.spec["settings"].get("method", Method.LORA)),
        "Base model held in": _PRECISION.get(result.get("precision", "")),
        "Batches": _BATCHES.get(result.get("batches", "")),
        "Processes": processes if processes > 1 else None,
        "Goes on from": before["name"] if before else None,
    }


def _against(job: Job) -> None:
    """What was estimated beside what happened."""
    outcome = estimates.against(job)
    if outcome is None:
        return
    seconds, took = progress.duration(outcome.seconds), progress.duration(outcome.took)
    lines = [f"Time: {took}; estimated {seconds} ({outcome.off:+.0%})"]
    if outcome.peak_mb is not None and outcome.memory_off is not None:
        lines.append(
            f"Memory at its highest: {memory_bar.amount(outcome.peak_mb)}; estimated "
            f"{memory_bar.amount(outcome.memory_mb)} ({outcome.memory_off:+.0%})"
        )
    st.text("\n".join(lines))
    if outcome.steps < outcome.planned:
        shell.note(
            f"It ended at step {outcome.steps} of {outcome.planned}; the estimate is for these "
            "steps."
        )


def _resumed(before: dict[str, Any] | None) -> dict[str, str]:
    """Which run and checkpoint a run went on from, and which checkpoints were passed over."""
    if before is None:
        return {}
    figures = {
        "Resumed": f"from step {before['step']} of run {before['job']}",
        "Checkpoint sha256": before["sha256"],
    }
    for checkpoint in before["refused"]:
        figures[f"Checkpoint {checkpoint['step']} was refused"] = checkpoint["why"]
    return figures


def _fall(result: dict[str, Any]) -> str | None:
    first, last = _short(result.get("first_train_loss")), _short(result.get("train_loss"))
    return f"from {first} to {last}" if first and last else None


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _log(job: Job) -> None:
    """The end of the process's log, for those who mend things. It holds no text of a pair."""
    user = identity.current()
    path = progress.folder(job) / "train.log"
    if user is None or not {Role.LEAD, Role.ADMIN} & user.roles or not path.is_file():
        return
    log = path.read_bytes()[-_LOG:].decode(errors="replace").strip()
    with st.expander("Log of the process"):
        st.code(log or "The log is empty.", language=None)
