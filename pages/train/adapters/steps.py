"""What to do next with an adapter, and the other ways it can go: back, or out of use."""

from collections.abc import Callable, Sequence

import streamlit as st

from curation.versions import archive
from pages.frame import shell
from pages.frame.wiring import act, looking
from pages.parts import compare_start, fields, job_panel
from storage import settings
from storage.types import Adapter, Job, JobKind, JobState, Signal, Stage, User
from training import asks
from training.lifecycle import adapter_files, gate, promotion, registry
from training.lifecycle.registry import Entry
from training.proving import comparisons
from training.work import jobs

_COMPARE = "Compare on held-out pairs"
_NEXT = {
    Stage.CANDIDATE: Stage.APPROVED,
    Stage.RETIRED: Stage.APPROVED,
    Stage.APPROVED: Stage.PRODUCTION,
}
_VERBS = {Stage.APPROVED: "Approve", Stage.PRODUCTION: "Put into production"}


def going(project_id: int) -> None:
    """The comparison and the check that go on, or how they failed."""
    for kind in (JobKind.EVALUATE, JobKind.CHECK):
        newest = _newest(project_id, kind)
        if newest is not None and newest.state is not JobState.FINISHED:
            job_panel.panel(newest)


def _newest(project_id: int, kind: JobKind) -> Job | None:
    with looking() as session:
        return next(iter(jobs.listing(session, project_id, kind)), None)


def next_step(user: User, entry: Entry, lines: Sequence[Signal]) -> str:
    """Draw the one next step; the work that its button starts ("compare", "check"), or nothing."""
    blocking = gate.unmet(lines)
    with st.container(border=True):
        shell.note("Next step")
        if entry.troubles and entry.stage is not Stage.RETIRED:
            _out_of_use(user, entry)
        elif entry.stage is Stage.PRODUCTION:
            st.text(f"adapter@{entry.adapter.number} is in production. There is nothing to do.")
        elif blocking:
            return _work_on(user, entry.adapter, blocking)
        else:
            _promote(user, entry.adapter, _NEXT[entry.stage])
    return ""


def _work_on(user: User, adapter: Adapter, blocking: Sequence[Signal]) -> str:
    """The first line that blocks, with the button or the way that leads on."""
    line = _first(blocking)
    st.text(f"{line.name}: {line.fix}")
    work = _work(line)
    if work == "compare":
        _compare_button(user, adapter)
    elif work == "check":
        check_button(user, adapter, first=True)
    elif line.page:
        shell.link(line.page, f"Open {shell.at(line.page).title}")
    return work


def _work(line: Signal) -> str:
    """What this page can start for a line: it says so where nothing was measured yet."""
    if line.key == "format" and line.measured == promotion.NOT_COMPARED:
        return "compare"
    again = line.measured == promotion.NOT_CHECKED or "changed since" in line.measured
    return "check" if line.key in ("regression", "redteam") and again else ""


def remaining_work(user: User, entry: Entry, working_on: str) -> None:
    """The buttons for work that is not the next step."""
    if working_on != "compare":
        _compare_button(user, entry.adapter, first=False)
    if working_on != "check" and not adapter_files.at_endpoint(entry.adapter):
        check_button(user, entry.adapter, first=False)


def _compare_button(user: User, adapter: Adapter, *, first: bool = True) -> None:
    """Compare with the base's best prompt, where one can be looked for."""
    with looking() as session:
        version = archive.get(session, adapter.version_id)
    can = comparisons.can_prompt(version, adapter.card)
    compare_start.button(user, adapter.version_id, adapter, _COMPARE, best_prompt=can, first=first)


def _first(blocking: Sequence[Signal]) -> Signal:
    """What the adapter itself still lacks comes before other runs to compare it with."""
    return min(blocking, key=lambda line: line.key == "runs")


def check_button(user: User, adapter: Adapter, *, first: bool) -> None:
    """Start the checks."""
    st.button(
        "Run the checks",
        key=f"check-{adapter.id}",
        type="primary" if first else "secondary",
        help="Asks base and tuned model general tasks and the red-team prompts.",
        on_click=act,
        args=("Started.", asks.check, user, adapter.id),
    )


def _promote(user: User, adapter: Adapter, to: Stage) -> None:
    st.text("Every line is met or waived.")
    st.button(
        _VERBS[to],
        key=f"promote-{adapter.id}-{to}",
        type="primary",
        on_click=act,
        args=(
            f"adapter@{adapter.number} is {registry.STAGES[to]}.",
            registry.promote,
            user,
            adapter.id,
            to,
            settings.current(),
        ),
    )


def _out_of_use(user: User, entry: Entry) -> None:
    why = "; ".join(entry.troubles)
    st.text(f"It should no longer be used: {why}. Put that right, or retire the adapter.")
    st.button(
        "Retire it",
        key=f"retire-now-{entry.adapter.id}",
        type="primary",
        on_click=act,
        args=("Retired.", registry.retire, user, entry.adapter.id, f"{why[0].upper()}{why[1:]}."),
    )


def back_or_retire(user: User, entry: Entry, before: Adapter | None) -> None:
    """Roll back from what is in production, or retire an adapter, each with a reason."""
    if entry.stage is Stage.RETIRED:
        return
    live = entry.stage is Stage.PRODUCTION
    with st.expander("Roll back or retire" if live else "Retire"):
        form = f"adapter-why-{entry.adapter.id}"
        fields.line(user, form, "why", "Why", limit=300)
        with st.container(horizontal=True):
            if live and before is not None:
                st.button(
                    f"Roll back to adapter@{before.number}",
                    key=f"rollback-{entry.adapter.id}",
                    on_click=_with_reason,
                    args=(
                        form,
                        "Rolled back.",
                        registry.rollback,
                        user,
                        entry.adapter.project_id,
                        settings.current(),
                    ),
                )
            st.button(
                "Retire",
                key=f"retire-{entry.adapter.id}",
                on_click=_with_reason,
                args=(form, "Retired.", registry.retire, user, entry.adapter.id),
            )
        shell.note(
            "A rollback takes this adapter out of production and asks no line of the gate again. A "
            "retired adapter stays on the shelf; only the gate leads it back."
            if live
            else "A retired adapter stays on the shelf; only the gate leads it back."
        )


def _with_reason(
    form: str, done: str, verb: Callable[..., object], user: User, *args: object
) -> None:
    act(done, verb, user, *args, fields.value(form, "why"))
