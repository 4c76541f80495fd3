"""Plan an experiment from a run: a sweep of one or two settings, or a learning curve."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages.frame import shell
from pages.frame.wiring import act
from pages.parts import progress
from pages.train.experiments import run_compare
from storage.errors import AssayError, BadInput
from storage.types import Job, Project, User
from training import asks
from training.proving import experiments
from training.settings import read

_LABELS = {
    "learning_rate": "Learning rate",
    "r": "Rank (r)",
    "alpha": "Alpha",
    "batch_size": "Rows a step (batch size)",
    "epochs": "Passes over the rows (epochs)",
    "dropout": "Dropout",
    "warmup": "Warm-up, share of the steps",
    "beta": "Beta",
    "weight_decay": "Weight decay",
    "seed": "Seed",
}


def show(user: User, project: Project, runs: Sequence[Job]) -> None:
    """Choose the run to start from, then what to vary."""
    by_id = {run.id: run for run in runs}
    chosen = st.selectbox(
        "Start from the version, base model and settings of",
        list(by_id),
        format_func=lambda i: run_compare.name(by_id[i]),
        key=f"from-{project.id}",
    )
    run = by_id[chosen]
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True, height="stretch"):
        st.subheader("Which settings? (sweep)", anchor=False)
        _sweep(user, run)
    with right, st.container(border=True, height="stretch"):
        st.subheader("What are more pairs worth? (learning curve)", anchor=False)
        _curve(user, run)
    shell.note(
        "The runs wait for one another, and each answers the held-out inputs when it ends. You "
        "can close this page meanwhile."
    )


def _sweep(user: User, run: Job) -> None:
    settings = run.spec["settings"]
    names = st.multiselect(
        "Settings to vary, one or two",
        [name for name in _LABELS if name in settings],
        default=["learning_rate"] if "learning_rate" in settings else [],
        format_func=lambda name: _LABELS[name],
        max_selections=2,
        key=f"vary-{run.id}",
    )
    typed = {
        name: st.text_input(
            f"{_LABELS[name]}: values, with spaces between",
            value=_around(settings[name]),
            key=f"values-{name}-{run.id}",
        )
        for name in names
    }
    try:
        grid = {name: experiments.numbers(text, settings[name]) for name, text in typed.items()}
        planned = experiments.combinations(grid)
        for point in planned:
            read(settings | point)
    except BadInput as refusal:
        st.text(str(refusal))
        planned, grid = [], {}
    _button(user, f"Queue {len(planned)} runs", "sweep", run, len(planned), grid)


def _around(value: float) -> str:
    """Half, once and twice the value, as a start."""
    return " ".join(
        f"{value * factor:g}"
        for factor in (0.5, 1, 2)
        if value * factor == value or isinstance(value, float) or float(value * factor).is_integer()
    )


def _curve(user: User, run: Job) -> None:
    shares = ", ".join(f"{share:.0%}".replace("%", " %") for share in experiments.SHARES)
    st.text(
        f"Trains on {shares} of the train pairs, each part within the next and families of pairs "
        "kept whole, and fits a curve through how many held-out inputs each answers right."
    )
    _button(user, f"Queue {len(experiments.SHARES)} runs", "curve", run, len(experiments.SHARES))


def _button(
    user: User, label: str, kind: str, run: Job, count: int, grid: Mapping[str, Any] | None = None
) -> None:
    try:
        start = experiments.again(run)
    except AssayError as refusal:
        st.text(str(refusal))
        return
    seconds = (run.result or {}).get("seconds")
    if seconds and count:
        share = sum(experiments.SHARES) if kind == "curve" else count
        shell.note(
            f"About {progress.duration(seconds * share)} at the pace of this run, and the time to "
            "answer the held-out inputs."
        )
    verb, more = (asks.curve, ()) if kind == "curve" else (asks.sweep, (grid,))
    st.button(
        label,
        key=f"{kind}-{run.id}",
        disabled=not count,
        on_click=act,
        args=("Queued. The first one starts by itself.", verb, user, start, *more),
    )
