"""Blind page: judge two answers without knowing whose they are; closing reveals the score."""

import streamlit as st

from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import current_project, looking
from pages.prove.blind import ballot_box, plan, result
from storage.types import Role, Trial
from training.models import adapters
from training.proving import blind, comparisons

user = require_user()
if current_project(user) is None:
    shell.header("Blind", "People judge two answers without knowing whose they are.")
project = shell.require_project(user)
with looking() as session:
    trials = blind.listing(session, project.id)
    judgeable = plan.judgeable(comparisons.listing(session, project.id))
    tuned = {adapter.id: adapter.name for adapter in adapters.listing(session, project.id)}
going = [trial for trial in trials if trial.closed_at is None]
closed = {trial.id: trial for trial in trials if trial.closed_at is not None}


def _vote(trial: Trial) -> None:
    shell.header(trial.question, "Two answers to the same input. Who wrote which is sealed.")
    ballot_box.show(user, trial, project.id)
    if Role.LEAD in user.roles:
        plan.watch(user, trial)


def _closed(number: int) -> str:
    return f"Trial {number}, {closed[number].planned} inputs"


if going:
    _vote(going[0])
    st.stop()
shell.header("Blind", "People judge two answers to one input without knowing whose they are.")
if closed:
    chosen = st.selectbox("Trial", list(closed), format_func=_closed, key=f"trial-{max(closed)}")
    result.show(closed[chosen])
if Role.LEAD not in user.roles:
    if not closed:
        st.text("No trial is open. A lead plans one; it then appears here.")
    st.stop()
if not judgeable:
    shell.empty(
        "There are no answers to judge yet: compare an adapter with its base model first.",
        "compare",
        "Compare an adapter",
    )
    st.stop()
with st.expander("Plan a trial", expanded=not closed):
    names = {
        number: f"Comparison {number}: {tuned[comparison.adapter_id or 0]}, "
        f"{comparison.summary['n']} inputs"
        for number, comparison in judgeable.items()
    }
    plan.form(user, judgeable, names)
