"""The record that a training run leaves: what went in, what came out, and how."""

import json

import streamlit as st

from pages.frame import identity, shell
from pages.frame.plain import plain
from pages.parts import memory_bar, progress
from pages.parts.methods import TEXTS
from storage import plain_files
from storage.types import Job, Role
from training.hosted import terms
from training.launch import estimates
from training.records import results, specs
from training.records.parts import ResumedFrom
from training.records.results import TrainResult
from training.records.specs import TrainSpec

_BATCHES = {
    "joined": "joined: what all pairs begin with is computed once",
    "padded": "padded: each pair on its own",
}
_LOG = 8000
"""Characters of the log's end that are shown."""


def show(job: Job) -> None:
    """What went in, what came out, and with which libraries; all that is needed to repeat it."""
    spec, result = specs.train(job), results.train(job)
    for warning in result.warnings:
        st.warning(plain(warning))
    with st.container(border=True):
        st.text("\n".join(f"{name}: {value}" for name, value in _figures(spec, result).items()))
        _against(job)
    with st.expander("Settings, libraries and the whole record"):
        everything = {
            "id": job.id,
            "state": job.state,
            "launched": job.spec,
            "result": job.result or {},
        }
        st.code(json.dumps(everything, indent=2, ensure_ascii=False), language="json")
    _log(job)


def _figures(spec: TrainSpec, result: TrainResult) -> dict[str, str]:
    """The figures that a finished run has; fewer where it did not finish."""
    pairs = result.rows
    figures = {
        "Version": spec.version_number,
        "Version sha256": spec.version_sha256,
        "Base model": (result.base and result.base.name) or spec.base.where,
        "Seed": spec.settings.seed,
        "Pairs": f"{pairs.train} train, {pairs.validation} validation" if pairs else None,
        "Steps": result.steps,
        **_how(spec, result),
        **_resumed(spec.resumed_from),
        "Training loss": _fall(result),
        "Lowest validation loss": _short(result.validation_loss),
        "Adapter sha256": result.adapter_sha256,
        **_outside(result),
    }
    return {name: str(value) for name, value in figures.items() if value is not None}


def _outside(result: TrainResult) -> dict[str, str | None]:
    """What stands elsewhere: a model at its endpoint with its cost, a run at its trackers."""
    figures = {
        f"Reported to {name}": place.link or place.run
        for name, place in (result.trackers or {}).items()
    }
    if result.fine_tuned_model is not None:
        cost = result.cost
        figures["Model at the endpoint"] = result.fine_tuned_model
        figures["Cost"] = terms.money(cost.amount, cost.currency) if cost else None
    return figures


_PRECISION = {
    "float32": "32 bits",
    "nf4": "4 bits (NF4)",
    "nf4_double": "4 bits (NF4, scales quantised too)",
}


def _how(spec: TrainSpec, result: TrainResult) -> dict[str, object]:
    """Method, how the base was held, how pairs were put together, what the run started from."""
    processes = (result.hardware or {}).get("processes")
    return {
        "Method": TEXTS[spec.settings.METHOD].in_record,
        "Base model held in": _PRECISION.get(result.precision or ""),
        "Batches": _BATCHES.get(result.batches or ""),
        "Processes": processes if isinstance(processes, int) and processes > 1 else None,
        "Goes on from": spec.started_from.name if spec.started_from else None,
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


def _resumed(before: ResumedFrom | None) -> dict[str, str]:
    """Which run and checkpoint a run went on from, and which checkpoints were passed over."""
    if before is None:
        return {}
    figures = {
        "Resumed": f"from step {before.step} of run {before.job}",
        "Checkpoint sha256": before.sha256,
    }
    for checkpoint in before.refused:
        figures[f"Checkpoint {checkpoint.step} was refused"] = checkpoint.why
    return figures


def _fall(result: TrainResult) -> str | None:
    first, last = _short(result.first_train_loss), _short(result.train_loss)
    return f"from {first} to {last}" if first and last else None


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _log(job: Job) -> None:
    """The end of the process's log, for those who mend things. It holds no text of a pair."""
    user = identity.current()
    path = progress.folder(job) / "train.log"
    if user is None or not {Role.LEAD, Role.ADMIN} & user.roles:
        return
    if path.is_symlink() or not path.is_file():
        return
    with plain_files.opened(path) as file:
        file.seek(max(0, path.stat().st_size - _LOG))
        log = file.read(_LOG).decode(errors="replace").strip()
    with st.expander("Log of the process"):
        st.code(log or "The log is empty.", language=None)
