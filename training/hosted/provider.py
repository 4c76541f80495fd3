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
from training.hosted.remote import Remote
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
_LAST_WORDS = httpx.Timeout(4.0)
"""A cancelled process has ten seconds before it is killed."""
_WORDS = {
    "validating_files": "The endpoint looks through the files.",
    "queued": "The run waits in the endpoint's queue.",
    "running": "The endpoint trains.",
    "paused": "The endpoint paused the run.",
}


@dataclass(slots=True)
class _Run:
    """One run, from its first file to its last word."""

    directory: Path
    held: Evidence
    settings: Provider
    endpoint: Endpoint
    offer: TuningOffer
    known: Remote
    rows: Sequence[Row]
    total: int
    """Steps, guessed until the endpoint says."""
    losses: list[dict[str, float]] = field(default_factory=list)
    checked: list[dict[str, float]] = field(default_factory=list)

    def save(self) -> None:
        self.known.save(self.directory)


def main(directory: Path, held: Evidence) -> None:
    """Tune as `spec.json` says, show progress in `events.jsonl`, leave `result.json`.

    Raises:
        AssayError: the rows are refused, or the endpoint gives no answer or refuses them.
    """
    began = time.monotonic()
    spec = evidence.read_json(directory / "spec.json") or {}
    run = _run(directory, held, spec)
    try:
        with _terminable(held), _asking(run) as api:
            job = _followed(run, api, _begun(run, api, spec["system_message"]))
            kept = api.checkpoints(job.id) if job.status == "succeeded" else []
    except Cancelled:
        held.finish("cancelled", *_cancelled(run))
        return
    except NoAnswer as error:
        raise Unavailable(
            f"{endpoint_words.refusal(error, run.rows)}{remote.left(directory)}"
        ) from error
    deleted = _deleted(run)
    if job.status != "succeeded" or job.model is None:
        state = "cancelled" if job.status == "cancelled" else "failed"
        why = endpoint_words.failure(run.endpoint.name, job, run.rows)
        held.finish(state, f"{why} {deleted['files_told']}", deleted)
        return
    detail = {
        **provider_record.made(spec, job, run.known, _course(run)),
        "checkpoints": kept,
        "seconds": round(time.monotonic() - began, 1),
        **deleted,
    }
    held.finish("finished", f"{provider_record.ending(detail)} {deleted['files_told']}", detail)


