"""Compare page: what base and tuned model answered to held-out inputs, and how often right."""

import streamlit as st

from curation.policy import eras
from curation.versions import archive
from pages.frame import shell
from pages.frame.identity import require_user
from pages.frame.plain import plain
from pages.frame.wiring import looking
from pages.parts import compare_start, job_panel
from pages.prove.compare import browse, figures
from storage.errors import RuleBroken
from storage.types import JobKind
from training.models import adapters
from training.proving import blind, comparisons

user = require_user()
shell.header(
    "Compare",
    "The held-out inputs through base and tuned model; each gives its likeliest answer.",
)
project = shell.require_project(user)
with looking() as session:
    by_id = {comparison.id: comparison for comparison in comparisons.listing(session, project.id)}
    frozen = {version.id: version for version in archive.listing(session, project.id)}
    tuned = {adapter.id: adapter for adapter in adapters.listing(session, project.id)}
if not frozen:
    shell.empty(
        "There are no held-out pairs yet: a version keeps them apart.",
        "versions",
        "Freeze the first version",
    )
    st.stop()

job_panel.show(project.id, JobKind.EVALUATE)
compare_start.form(user, frozen, tuned, first=not by_id)
if not by_id:
    st.stop()


def _name(number: int) -> str:
    comparison = by_id[number]
    who = "the base model alone"
    if comparison.adapter_id is not None:
        who = f"base and {tuned[comparison.adapter_id].name}"
    version = frozen[comparison.version_id].number
    return f"{number}: {who}, version {version}, {comparison.summary['n']} pairs"


chosen = st.selectbox(
    "Comparison",
    list(by_id),
    format_func=_name,
    key=f"comparison-{project.id}-{max(by_id)}",
)
comparison = by_id[chosen]
try:
    with looking() as session:
        answers = blind.opened(session, comparison.id)
        eras_of = eras.names_of(session, answers)
except RuleBroken as refusal:
    st.warning(plain(str(refusal)))
    shell.link("blind", "Go to the trial")
    st.stop()
figures.show(comparison)
of_era = browse.of_era(comparison, answers, eras_of)
browse.show(comparison, of_era)
if comparison.adapter_id is not None:
    shell.link("blind", "Next: let people judge the answers blind")
