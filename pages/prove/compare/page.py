"""Compare page: what base and tuned model answered to held-out messages, and how often right."""

import streamlit as st

from curation.policy import eras
from curation.versions import archive
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.wiring import looking
from pages.parts import compare_start, job_panel
from pages.parts.plain import plain
from pages.prove.compare import rows as compare_rows
from storage.errors import RuleBroken
from storage.types import JobKind, Split
from training.models import adapters
from training.proving import blind, evaluations

user = require_user()
shell.header(
    "Compare",
    "The held-out messages through base and tuned model; each gives its likeliest answer.",
)
project = shell.require_project(user)
with looking() as session:
    known = {one.id: one for one in evaluations.listing(session, project.id)}
    frozen = {one.id: one for one in archive.listing(session, project.id)}
    tuned = {one.id: one for one in adapters.listing(session, project.id)}
if not frozen:
    shell.empty(
        "There are no held-out messages yet: a version sets them aside.",
        "versions",
        "Freeze the first version",
    )
    st.stop()

job_panel.show(project.id, JobKind.EVALUATE)
compare_start.form(user, frozen, tuned, first=not known)
if not known:
    st.stop()


def _name(number: int) -> str:
    one = known[number]
    who = "the base model alone"
    if one.adapter_id is not None:
        who = f"base and {tuned[one.adapter_id].name}"
    return f"{number}: {who}, version {frozen[one.version_id].number}, {one.summary['n']} rows"


chosen = st.selectbox(
    "Comparison", list(known), format_func=_name, key=f"comparison-{project.id}-{max(known)}"
)
evaluation = known[chosen]
try:
    with looking() as session:
        answers = blind.opened(session, evaluation.id)
        rows = archive.rows(session, evaluation.version_id, Split.TEST)
        eras_of = eras.names_of(session, answers)
except RuleBroken as refusal:
    st.warning(plain(str(refusal)))
    shell.link("blind", "Go to the trial")
    st.stop()
compare_rows.figures(evaluation)
shown = compare_rows.of_era(evaluation, answers, eras_of)
compare_rows.browse(evaluation, shown, {row.pair_id: row for row in rows})
if evaluation.adapter_id is not None:
    shell.link("blind", "Next: let people judge the answers blind")
