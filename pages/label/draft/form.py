"""Asking a model for drafts, and what earlier requests brought."""

import streamlit as st

from curation import visible
from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import fields, job_panel
from storage.errors import AssayError
from storage.types import Job, JobKind, Project, User
from training import asks
from training.draft import drafts
from training.draft.drafts import DraftPlan
from training.hosted import endpoints
from training.records import results, specs
from training.records.parts import Endpoint
from training.work import jobs

_LOCAL = ""
_LAST = 10


def show(user: User, project: Project) -> None:
    """What to draft, and the button; typed words are kept."""
    try:
        by_name = {endpoint.name: endpoint for endpoint in endpoints.listing()}
    except AssayError as error:
        by_name = {}
        st.error(str(error))
    name = f"draft-{project.id}"
    fields.line(user, name, "topic", "Topic: what the new inputs should be about")
    count, temperature, seed = st.columns(3)
    count.number_input(
        "How many", min_value=1, max_value=drafts.MOST, value=20, key=fields.key(name, "count")
    )
    temperature.slider(
        "Temperature: how far from the usual",
        0.1,
        1.5,
        0.9,
        0.1,
        key=fields.key(name, "temperature"),
    )
    seed.number_input(
        "Seed: the same one drafts the same pairs",
        min_value=0,
        max_value=2**31 - 1,
        value=1,
        key=fields.key(name, "seed"),
    )
    st.selectbox(
        "Model",
        [_LOCAL, *by_name],
        key=fields.key(name, "model"),
        format_func=lambda endpoint: _model(by_name.get(endpoint)),
    )
    shell.note(
        f"The model sees the task, the topic and up to {drafts.EXAMPLES} approved gold pairs, "
        "never test pairs. A small model drafts clumsily: each draft waits for a person."
    )
    st.button("Draft", key=f"{name}-go", type="primary", on_click=_ask, args=(user, project, name))


def _model(endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return "The packaged small model, on this computer"
    return f"{endpoint.name}: {endpoint.model}, at {endpoint.url} (gold pairs leave this computer)"


def _ask(user: User, project: Project, name: str) -> None:
    def field(of: str) -> object:
        return st.session_state[fields.key(name, of)]

    plan = DraftPlan(
        topic=fields.value(name, "topic"),
        count=int(str(field("count"))),
        seed=int(str(field("seed"))),
        temperature=float(str(field("temperature"))),
        endpoint=fields.value(name, "model") or None,
    )
    act("The model drafts now.", asks.draft, user, project.id, plan)


def requests(project: Project) -> None:
    """The last requests: what was asked of which model, and what came of it."""
    with looking() as session:
        requests = jobs.listing(session, project.id, JobKind.DRAFT)[:_LAST]
    if not requests:
        return
    st.subheader("Last requests", anchor=False)
    newest = requests[0]
    st.dataframe([_row(job) for job in requests], key=f"drafts-{newest.id}-{newest.state}")
    shell.note(
        "“Not usable” counts drafts that were empty, too like another pair or outside the schema. "
        "Each kept draft carries its model, seed and prompt hash; see it on Browse."
    )


def _row(job: Job) -> dict[str, str]:
    spec, result = specs.draft(job), results.draft(job)
    model = spec.endpoint.model if spec.endpoint is not None else "packaged"
    return {
        "When (UTC)": f"{job.created_at:%Y-%m-%d %H:%M}",
        "Topic": visible.reveal(spec.topic),
        "State": job_panel.STATES[job.state],
        "Model": (result and result.model) or model,
        "Seed": str(spec.seed),
        "Temperature": f"{spec.temperature:g}",
        "Asked": str(spec.count),
        "Kept": str(result.accepted) if result else "",
        "Not usable": str(sum(result.refused.values())) if result else "",
    }
