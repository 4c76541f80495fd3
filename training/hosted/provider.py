"""Tune a model at an endpoint: send the frozen rows, begin one job, follow it, tidy up behind it.

What it promises: a run that was agreed to sends its rows once and pays once, however often its
process dies and is taken up again; a cancel is passed on; the uploaded files are deleted at the
end. What it cannot: make the endpoint forget, or prove that it did.
"""

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from curation.versions.layout import ExportRow
from curation.versions.layouts_jsonl import CHAT
from storage.errors import BadInput, Unavailable
from storage.types import Split
from training.hosted import calls, endpoint_words, provider_record, remote
from training.hosted.calls import Calls, NoAnswer
from training.hosted.endpoints import Endpoint, TuningOffer
from training.hosted.finetuning import FineTuning, RemoteJob
from training.hosted.remote import RemoteRun
from training.settings import Provider
from training.work import evidence
from training.work.evidence import Cancelled, Evidence
from training.work.rows import Row, read_rows, refuse_tested

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
    settings: Provider
    endpoint: Endpoint
    offer: TuningOffer
    remote: RemoteRun
    rows: Sequence[Row]
    total: int
    """Steps, guessed until the endpoint says."""
    losses: list[dict[str, float]] = field(default_factory=list)
    checked: list[dict[str, float]] = field(default_factory=list)

    def save(self) -> None:
        self.remote.save(self.directory)


def main(directory: Path, hold: Evidence) -> None:
    """Tune as `spec.json` says, show progress in `events.jsonl`, leave `result.json`.

    Raises:
        AssayError: the rows are refused, or the endpoint gives no answer or refuses them.
    """
    began = time.monotonic()
    spec = evidence.read_json(directory / "spec.json") or {}
    run = _prepared(directory, hold, spec)
    try:
        with _terminable(hold), _connected(run) as api:
            job = _followed(run, api, _submitted(run, api, spec["system_message"]))
            checkpoints = api.checkpoints(job.id) if job.status == "succeeded" else []
    except Cancelled:
        hold.finish("cancelled", *_cancelled(run))
        return
    except NoAnswer as error:
        raise Unavailable(_refusal(run, error)) from error
    deleted = _deleted(run)
    if job.status != "succeeded" or job.model is None:
        state = "cancelled" if job.status == "cancelled" else "failed"
        why = endpoint_words.failure(run.endpoint.name, job, run.rows)
        hold.finish(state, f"{why} {deleted['files_told']}", deleted)
        return
    detail = {
        **provider_record.build(spec, job, run.remote, _course(run)),
        "checkpoints": checkpoints,
        "seconds": round(time.monotonic() - began, 1),
        **deleted,
    }
    hold.finish("finished", f"{provider_record.ending(detail)} {deleted['files_told']}", detail)


