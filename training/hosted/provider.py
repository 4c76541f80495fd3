"""Tune a model at an endpoint: send the frozen pairs, begin one job, follow it, tidy up behind it.

What it promises: a run that was agreed to sends its pairs once and pays once, however often its
process dies and is taken up again; a cancel is passed on; the uploaded files are deleted at the
end. What it cannot: make the endpoint forget, or prove that it did.
"""

import platform
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec

from curation.versions.layout import ExportRow
from curation.versions.layouts_jsonl import CHAT
from storage.errors import BadInput, Unavailable
from storage.types import Split
from training.hosted import calls, provider_record, reasons, remote, terms
from training.hosted.calls import Calls, NoAnswer
from training.hosted.finetuning import (
    FineTuning,
    Hyperparameters,
    JobRequest,
    RemoteCheckpoint,
    RemoteJob,
    supervised,
)
from training.hosted.provider_record import Cleanup, ProviderRecord
from training.hosted.remote import RemoteRun
from training.records import tasks
from training.records.parts import BaseOrigin, Endpoint, Loss, PairCounts, TuningOffer
from training.records.tasks import TrainTask
from training.settings import Provider
from training.work import evidence
from training.work.evidence import Cancelled, Evidence
from training.work.rows import TrainingPair, read_training, refuse_tested

_GIVE_UP_SECONDS = 3600.0
"""An endpoint that gives no answer for so long ends the run here; it can be taken up again."""
_SLOWEST = 6
"""Where nothing changes, the wait between two questions grows up to so many times the usual."""
_FINAL = frozenset({400, 401, 403, 404, 422})
"""Answers that will be the same when asked again."""
_ENDING_TIMEOUT = httpx.Timeout(4.0)
"""A cancelled process has ten seconds before it is killed."""
_STATUS_SENTENCES = {
    "validating_files": "The endpoint looks through the files.",
    "queued": "The run waits in the endpoint's queue.",
    "running": "The endpoint trains.",
    "paused": "The endpoint paused the run.",
}


@dataclass(slots=True)
class _Run:
    """One run, from its first file to its last word."""

    directory: Path
    hold: Evidence
    task: TrainTask
    settings: Provider
    endpoint: Endpoint
    offer: TuningOffer
    remote: RemoteRun
    rows: Sequence[TrainingPair]
    total: int
    """Steps, guessed until the endpoint says."""
    losses: list[Loss] = field(default_factory=list)
    validation_losses: list[Loss] = field(default_factory=list)

    def save(self) -> None:
        self.remote.save(self.directory)

    def note(self, step: int, loss: float | None, validation_loss: float | None) -> None:
        if loss is not None:
            self.losses.append(Loss(step, loss))
        if validation_loss is not None:
            self.validation_losses.append(Loss(step, validation_loss))


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
        _cancel(run)
        return
    except NoAnswer as error:
        raise Unavailable(_refusal(run, error)) from error
    cleanup = _cleaned(run)
    if job.status != "succeeded" or job.model is None:
        state = "cancelled" if job.status == "cancelled" else "failed"
        reason = reasons.failure(run.endpoint.name, job, run.rows)
        hold.finish(state, f"{reason} {cleanup.sentence}", msgspec.to_builtins(cleanup))
        return
    record = _record(run, job, job.model, checkpoints, round(time.monotonic() - began, 1))
    paid = f", for {terms.money(record.cost.amount, record.cost.currency)}" if record.cost else ""
    hold.finish(
        "finished",
        f"The endpoint tuned and keeps the model{paid}. {cleanup.sentence}",
        msgspec.to_builtins(record) | msgspec.to_builtins(cleanup),
    )


