"""What is done at an endpoint when a run ends: pass a cancel on, say what goes on there, delete the
uploaded files. What it cannot: make the endpoint forget.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import msgspec

from storage.types import Split
from training.hosted import reasons, remote
from training.hosted.calls import Calls, NoAnswer
from training.hosted.finetuning import FineTuning
from training.hosted.provider_record import Cleanup
from training.hosted.remote import RemoteRun
from training.hosted.run import HostedRun

FINAL_STATUSES = frozenset({400, 401, 403, 404, 422})
"""Answers that will be the same when asked again."""
_ENDING_TIMEOUT = httpx.Timeout(4.0)
"""A cancelled process has ten seconds before it is killed."""


@contextmanager
def _ending(run: HostedRun) -> Iterator[FineTuning]:
    """The endpoint, asked in haste: what a process does there before it ends."""
    with Calls(run.endpoint, tries=2, pause=0.2, seconds=_ENDING_TIMEOUT) as connection:
        yield FineTuning(connection)


def refusal(run: HostedRun, error: NoAnswer) -> str:
    """Why the run ends without an answer, and what is left there; where the endpoint refused it
    before it began, nothing is.
    """
    reason = reasons.refusal(error, run.rows)
    if error.status not in FINAL_STATUSES or _may_have_job(run):
        return f"{reason}{remote.left(run.directory)}"
    run.remote.status = "failed"
    run.save()
    return f"{reason} {cleaned(run).sentence}"


def _may_have_job(run: HostedRun) -> bool:
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


def cancel(run: HostedRun) -> None:
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
    cleanup = cleaned(run)
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


def cleaned(run: HostedRun) -> Cleanup:
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
