"""One training run: its loss curve while it trains, and the record it leaves."""

import json
from typing import Any

import streamlit as st

from pages.parts import identity, progress, shell
from pages.parts.wiring import looking
from storage.types import Job, JobState, Role
from training import jobs

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
    lines = [
        (point["step"], point[which], which)
        for which in ("training", "validation")
        for point in points
        if point[which] is not None
    ]
    if not lines:
        shell.note("No loss was measured yet.")
        return
    steps, losses, which = zip(*lines, strict=True)
    st.line_chart(
        {"step": steps, "loss": losses, "rows": which}, x="step", y="loss", color="rows", height=260
    )
    shell.note(
        "Both should fall. When validation loss rises while training loss still falls, the model "
        "learns the rows by heart; the weights of the lowest validation loss are kept."
    )


def record(job: Job) -> None:
    """What went in, what came out, and with which libraries; all that is needed to repeat it."""
    result = job.result or {}
    st.text(f"Version {job.spec['version_number']}, sha256 {job.spec['version_sha256']}")
    for name, value in _figures(job, result).items():
        st.text(f"{name}: {value}")
    with st.expander("Settings, libraries and the whole record"):
        whole = {"id": job.id, "state": job.state, "launched": job.spec, "result": result}
        st.code(json.dumps(whole, indent=2, ensure_ascii=False), language="json")
    _log(job)


def _figures(job: Job, result: dict[str, Any]) -> dict[str, str]:
    """The figures that a finished run has; fewer where it did not finish."""
    rows, base = result.get("rows", {}), result.get("base", {})
    figures = {
        "Base model": base.get("name", job.spec["base"]["where"]),
        "Seed": job.spec["settings"]["seed"],
        "Rows": f"{rows['train']} train, {rows['validation']} validation" if rows else None,
        "Steps": result.get("steps"),
        "Training loss": _fall(result),
        "Lowest validation loss": _short(result.get("validation_loss")),
        "Adapter sha256": result.get("adapter_sha256"),
    }
    return {name: str(value) for name, value in figures.items() if value is not None}


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
