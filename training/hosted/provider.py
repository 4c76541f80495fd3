"""Tune a model at an endpoint: send the frozen pairs, begin one job, follow it, tidy up behind it.

What it promises: a run that was agreed to sends its pairs once and pays once, however often its
process dies and is taken up again; a cancel is passed on; the uploaded files are deleted at the
end. What it cannot: make the endpoint forget, or prove that it did.
"""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from curation.versions.layout import ExportRow
from curation.versions.layouts_jsonl import CHAT
from storage.errors import BadInput, Unavailable
from storage.types import Split
from training.hosted import calls, closing, provider_record, reasons, remote, terms
from training.hosted.calls import Calls, NoAnswer
from training.hosted.closing import FINAL_STATUSES
from training.hosted.finetuning import (
    FineTuning,
    Hyperparameters,
    JobRequest,
    RemoteJob,
    supervised,
)
from training.hosted.remote import RemoteRun
from training.hosted.run import HostedRun
from training.records import tasks
from training.records.tasks import TrainTask
from training.settings import Provider
from training.work import evidence
from training.work.evidence import Cancelled, Evidence
from training.work.rows import TrainingPair, read_training, refuse_tested

_GIVE_UP_SECONDS = 3600.0
"""An endpoint that gives no answer for so long ends the run here; it can be taken up again."""
_SLOWEST = 6
"""Where nothing changes, the wait between two questions grows up to so many times the usual."""
_STATUS_SENTENCES = {
    "validating_files": "The endpoint looks through the files.",
    "queued": "The run waits in the endpoint's queue.",
    "running": "The endpoint trains.",
    "paused": "The endpoint paused the run.",
}


def main(directory: Path, hold: Evidence) -> None:
    """Tune as `spec.json` says, show progress in `events.jsonl`, leave `result.json`.

    Raises:
        AssayError: the pairs are refused, or the endpoint gives no answer or refuses them.
    """
    began = time.monotonic()
    run = _prepared(directory, hold, tasks.read(TrainTask, directory))
    try:
        with _terminable(hold), _connected(run) as api:
            job = _followed(run, api, _submitted(run, api))
            checkpoints = api.checkpoints(job.id) if job.status == "succeeded" else []
    except Cancelled:
        closing.cancel(run)
        return
    except NoAnswer as error:
        raise Unavailable(closing.refusal(run, error)) from error
    cleanup = closing.cleaned(run)
    if job.status != "succeeded" or job.model is None:
        state = "cancelled" if job.status == "cancelled" else "failed"
        reason = reasons.failure(run.endpoint.name, job, run.rows)
        hold.finish(state, f"{reason} {cleanup.sentence}", msgspec.to_builtins(cleanup))
        return
    record = provider_record.build(
        run, job, job.model, checkpoints, round(time.monotonic() - began, 1)
    )
    paid = f", for {terms.money(record.cost.amount, record.cost.currency)}" if record.cost else ""
    hold.finish(
        "finished",
        f"The endpoint tuned and keeps the model{paid}. {cleanup.sentence}",
        msgspec.to_builtins(record) | msgspec.to_builtins(cleanup),
    )


