"""The run card: what would be trained, whether the gate lets it, and what it will take."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from curation import statistics
from curation.gate import measures, readiness
from curation.versions import standing
from pages.frame import reported, shell
from pages.frame.wiring import act_on, looking
from pages.parts import job_panel, memory_bar, progress
from pages.parts.methods import TEXTS
from pages.train.launch import settings_form, starting_point
from storage import settings as places
from storage.types import Job, Signal, User, Version
from training import asks
from training.launch import estimates, preflight, probes, runs
from training.models import memory
from training.records.parts import BaseModel, Estimate
from training.settings import Local, Lora, Provider, Tuning
from training.work import machine


@dataclass(frozen=True, slots=True)
class RunOutlook:
    """What is known of a run before it starts."""

    reasons: list[str]
    """Why the run cannot be launched now; empty where it can."""
    probe: Job | None = None
    """The newest probe of this choice."""
    estimate: Estimate | None = None
    """What the run will take, where it was measured."""


def show(
    user: User, version: Version, base: BaseModel | str, settings: Tuning | str, scope: str
) -> RunOutlook:
    """What would be trained, whether it may, and how long it takes."""
    texts = reported.read(measures.TEXTS, version.project_id).content
    with looking() as session:
        signals = readiness.report(session, version.project_id, version, texts)
        waiting = preflight.waiting(session)
    blocking = readiness.unmet(signals)
    reasons = [choice for choice in (base, settings) if isinstance(choice, str)]
    st.subheader("This run", anchor=False)
    _gate(signals, blocking)
    _facts(version, base, settings, waiting)
    if blocking:
        lines = statistics.count(len(blocking), "readiness line blocks", "readiness lines block")
        reasons.append(f"{lines}; they are listed on the card.")
    if reported.to_come(preflight.LEAKS, version.id):
        reasons.append("Its pairs are being compared with the test pairs. This takes a minute.")
    if not (isinstance(base, BaseModel) and isinstance(settings, Local)):
        return RunOutlook(reasons)
    with looking() as session:
        probe = probes.newest(session, version, base, settings)
        estimate = probes.estimate(session, version, base, settings)
    _time(user, runs.RunPlan(version.id, "", base, settings), scope, probe, estimate)
    return RunOutlook(reasons, probe, estimate)


def memory_of(
    outlook: RunOutlook, version: Version, base: BaseModel | str, settings: Tuning | str, scope: str
) -> None:
    """How much memory it takes, and what to change where that is too much."""
    if not (isinstance(base, BaseModel) and isinstance(settings, Local)):
        return
    parts = (
        outlook.estimate.parts
        if outlook.estimate is not None
        else _expected(version, base, settings)
    )
    if parts is None:
        st.text("Memory: not known before the base model is here")
        return
    room, needed = machine.memory_mb(), sum(parts.values())
    st.text(f"Memory: {memory_bar.amount(needed)}{'' if outlook.estimate else ', estimated'}")
    memory_bar.show(parts, room, key=f"memory-{version.id}")
    if outlook.estimate is None:
        shell.note("Estimated from the files of the base model; activations may be off by half.")
    if needed > room * (1 - memory.TIGHT):
        _advice(settings, scope, short=needed > room)


def _facts(version: Version, base: BaseModel | str, settings: Tuning | str, waiting: int) -> None:
    counts = version.counts
    lines = [
        f"Version {version.number}, {version.sha256[:12]}",
        f"{counts['train']} pairs train, {counts['validation']} watch for over-learning, "
        f"{counts['test']} are held out and never seen",
    ]
    if isinstance(base, BaseModel) and isinstance(settings, Local):
        lines.append(f"Base model: {base.where}")
    if isinstance(settings, Provider) and settings.model:
        lines.append(f"Tunes {settings.model} at endpoint {settings.endpoint}")
    if isinstance(settings, Tuning):
        lines += _chosen(settings, counts["train"])
    if waiting:
        lines.append(f"It will wait for {statistics.count(waiting, 'job')} to end")
    st.text("\n".join(lines))


def _chosen(settings: Tuning, train: int) -> list[str]:
    title = TEXTS[settings.METHOD].title
    passes = statistics.count(settings.epochs, "pass", "passes")
    if not isinstance(settings, Local):
        return [f"{title}, {passes}"]
    rank = f", rank {settings.r}" if isinstance(settings, Lora) else ""
    rows_a_step = statistics.count(settings.batch_size, "pair")
    return [
        f"{title}{rank}, learning rate {settings.learning_rate:g}",
        f"{settings.steps(train)} steps of {rows_a_step}, {passes}",
    ]


def _gate(signals: list[Signal], blocking: list[Signal]) -> None:
    waived = [signal for signal in signals if not signal.met and signal not in blocking]
    if not blocking:
        st.success(f"Ready: {len(signals)} of {len(signals)} lines are met or waived.")
    else:
        st.error(f"Not ready: {len(blocking)} of {len(signals)} lines block.")
    for signal in blocking:
        st.text(f"✗ {signal.name}: {signal.measured} (asked: {signal.required}). {signal.fix}")
    if waived:
        shell.note(f"{len(waived)} of them are waived; the adapter's card will list them.")
    shell.link("ready", "See all readiness lines")


def _time(
    user: User, plan: runs.RunPlan, scope: str, probe: Job | None, estimate: Estimate | None
) -> None:
    if estimate is not None:
        low, high = (progress.duration(max(0.0, end)) for end in estimate.interval())
        st.text(
            f"Time: about {progress.duration(estimate.seconds())} ({low} to {high})",
            help=f"{progress.duration(estimate.ready)} to get ready, {estimate.steps} steps of "
            f"{estimate.step:.2g} s, {estimate.evaluations} validation passes of "
            f"{estimate.evaluation:.2g} s, and saving. Other work on this machine makes it longer, "
            "an early stop shorter.",
        )
        shell.note(f"From {estimate.measured} steps taken here; 90 % interval from their spread.")
        return
    if probe is not None:
        job_panel.panel(probe)
    if probe is None or probe.state.final:
        st.text("Time: not measured yet")
        st.button(
            f"Try {estimates.MINIMUM_STEPS} steps (about a minute)",
            key=f"probe-{plan.version_id}",
            help="Real steps on real pairs, thrown away: they tell time, memory, and what the "
            "model sees.",
            on_click=act_on,
            args=(starting_point.fields(scope), "The probe begins.", asks.probe, user, plan),
        )


def _expected(version: Version, base: BaseModel, settings: Local) -> dict[str, float] | None:
    size = preflight.size(base, places.current().data)
    if size is None:
        return None
    state = reported.read(standing.STANDING, version.id, quiet=True).content
    if state.problem:
        return None
    lengths = memory.PairLengths(len(version.manifest.system_message), state.longest)
    return memory.expect(size, settings, lengths, gpu=bool(machine.accelerators()))


def _advice(settings: Local, scope: str, *, short: bool) -> None:
    """What to change, the least harmful first; what is a setting can be changed with one click."""
    say = st.error if short else st.warning
    say("The memory is too small for this." if short else "The memory will be nearly full.")
    shell.note("What to change, the least harmful first:")
    for number, change in enumerate(memory.advice(settings), 1):
        st.text(f"{number}. {change.action}")
        if change.setting is not None:
            name, value = change.setting
            st.button(
                "Change it",
                key=f"change-{name}",
                type="tertiary",
                on_click=_set,
                args=(settings_form.key(name, scope), value),
            )


def _set(key: str, value: Any) -> None:  # noqa: ANN401 - a setting's value
    st.session_state[key] = value
