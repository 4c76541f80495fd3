"""What a job is doing, live: drawn anew every two seconds while it goes on, then how it ended."""

from datetime import UTC, datetime

import streamlit as st

from pages.frame import identity, shell
from pages.frame.plain import plain
from pages.frame.wiring import act, looking
from pages.parts import progress
from storage import projects, settings
from storage.types import Job, JobKind, JobState, Role
from training import asks, kinds
from training.launch import runs
from training.work import jobs
from training.work.health import Health

STATES = {
    JobState.QUEUED: "Waiting to start",
    JobState.RUNNING: "Running",
    JobState.FINISHED: "Finished",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
    JobState.LOST: "Lost",
}
"""States in plain words."""


def show(project_id: int, kind: JobKind) -> None:
    """The newest job of this kind in a project; nothing where there was none."""
    with looking() as session:
        newest = next(iter(jobs.listing(session, project_id, kind)), None)
    if newest is not None:
        panel(newest)


def work(job: Job) -> str:
    """What a job does, in plain words."""
    return kinds.KINDS[job.kind].title


def panel(job: Job) -> None:
    """One job: live with a way to cancel it, or the sentence it ended with."""
    if job.state.final:
        _outcome(job)
        return
    with st.container(border=True):
        _live(job.id, job.state)
        _end(job)


@st.fragment(run_every="2s")
def _live(job_id: str, drawn: JobState) -> None:
    with looking() as session:
        job = jobs.get(session, job_id)
        ahead = kinds.ahead(session, job) if job.state is JobState.QUEUED else []
        place = projects.get(session, ahead[0].project_id).name if ahead else ""
    if job.state is not drawn:
        st.rerun()  # the page around the panel shows what can be done now, and polling may end
    if job.state is JobState.QUEUED:
        _queued(job, ahead, place)
    else:
        _running(job)


def _queued(job: Job, ahead: list[Job], place: str) -> None:
    st.text(f"{work(job).capitalize()}: waiting to start")
    if not ahead:
        st.text("It starts by itself within a few seconds.")
        return
    others = f" and {len(ahead) - 1} more" if len(ahead) > 1 else ""
    st.text(
        f"It waits for the {work(ahead[0])} of {place}{others} to end: one job runs at a "
        "time, so that each has the whole memory. It then starts by itself."
    )


def _running(job: Job) -> None:
    now = progress.read(job)
    state = "running"
    if now.stopping or now.saving:
        ending = " and keeping what it learnt" if not now.stopping else ""
        state = f"stopping at the next step{ending}"
    st.text(f"{work(job).capitalize()}: {state}")
    _health(now)
    share = min(1.0, now.step / now.total) if now.total else 0.0
    st.progress(share, text=f"{now.step} of {now.total}" if now.total else "Getting ready")
    st.text(" · ".join(_pace(now)))


def _pace(now: progress.JobProgress) -> list[str]:
    parts = [now.message] if now.message else []
    if now.elapsed is not None:
        parts.append(f"{progress.duration(now.elapsed)} so far")
    if now.left and not (now.stopping or now.saving):
        parts.append(f"about {progress.duration(now.left)} left")
    return parts


def _health(now: progress.JobProgress) -> None:
    """Words where the process does not look well; its state stays running until it has ended."""
    for_long = progress.duration(now.since)
    if now.health is Health.UNRESPONSIVE:
        st.warning(
            f"Unresponsive: no sign of life for {for_long}. The machine may be suspended or short "
            "of memory. Wait, or cancel; nothing is lost before the last checkpoint."
        )
    elif now.health is Health.STALLED:
        st.warning(
            f"Stalled: the process lives, but nothing has moved for {for_long}. See the log of the "
            "process; wait, or cancel."
        )


def _end(job: Job) -> None:
    """The two ways to end a job early: keep what a run has learnt, or nothing."""
    user = identity.current()
    allowed = kinds.KINDS[job.kind].cancelled_by
    if user is None or not allowed & user.roles:
        shell.note(f"Someone with the role {' or '.join(sorted(allowed))} can cancel this.")
        return
    with st.container(horizontal=True):
        stops = job.state is JobState.RUNNING and not runs.is_remote(job)
        if job.kind is JobKind.TRAIN and stops:
            st.button(
                "Stop and save",
                key=f"stop-{job.id}",
                help="Ends at the next step and makes an adapter of the best weights so far.",
                on_click=act,
                args=("It stops at its next step.", asks.stop, user, job.id, settings.current()),
            )
        st.button(
            "Cancel",
            key=f"cancel-{job.id}",
            help="Ends at the next step and keeps nothing." if job.kind is JobKind.TRAIN else None,
            on_click=act,
            args=("It stops at its next step.", asks.cancel, user, job.id, settings.current()),
        )


def go_on(job: Job) -> None:
    """The way to go on with a run that was lost, failed or stopped; nothing where there is none."""
    user = identity.current()
    checkpoint = runs.resumable(job, progress.folder(job))
    if checkpoint is None or user is None:
        return
    if Role.LEAD not in user.roles:
        shell.note("Someone with the role lead can go on with this run from its last checkpoint.")
        return
    remote = runs.is_remote(job)
    message = "Launched. It goes on from its last checkpoint."
    if remote:
        message = "Launched. It follows the endpoint's job."
    st.button(
        "Take it up again" if remote else f"Go on from step {checkpoint.step}",
        key=f"resume-{job.id}",
        type="primary",
        on_click=act,
        args=(message, asks.resume, user, job.id, settings.current()),
    )
    if remote:
        shell.note(
            "A new run here follows the endpoint's job, which may have gone on meanwhile. Nothing "
            "is sent or paid twice. The readiness lines are asked again."
        )
        return
    shell.note(
        "A new run with the same pairs and settings takes over; on a CPU it ends with the very "
        "weights that this one would have had. The readiness lines are asked again."
    )


def _outcome(job: Job) -> None:
    say = {JobState.FINISHED: st.success, JobState.CANCELLED: st.info}.get(job.state, st.error)
    ended = f" ({_ago(job.ended_at)})" if job.ended_at is not None else ""
    alone = job.state is JobState.LOST and runs.resumable(job, progress.folder(job)) is None
    again = " Start it again." if alone else ""
    sentence = f"{job.message or STATES[job.state]}{again}"
    say(plain(f"{work(job).capitalize()}, {STATES[job.state].lower()}{ended}: {sentence}"))


def _ago(moment: datetime) -> str:
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < 60:
        return "just now"
    days = int(seconds // 86400)
    return f"{days} days ago" if days > 1 else f"{progress.duration(seconds)} ago"
