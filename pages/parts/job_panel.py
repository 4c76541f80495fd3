"""What a job is doing, live: drawn anew every two seconds while it goes on, then how it ended."""

from datetime import UTC, datetime

import streamlit as st

from pages.parts import identity, progress, shell
from pages.parts.plain import plain
from pages.parts.wiring import act, looking
from storage import projects, settings
from storage.types import Job, JobKind, JobState, Role
from training import jobs

WORK = {
    JobKind.SCAN: "personal-data scan",
    JobKind.DRAFT: "drafting",
    JobKind.TRAIN: "training run",
    JobKind.EVALUATE: "comparison",
}
"""Kinds of work in plain words."""
STATES = {
    JobState.QUEUED: "Waiting to start",
    JobState.RUNNING: "Running",
    JobState.FINISHED: "Finished",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
    JobState.LOST: "Lost",
}
"""States in plain words."""
_MAY_CANCEL = {JobKind.TRAIN: {Role.LEAD}}
_ANYONE = {Role.EXPERT, Role.REVIEWER, Role.LEAD}


def show(project_id: int, kind: JobKind) -> None:
    """The newest job of this kind in a project; nothing where there was none."""
    with looking() as session:
        newest = next(iter(jobs.listing(session, project_id, kind)), None)
    if newest is not None:
        one(newest)


def one(job: Job) -> None:
    """One job: live with a way to cancel it, or the sentence it ended with."""
    if job.state.final:
        _outcome(job)
        return
    with st.container(border=True):
        _live(job.id)
        _cancel(job)


@st.fragment(run_every="2s")
def _live(job_id: str) -> None:
    with looking() as session:
        job = jobs.get(session, job_id)
        ahead = jobs.ahead(session, job) if job.state is JobState.QUEUED else []
        place = projects.get(session, ahead[0].project_id).name if ahead else ""
    if job.state.final:
        st.rerun()  # the page around the panel shows what the job brought, and polling ends
    if job.state is JobState.QUEUED:
        _queued(job, ahead, place)
    else:
        _running(job)


def _queued(job: Job, ahead: list[Job], place: str) -> None:
    st.text(f"{WORK[job.kind].capitalize()}: waiting to start")
    if not ahead:
        st.text("It starts by itself within a few seconds.")
        return
    others = f" and {len(ahead) - 1} more" if len(ahead) > 1 else ""
    st.text(
        f"It waits for the {WORK[ahead[0].kind]} of {place}{others} to end: one job runs at a "
        "time, so that each has the whole memory. It then starts by itself."
    )


def _running(job: Job) -> None:
    now = progress.read(job)
    state = "stopping at the next step" if now.stopping else "running"
    st.text(f"{WORK[job.kind].capitalize()}: {state}")
    share = min(1.0, now.step / now.total) if now.total else 0.0
    st.progress(share, text=f"{now.step} of {now.total}" if now.total else "Getting ready")
    st.text(" · ".join(_pace(now)))


def _pace(now: progress.Progress) -> list[str]:
    words = [now.message] if now.message else []
    if now.elapsed is not None:
        words.append(f"{progress.duration(now.elapsed)} so far")
    if now.left and not now.stopping:
        words.append(f"about {progress.duration(now.left)} left")
    return words


def _cancel(job: Job) -> None:
    user = identity.current()
    allowed = _MAY_CANCEL.get(job.kind, _ANYONE)
    if user is None or not allowed & user.roles:
        shell.note(f"Someone with the role {' or '.join(sorted(allowed))} can cancel this.")
        return
    st.button(
        "Cancel",
        key=f"cancel-{job.id}",
        on_click=act,
        args=("It stops at its next step.", jobs.cancel, user, job.id, settings.current()),
    )


def _outcome(job: Job) -> None:
    say = {JobState.FINISHED: st.success, JobState.CANCELLED: st.info}.get(job.state, st.error)
    ended = f" ({_ago(job.ended_at)})" if job.ended_at is not None else ""
    again = " Start it again." if job.state is JobState.LOST else ""
    words = f"{job.message or STATES[job.state]}{again}"
    say(plain(f"{WORK[job.kind].capitalize()}, {STATES[job.state].lower()}{ended}: {words}"))


def _ago(moment: datetime) -> str:
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < 60:
        return "just now"
    days = int(seconds // 86400)
    return f"{days} days ago" if days > 1 else f"{progress.duration(seconds)} ago"
