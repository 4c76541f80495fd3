"""The run card: what would be trained, and whether the gate lets it."""

import streamlit as st

from curation import readiness
from pages.parts import shell
from pages.parts.wiring import looking
from storage.types import Signal, Version
from training.base_models import Base
from training.settings import Lora


def show(version: Version, base: Base | str, settings: Lora | str) -> list[str]:
    """Draw the card; returns why the run cannot be launched now, empty where it can."""
    with looking() as session:
        signals = readiness.report(session, version.project_id, version)
    blocking = readiness.unmet(signals)
    with st.container(border=True):
        st.subheader("This run", anchor=False)
        _facts(version, base, settings)
        _gate(signals, blocking)
    reasons = [choice for choice in (base, settings) if isinstance(choice, str)]
    if blocking:
        reasons.append(f"{len(blocking)} readiness lines block; they are listed on the card.")
    return reasons


def _facts(version: Version, base: Base | str, settings: Lora | str) -> None:
    rows = version.counts
    lines = [
        f"Version {version.number}, {version.sha256[:12]}",
        f"{rows['train']} rows train, {rows['validation']} watch for over-learning, "
        f"{rows['test']} are held out and never seen",
    ]
    if isinstance(base, Base):
        lines.append(f"Base model: {base.where}")
    if isinstance(settings, Lora):
        lines += [
            f"LoRA, rank {settings.r}, learning rate {settings.learning_rate:g}",
            f"{settings.steps(rows['train'])} steps of {settings.batch_size} rows, "
            f"{settings.epochs} passes",
        ]
    st.text("\n".join(lines))


def _gate(signals: list[Signal], blocking: list[Signal]) -> None:
    waived = [signal for signal in signals if not signal.met and signal not in blocking]
    if not blocking:
        st.success(f"Ready: {len(signals)} of {len(signals)} lines are met or waived.")
    else:
        st.error(f"Not ready: {len(blocking)} of {len(signals)} lines block.")
    for signal in blocking:
        st.text(f"✗ {signal.name}: {signal.measured} (asked: {signal.asked}). {signal.fix}")
    if waived:
        shell.note(f"{len(waived)} of them are waived; the adapter's card will list them.")
    shell.link("pages/curate/ready.py", "See all readiness lines")
