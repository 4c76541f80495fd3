"""Plan an experiment from a run: a sweep of one or two settings, or a learning curve."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from pages.frame import shell
from pages.frame.wiring import act_on, drawn
from pages.parts import progress
from pages.train.experiments import run_compare
from storage.errors import AssayError, BadInput
from storage.types import Job, Project, User
from training import asks
from training.described import settings_of
from training.proving import experiments
from training.records import results, specs
from training.settings import LABELS, Tuning, read

_NOT_VARIED = frozenset({"max_length", "patience", "checkpoint_steps"})
"""Numbers that decide how a run goes, not what it learns."""


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
    settings = specs.train(run).settings
    numbers = _numbers(settings)
    vary = f"vary-{run.id}"
    names = st.multiselect(
        "Settings to vary, one or two",
        list(numbers),
        default=["learning_rate"] if "learning_rate" in numbers else [],
        format_func=lambda name: LABELS[name],
        max_selections=2,
        key=vary,
    )
    values = {name: f"values-{name}-{run.id}" for name in names}
    typed = {
        name: st.text_input(
            f"{LABELS[name]}: values, with spaces between", value=_around(numbers[name]), key=key
        )
        for name, key in values.items()
    }
    try:
        grid = {name: experiments.numbers(text, numbers[name]) for name, text in typed.items()}
        planned = experiments.combinations(grid)
        for point in planned:
            read(settings.to_dict() | point)
    except BadInput as refusal:
        st.text(str(refusal))
        planned, grid = [], {}
    sweep = partial(asks.sweep, grid=grid)
    _button(user, run, "sweep", len(planned), len(planned), sweep, (vary, *values.values()))


def _numbers(settings: Tuning) -> dict[str, float]:
    """The numbers that can be varied, by the names of their settings."""
    return {
        setting.name: getattr(settings, setting.name)
        for setting in settings_of(type(settings)).values()
        if setting.number and setting.caption.drawn and not setting.optional
        if setting.name not in _NOT_VARIED
    }


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
    work = sum(experiments.SHARES)
    _button(user, run, "curve", len(experiments.SHARES), work, asks.curve)


def _button(
    user: User,
    run: Job,
    kind: str,
    count: int,
    work: float,
    verb: Callable[..., object],
    fields: Sequence[str] = (),
) -> None:
    """Queue so many runs, which take `work` times as long as this one; the verb was made of these
    fields.
    """
    try:
        start = experiments.again(run)
    except AssayError as refusal:
        st.text(str(refusal))
        return
    seconds = results.train(run).seconds
    if seconds and count:
        shell.note(
            f"About {progress.duration(seconds * work)} at the pace of this run, and the time to "
            "answer the held-out inputs."
        )
    st.button(
        f"Queue {count} runs",
        key=f"{kind}-{run.id}",
        disabled=not count,
        on_click=act_on,
        args=(drawn(fields), "Queued. The first one starts by itself.", verb, user, start),
    )