def _prepared(directory: Path, hold: Evidence, task: TrainTask) -> HostedRun:
    """The run of a task, where it stands now."""
    settings, endpoint = task.settings, task.endpoint
    if not isinstance(settings, Provider) or endpoint is None or endpoint.tuning is None:
        raise BadInput("The endpoint of this run tunes no models. Launch the run again.")
    rows = read_training(directory / task.rows_path, task.rows_sha256)
    refuse_tested(rows, task.tested_sha256)
    remote_run = remote.read(directory) or RemoteRun(endpoint.name, directory.name)
    train = sum(row.split == Split.TRAIN for row in rows)
    total = settings.epochs * -(-train // (settings.batch_size or 1))
    run = HostedRun(
        directory, hold, task, settings, endpoint, endpoint.tuning, remote_run, rows, total
    )
    for event in evidence.every_event(directory):  # of the run that this one goes on from
        run.note(event.step, event.number("loss"), event.number("eval_loss"))
    return run


@contextmanager
def _terminable(hold: Evidence) -> Iterator[None]:
    """Take a termination that follows a cancel for the cancel itself, so that it is passed on; any
    other ends the process, and the run can be taken up again.
    """

    def stop(number: int, _frame: object) -> None:
        if hold.cancel_requested():
            raise Cancelled
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _connected(run: HostedRun) -> Iterator[FineTuning]:
    """The endpoint, asked until the run is cancelled."""
    stop, wait = run.hold.cancel_requested, min(1.0, run.offer.poll_seconds)
    with Calls(run.endpoint, tries=5, pause=wait, should_stop=stop) as connection:
        yield FineTuning(connection, wait, stop)


def _submitted(run: HostedRun, api: FineTuning) -> RemoteJob:
    """The job at the endpoint: the one that is there, or a new one."""
    remote_run, hold = run.remote, run.hold
    _refuse_cancelled(hold)
    if remote_run.job is not None:
        hold.say(f"Taking up job {remote_run.job} at endpoint {remote_run.endpoint} again.")
        return api.job(remote_run.job)
    run.save()
    hold.say(f"Sending {len(run.rows)} pairs to endpoint {remote_run.endpoint}.")
    files = _chat_files(run.rows, run.task.system_message)
    training_file = remote_run.training_file or api.upload(
        remote_run.name(Split.TRAIN), files[Split.TRAIN]
    )
    remote_run.training_file = training_file
    run.save()
    if Split.VALIDATION in files:
        remote_run.validation_file = remote_run.validation_file or api.upload(
            remote_run.name(Split.VALIDATION), files[Split.VALIDATION]
        )
        run.save()
    _refuse_cancelled(hold)
    job = api.create(_request(run.settings, remote_run, training_file))
    remote_run.job, remote_run.status = job.id, job.status
    run.save()
    hold.say(f"Endpoint {remote_run.endpoint} has the run as job {job.id}.")
    return job


def _refuse_cancelled(hold: Evidence) -> None:
    """Begin nothing that would be paid for once it is no longer wanted."""
    if hold.cancel_requested():
        raise Cancelled


def _chat_files(rows: Sequence[TrainingPair], system: str) -> dict[Split, bytes]:
    """The pairs as the endpoint reads them: the chat layout in which versions are exported, a file
    a split; a split without pairs has none.
    """
    parts = {
        split: [ExportRow(r.pair_id, "", r.prompt, r.response) for r in rows if r.split == split]
        for split in (Split.TRAIN, Split.VALIDATION)
    }
    layout = CHAT.write(parts, system)
    return {
        Split(split): layout.files[name]
        for name, split in layout.data.items()
        if layout.files[name]
    }


def _request(settings: Provider, remote_run: RemoteRun, training_file: str) -> JobRequest:
    """What `POST /fine_tuning/jobs` is sent: what is left empty is left out."""
    chosen = Hyperparameters(
        settings.epochs, settings.batch_size, settings.learning_rate_multiplier
    )
    return JobRequest(
        model=settings.model,
        training_file=training_file,
        validation_file=remote_run.validation_file,
        suffix=settings.suffix or None,
        seed=settings.seed,
        method=supervised(chosen),
        metadata={"assay_run": remote_run.key},
    )


def _followed(run: HostedRun, api: FineTuning, job: RemoteJob) -> RemoteJob:
    """The job once it has ended; asked for less often while nothing changes."""
    usual = wait = run.offer.poll_seconds
    answered = time.monotonic()
    status: str | None = None
    while True:
        try:
            job = api.job(job.id)
            moved = _measured(run, api, job.id)
            answered = time.monotonic()
        except NoAnswer as error:
            if error.status in FINAL_STATUSES or time.monotonic() - answered > _GIVE_UP_SECONDS:
                raise
            run.hold.say("The endpoint gives no answer; it is asked again.")
            moved, status = False, None
        if job.status != status:
            status, moved = _show(run, job), True
        if job.status in remote.ENDED:
            return job
        wait = usual if moved else min(wait * 1.5, _SLOWEST * usual)
        run.hold.moved()
        calls.pause(wait, run.hold.cancel_requested)


def _show(run: HostedRun, job: RemoteJob) -> str:
    """Note a new state on the disk and for those who watch; returns it."""
    run.remote.status = job.status
    run.save()
    run.hold.say(
        _STATUS_SENTENCES.get(job.status, f"The endpoint says: {job.status.replace('_', ' ')}.")
    )
    return job.status


def _measured(run: HostedRun, api: FineTuning, job_id: str) -> bool:
    """Take over what the endpoint measured since; whether there was anything."""
    measurements = api.figures(job_id, run.remote.step)
    for figures in measurements:
        run.total = figures.total or max(run.total, figures.step)
        if figures.loss is not None:
            run.hold.progress(figures.step, run.total, loss=figures.loss)
        if figures.validation_loss is not None:
            run.hold.progress(figures.step, run.total, eval_loss=figures.validation_loss)
        run.note(figures.step, figures.loss, figures.validation_loss)
        run.remote.step = figures.step
    if measurements:
        run.save()
    return bool(measurements)