def _prepared(directory: Path, hold: Evidence, spec: Mapping[str, Any]) -> _Run:
    """The run of a spec, where it stands now."""
    settings = Provider.from_dict(spec.get("settings", {}))
    endpoint = Endpoint.from_dict(settings.endpoint, spec["endpoint"])
    if endpoint.tuning is None:
        raise BadInput(f"Endpoint {endpoint.name} tunes no models. Launch the run again.")
    rows = read_rows(directory / spec["rows_path"], spec["rows_sha256"])
    refuse_tested(rows, spec.get("tested_sha256", ()))
    remote_run = remote.read(directory) or RemoteRun(endpoint.name, directory.name)
    train = sum(row.split == Split.TRAIN for row in rows)
    total = settings.epochs * -(-train // (settings.batch_size or 1))
    run = _Run(directory, hold, settings, endpoint, endpoint.tuning, remote_run, rows, total)
    for event in evidence.every_event(directory):  # of the run that this one goes on from
        _note(run, int(event.get("step", 0)), event.get("loss"), event.get("eval_loss"))
    return run


def _note(run: _Run, step: int, loss: float | None, checked: float | None) -> None:
    if loss is not None:
        run.losses.append({"step": step, "loss": loss})
    if checked is not None:
        run.checked.append({"step": step, "loss": checked})


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


def _submitted(run: _Run, api: FineTuning, system: str) -> RemoteJob:
    """The job at the endpoint: the one that is there, or a new one."""
    remote_run, hold = run.remote, run.hold
    _refuse_cancelled(hold)
    if remote_run.job is not None:
        hold.say(f"Taking up job {remote_run.job} at endpoint {remote_run.endpoint} again.")
        return api.job(remote_run.job)
    run.save()
    hold.say(f"Sending {len(run.rows)} rows to endpoint {remote_run.endpoint}.")
    files = chat_files(run.rows, system)
    remote_run.training_file = remote_run.training_file or api.upload(
        remote_run.name(Split.TRAIN), files[Split.TRAIN]
    )
    run.save()
    if Split.VALIDATION in files:
        remote_run.validation_file = remote_run.validation_file or api.upload(
            remote_run.name(Split.VALIDATION), files[Split.VALIDATION]
        )
        run.save()
    _refuse_cancelled(hold)
    job = api.create(body(run.settings, remote_run))
    remote_run.job, remote_run.status = job.id, job.status
    run.save()
    hold.say(f"Endpoint {remote_run.endpoint} has the run as job {job.id}.")
    return job


def _refuse_cancelled(hold: Evidence) -> None:
    """Begin nothing that would be paid for once it is no longer wanted."""
    if hold.cancel_requested():
        raise Cancelled


def chat_files(rows: Sequence[Row], system: str) -> dict[Split, bytes]:
    """The rows as the endpoint reads them: the chat layout in which versions are exported, a file a
    split; a split without rows has none.
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


def body(settings: Provider, remote_run: RemoteRun) -> dict[str, Any]:
    """What `POST /fine_tuning/jobs` is sent: the published shape, what is left empty left out."""
    chosen = {
        "n_epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "learning_rate_multiplier": settings.learning_rate_multiplier,
    }
    hyperparameters = {name: value for name, value in chosen.items() if value is not None}
    optional = {"validation_file": remote_run.validation_file, "suffix": settings.suffix or None}
    return {
        "model": settings.model,
        "training_file": remote_run.training_file,
        **{name: value for name, value in optional.items() if value is not None},
        "seed": settings.seed,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
        "metadata": {"assay_run": remote_run.key},
    }


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
        _note(run, figures.step, figures.loss, figures.validation_loss)
        run.remote.step = figures.step
    if measurements:
        run.save()
    return bool(measurements)


def _refusal(run: _Run, error: NoAnswer) -> str:
    """Why the run ends without an answer, and what is left there; where the endpoint refused it
    before it began, nothing is.
    """
    reason = endpoint_words.refusal(error, run.rows)
    if error.status not in _FINAL or _may_have_job(run):
        return f"{reason}{remote.left(run.directory)}"
    run.remote.status = "failed"
    run.save()
    return f"{reason} {_deleted(run)['files_told']}"


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


def _cancelled(run: _Run) -> tuple[str, dict[str, Any]]:
    """Pass a cancel on; returns what is to be told and kept."""
    remote_run = run.remote
    outcome = f"Cancelled before endpoint {remote_run.endpoint} had the run."
    try:
        with _ending(run) as api:
            _look_for_lost(remote_run, api)
            if remote_run.job is not None:
                remote_run.status = api.cancel(remote_run.job).status
                outcome = (
                    f"Cancelled at endpoint {remote_run.endpoint} (it says: {remote_run.status})."
                )
    except NoAnswer:
        job = remote_run.job or f"of files named assay-{remote_run.key[:8]}"
        outcome = (
            f"Cancelled here, but endpoint {remote_run.endpoint} did not confirm it: look there "
            f"for job {job}, and cancel it."
        )
    run.save()
    deleted = _deleted(run)
    return f"{outcome} Nothing was kept. {deleted['files_told']}", {
        "remote_job": remote_run.job,
        **deleted,
    }


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


def _deleted(run: _Run) -> dict[str, Any]:
    """Delete the uploaded files; what came of it, for the record."""
    gone: list[str] = []
    try:
        with _ending(run) as api:
            gone = [file_id for file_id in run.remote.files if api.delete(file_id)]
    except NoAnswer:
        pass
    left = [file_id for file_id in run.remote.files if file_id not in gone]
    sentence = "No file was uploaded."
    if left:
        sentence = f"The endpoint did not delete {', '.join(left)}: delete them there."
    elif gone:
        sentence = "The uploaded files were deleted there."
    return {"files_deleted": gone, "files_left": left, "files_told": sentence}


def _course(run: _Run) -> dict[str, Any]:
    """How the run went, as its record says it."""
    counted = {split.value: sum(row.split == split for row in run.rows) for split in Split}
    return {
        "rows": {"train": counted["train"], "validation": counted["validation"]},
        "steps": run.remote.step,
        "first_train_loss": run.losses[0]["loss"] if run.losses else None,
        "train_loss": run.losses[-1]["loss"] if run.losses else None,
        "validation_loss": min((point["loss"] for point in run.checked), default=None),
        "validation_curve": run.checked,
    }