def _run(directory: Path, held: Evidence, spec: Mapping[str, Any]) -> _Run:
    """The run of a spec, where it stands now."""
    settings = Provider.from_dict(spec.get("settings", {}))
    endpoint = Endpoint.from_dict(settings.endpoint, spec["endpoint"])
    if endpoint.tuning is None:
        raise BadInput(f"Endpoint {endpoint.name} tunes no models. Launch the run again.")
    rows = read_rows(directory / spec["rows_path"], spec["rows_sha256"])
    refuse_tested(rows, spec.get("tested_sha256", ()))
    known = remote.read(directory) or Remote(endpoint.name, directory.name)
    train = sum(row.split == Split.TRAIN for row in rows)
    total = settings.epochs * -(-train // (settings.batch_size or 1))
    run = _Run(directory, held, settings, endpoint, endpoint.tuning, known, rows, total)
    for event in evidence.every_event(directory):  # of the run that this one goes on from
        _note(run, int(event.get("step", 0)), event.get("loss"), event.get("eval_loss"))
    return run


def _note(run: _Run, step: int, loss: float | None, checked: float | None) -> None:
    if loss is not None:
        run.losses.append({"step": step, "loss": loss})
    if checked is not None:
        run.checked.append({"step": step, "loss": checked})


@contextmanager
def _terminable(held: Evidence) -> Iterator[None]:
    """Take a termination that follows a cancel for the cancel itself, so that it is passed on; any
    other ends the process, and the run can be taken up again.
    """

    def stop(number: int, _frame: object) -> None:
        if held.cancel_requested():
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
def _asking(run: _Run) -> Iterator[FineTuning]:
    """The endpoint, asked until the run is cancelled."""
    stop, wait = run.held.cancel_requested, min(1.0, run.offer.poll_seconds)
    with Calls(run.endpoint, tries=5, pause=wait, should_stop=stop) as asked:
        yield FineTuning(asked, wait, stop)


def _begun(run: _Run, api: FineTuning, system: str) -> RemoteJob:
    """The job at the endpoint: the one that is there, or a new one."""
    known, held = run.known, run.held
    _heed(held)
    if known.job is not None:
        held.say(f"Taking up job {known.job} at endpoint {known.endpoint} again.")
        return api.job(known.job)
    run.save()
    held.say(f"Sending {len(run.rows)} rows to endpoint {known.endpoint}.")
    files = chat_files(run.rows, system)
    known.training_file = known.training_file or api.upload(
        known.name(Split.TRAIN), files[Split.TRAIN]
    )
    run.save()
    if Split.VALIDATION in files:
        known.validation_file = known.validation_file or api.upload(
            known.name(Split.VALIDATION), files[Split.VALIDATION]
        )
        run.save()
    _heed(held)
    job = api.create(body(run.settings, known))
    known.job, known.status = job.id, job.status
    run.save()
    held.say(f"Endpoint {known.endpoint} has the run as job {job.id}.")
    return job


def _heed(held: Evidence) -> None:
    """Begin nothing that would be paid for once it is no longer wanted."""
    if held.cancel_requested():
        raise Cancelled


def chat_files(rows: Sequence[Row], system: str) -> dict[Split, bytes]:
    """The rows as the endpoint reads them: the chat layout in which versions are exported, a file a
    split; a split without rows has none.
    """
    parts = {
        split: [ExportRow(r.pair_id, "", r.prompt, r.response) for r in rows if r.split == split]
        for split in (Split.TRAIN, Split.VALIDATION)
    }
    made = CHAT.write(parts, system)
    return {Split(split): made.files[name] for name, split in made.data.items() if made.files[name]}


def body(settings: Provider, known: Remote) -> dict[str, Any]:
    """What `POST /fine_tuning/jobs` is sent: the published shape, what is left empty left out."""
    chosen = {
        "n_epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "learning_rate_multiplier": settings.learning_rate_multiplier,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    optional = {"validation_file": known.validation_file, "suffix": settings.suffix or None}
    return {
        "model": settings.model,
        "training_file": known.training_file,
        **{name: value for name, value in optional.items() if value is not None},
        "seed": settings.seed,
        "method": {"type": "supervised", "supervised": {"hyperparameters": given}},
        "metadata": {"assay_run": known.key},
    }


def _followed(run: _Run, api: FineTuning, job: RemoteJob) -> RemoteJob:
    """The job once it has ended; asked for less often while nothing changes."""
    usual = wait = run.offer.poll_seconds
    answered = time.monotonic()
    shown: str | None = None
    while True:
        try:
            job = api.job(job.id)
            moved = _measured(run, api, job.id)
            answered = time.monotonic()
        except NoAnswer as error:
            if error.status in _FINAL or time.monotonic() - answered > _GIVE_UP_SECONDS:
                raise
            run.held.say("The endpoint gives no answer; it is asked again.")
            moved, shown = False, None
        if job.status != shown:
            shown, moved = _show(run, job), True
        if job.status in remote.ENDED:
            return job
        wait = usual if moved else min(wait * 1.5, _SLOWEST * usual)
        run.held.moved()
        calls.pause(wait, run.held.cancel_requested)


def _show(run: _Run, job: RemoteJob) -> str:
    """Note a new state on the disk and for those who watch; returns it."""
    run.known.status = job.status
    run.save()
    run.held.say(_WORDS.get(job.status, f"The endpoint says: {job.status.replace('_', ' ')}."))
    return job.status


def _measured(run: _Run, api: FineTuning, job_id: str) -> bool:
    """Take over what the endpoint measured since; whether there was anything."""
    found = api.figures(job_id, run.known.step)
    for one in found:
        run.total = one.total or max(run.total, one.step)
        if one.loss is not None:
            run.held.progress(one.step, run.total, loss=one.loss)
        if one.validation_loss is not None:
            run.held.progress(one.step, run.total, eval_loss=one.validation_loss)
        _note(run, one.step, one.loss, one.validation_loss)
        run.known.step = one.step
    if found:
        run.save()
    return bool(found)


def _given_up(run: _Run, error: NoAnswer) -> str:
    """Why the run ends without an answer, and what is left there; where the endpoint refused it
    before it began, nothing is.
    """
    told = endpoint_words.refusal(error, run.rows)
    if run.known.job is not None or error.status not in _FINAL:
        return f"{told}{remote.left(run.directory)}"
    run.known.status = "failed"
    run.save()
    return f"{told} {_deleted(run)['files_told']}"


def _cancelled(run: _Run) -> tuple[str, dict[str, Any]]:
    """Pass a cancel on; returns what is to be told and kept."""
    known = run.known
    told = f"Cancelled before endpoint {known.endpoint} had the run."
    try:
        with Calls(run.endpoint, tries=2, pause=0.2, seconds=_LAST_WORDS) as asked:
            api = FineTuning(asked)
            _found(known, api)
            if known.job is not None:
                known.status = api.cancel(known.job).status
                told = f"Cancelled at endpoint {known.endpoint} (it says: {known.status})."
    except NoAnswer:
        told = (
            f"Cancelled here, but endpoint {known.endpoint} did not confirm it: look there for job "
            f"{known.job or 'of files named assay-' + known.key[:8]}, and cancel it."
        )
    run.save()
    deleted = _deleted(run)
    return f"{told} Nothing was kept. {deleted['files_told']}", {"remote_job": known.job, **deleted}


def _found(known: Remote, api: FineTuning) -> None:
    """What lies at the endpoint though its answer never came here."""
    known.training_file = known.training_file or api.find_file(known.name(Split.TRAIN))
    known.validation_file = known.validation_file or api.find_file(known.name(Split.VALIDATION))
    if known.job is None and known.training_file is not None:
        job = api.find(known.training_file)
        known.job = job.id if job else None


def _deleted(run: _Run) -> dict[str, Any]:
    """Delete the uploaded files; what came of it, for the record."""
    gone: list[str] = []
    try:
        with Calls(run.endpoint, tries=2, pause=0.2, seconds=_LAST_WORDS) as asked:
            api = FineTuning(asked)
            gone = [one for one in run.known.files if api.delete(one)]
    except NoAnswer:
        pass
    kept = [one for one in run.known.files if one not in gone]
    told = "No file was uploaded."
    if kept:
        told = f"The endpoint did not delete {', '.join(kept)}: delete them there."
    elif gone:
        told = "The uploaded files were deleted there."
    return {"files_deleted": gone, "files_left": kept, "files_told": told}


def _course(run: _Run) -> dict[str, Any]:
    """How the run went, as its record says it."""
    counted = {split.value: sum(row.split == split for row in run.rows) for split in Split}
    return {
        "rows": {"train": counted["train"], "validation": counted["validation"]},
        "steps": run.known.step,
        "first_train_loss": run.losses[0]["loss"] if run.losses else None,
        "train_loss": run.losses[-1]["loss"] if run.losses else None,
        "validation_loss": min((point["loss"] for point in run.checked), default=None),
        "validation_curve": run.checked,
    }