def _prepared(directory: Path, hold: Evidence, task: TrainTask) -> _Run:
    """The run of a task, where it stands now."""
    settings, endpoint = task.settings, task.endpoint
    if not isinstance(settings, Provider) or endpoint is None or endpoint.tuning is None:
        raise BadInput("The endpoint of this run tunes no models. Launch the run again.")
    rows = read_training(directory / task.rows_path, task.rows_sha256)
    refuse_tested(rows, task.tested_sha256)
    remote_run = remote.read(directory) or RemoteRun(endpoint.name, directory.name)
    train = sum(row.split == Split.TRAIN for row in rows)
    total = settings.epochs * -(-train // (settings.batch_size or 1))
    run = _Run(directory, hold, task, settings, endpoint, endpoint.tuning, remote_run, rows, total)
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
def _connected(run: _Run) -> Iterator[FineTuning]:
    """The endpoint, asked until the run is cancelled."""
    stop, wait = run.hold.cancel_requested, min(1.0, run.offer.poll_seconds)
    with Calls(run.endpoint, tries=5, pause=wait, should_stop=stop) as connection:
        yield FineTuning(connection, wait, stop)


@contextmanager
def _ending(run: _Run) -> Iterator[FineTuning]:
    """The endpoint, asked in haste: what a process does there before it ends."""
    with Calls(run.endpoint, tries=2, pause=0.2, seconds=_ENDING_TIMEOUT) as connection:
        yield FineTuning(connection)


def _submitted(run: _Run, api: FineTuning) -> RemoteJob:
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


def _followed(run: _Run, api: FineTuning, job: RemoteJob) -> RemoteJob:
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
            if error.status in _FINAL or time.monotonic() - answered > _GIVE_UP_SECONDS:
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


def _show(run: _Run, job: RemoteJob) -> str:
    """Note a new state on the disk and for those who watch; returns it."""
    run.remote.status = job.status
    run.save()
    run.hold.say(
        _STATUS_SENTENCES.get(job.status, f"The endpoint says: {job.status.replace('_', ' ')}.")
    )
    return job.status


def _measured(run: _Run, api: FineTuning, job_id: str) -> bool:
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


def _refusal(run: _Run, error: NoAnswer) -> str:
    """Why the run ends without an answer, and what is left there; where the endpoint refused it
    before it began, nothing is.
    """
    reason = reasons.refusal(error, run.rows)
    if error.status not in _FINAL or _may_have_job(run):
        return f"{reason}{remote.left(run.directory)}"
    run.remote.status = "failed"
    run.save()
    return f"{reason} {_cleaned(run).sentence}"


def _may_have_job(run: _Run) -> bool:
    """Whether the endpoint has a job of this run, or does not say that it has none: the answer to
    the first request for it may have been lost.
    """
    try:
        with _ending(run) as api:
            _look_for_lost(run.remote, api)
    except NoAnswer:
        return True
    run.save()
    return run.remote.job is not None


def _cancel(run: _Run) -> None:
    """Pass a cancel on, and end the run."""
    remote_run = run.remote
    outcome = f"Cancelled before endpoint {remote_run.endpoint} had the run."
    try:
        with _ending(run) as api:
            _look_for_lost(remote_run, api)
            if remote_run.job is not None:
                status = remote_run.status = api.cancel(remote_run.job).status
                outcome = f"Cancelled at endpoint {remote_run.endpoint} (it says: {status})."
    except NoAnswer:
        job = remote_run.job or f"of files named assay-{remote_run.key[:8]}"
        outcome = (
            f"Cancelled here, but endpoint {remote_run.endpoint} did not confirm it: look there "
            f"for job {job}, and cancel it."
        )
    run.save()
    cleanup = _cleaned(run)
    detail = {"remote_job": remote_run.job, **msgspec.to_builtins(cleanup)}
    run.hold.finish("cancelled", f"{outcome} Nothing was kept. {cleanup.sentence}", detail)


def _look_for_lost(remote_run: RemoteRun, api: FineTuning) -> None:
    """What lies at the endpoint though its answer never came here."""
    remote_run.training_file = remote_run.training_file or api.find_file(
        remote_run.name(Split.TRAIN)
    )
    remote_run.validation_file = remote_run.validation_file or api.find_file(
        remote_run.name(Split.VALIDATION)
    )
    if remote_run.job is None and remote_run.training_file is not None:
        job = api.find(remote_run.training_file)
        remote_run.job = job.id if job else None


def _cleaned(run: _Run) -> Cleanup:
    """Delete the uploaded files."""
    deleted: list[str] = []
    with suppress(NoAnswer), _ending(run) as api:
        deleted += [file_id for file_id in run.remote.files if api.delete(file_id)]
    left = [file_id for file_id in run.remote.files if file_id not in deleted]
    sentence = "No file was uploaded."
    if left:
        sentence = f"The endpoint did not delete {', '.join(left)}: delete them there."
    elif deleted:
        sentence = "The uploaded files were deleted there."
    return Cleanup(deleted, left, sentence)


def _record(
    run: _Run, job: RemoteJob, model: str, checkpoints: list[RemoteCheckpoint], seconds: float
) -> ProviderRecord:
    """The record of a run that ended well."""
    endpoint, losses, task = run.endpoint.name, run.losses, run.task
    train, validation = (
        sum(row.split == split for row in run.rows) for split in (Split.TRAIN, Split.VALIDATION)
    )
    return ProviderRecord(
        version_sha256=task.version_sha256,
        rows_sha256=task.rows_sha256,
        base=BaseOrigin(name=f"{endpoint}/{run.settings.model}", licence="the endpoint's terms"),
        settings=run.settings,
        seed=run.settings.seed,
        epochs=run.settings.epochs,
        endpoint=endpoint,
        remote_job=job.id,
        fine_tuned_model=model,
        adapter_sha256=provider_record.identity(endpoint, job.id, model),
        trained_tokens=job.trained_tokens,
        cost=provider_record.cost(run.offer, job.trained_tokens),
        libraries={"python": platform.python_version(), "httpx": httpx.__version__},
        hardware={"accelerator": None, "system": "the endpoint's"},
        pairs=PairCounts(train, validation),
        steps=run.remote.step,
        first_train_loss=losses[0].loss if losses else None,
        train_loss=losses[-1].loss if losses else None,
        validation_loss=min((point.loss for point in run.validation_losses), default=None),
        validation_curve=run.validation_losses,
        resumed_from=task.resumed_from,
        checkpoints=checkpoints,
        seconds=seconds,
    )
