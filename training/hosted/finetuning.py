"""The published shapes of fine-tuning at an OpenAI-compatible endpoint: files, jobs, events.

Written to OpenAI's reference of /files and /fine_tuning/jobs with the method "supervised". What an
endpoint adds is ignored; what it leaves out of the optional parts (lists, checkpoints) is done
without, and so is a value of another kind than the published one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from training.hosted.calls import AGAIN, Calls, EndpointError, NoAnswer, error_of, pause

_ID = re.compile(r"[\w:-]{1,128}")
_MODEL = re.compile(r"[\w.:@/-]{1,256}")
_WORD = re.compile(r"[a-z_]{1,40}")
_TRIES = 4
_MISSING = frozenset({404, 405, 501})
_TWICE_IS_SAFE = frozenset({429})
"""After any other failure the first request may have been heard, so look before asking again."""
_JOBS = "/fine_tuning/jobs"
_PAGE = 100
_MAX_NUMBER = 1e30
_MAX_PAGES = 50
T = TypeVar("T")


class Hyperparameters(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a new job is told of the training; the endpoint chooses what is left out."""

    n_epochs: int
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None


class JobRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `POST /fine_tuning/jobs` is sent."""

    model: str
    training_file: str
    validation_file: str | None = None
    suffix: str | None = None
    seed: int
    method: dict[str, object]
    metadata: dict[str, str]


def supervised(hyperparameters: Hyperparameters) -> dict[str, object]:
    """The method of a new job that trains on answers."""
    return {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}


class _Job(msgspec.Struct):
    id: object = None
    status: object = None
    fine_tuned_model: object = None
    trained_tokens: object = None
    training_file: object = None
    error: object = None


class _File(msgspec.Struct):
    id: object = None
    filename: object = None


class _Page(msgspec.Struct):
    data: object = None
    has_more: object = None


class _Event(msgspec.Struct):
    id: object = None
    data: object = None


class _Metrics(msgspec.Struct):
    step: object = None
    total_steps: object = None
    train_loss: object = None
    full_valid_loss: object = None


class _Checkpoint(msgspec.Struct):
    step_number: object = None
    fine_tuned_model_checkpoint: object = None
    metrics: object = None


class _Deletion(msgspec.Struct):
    deleted: object = None


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """A job as its endpoint tells of it."""

    id: str
    status: str
    model: str | None
    """The tuned model, once there is one."""
    trained_tokens: int | None
    error: EndpointError
    """What it failed with; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What an endpoint measured at one step; None for what it did not, or what is not finite."""

    step: int
    total: int | None
    loss: float | None
    validation_loss: float | None
    """Over all validation pairs."""


@dataclass(frozen=True, slots=True)
class RemoteCheckpoint:
    """A model that an endpoint kept on the way."""

    step: int | None
    model: str
    validation_loss: float | None


@dataclass(frozen=True, slots=True)
class FineTuning:
    """Fine-tuning at one endpoint."""

    calls: Calls
    wait: float = 1.0
    """Seconds before a request that may not have been heard is made again; doubled each time."""
    should_stop: Callable[[], bool] = lambda: False

    def upload(self, name: str, content: bytes) -> str:
        """The id of a file of that name, sent unless it is there already."""

        def send() -> str:
            form = {"purpose": "fine-tune"}
            files = {"file": (name, content, "application/jsonl")}
            file = self.calls.ask("POST", "/files", _File, _TWICE_IS_SAFE, data=form, files=files)
            return self._id("/files", file.id)

        return self._once(lambda: self.find_file(name), send)

    def find_file(self, name: str) -> str | None:
        """The id of a file of that name; None where there is none, or none can be listed."""
        for file in self._listed("/files", _File, purpose="fine-tune", limit=1000, order="desc"):
            if file.filename == name:
                return self._id("/files", file.id)
        return None

    def create(self, request: JobRequest) -> RemoteJob:
        """The job on a training file, begun unless it is there already."""

        def begin() -> RemoteJob:
            return self._job(self.calls.post(_JOBS, request, _Job, _TWICE_IS_SAFE))

        return self._once(lambda: self.find(request.training_file), begin)

    def find(self, training_file: str) -> RemoteJob | None:
        """The newest job on a training file; None where there is none, or none can be listed."""
        for job in self._listed(_JOBS, _Job, limit=_PAGE):
            if job.training_file == training_file:
                return self._job(job)
        return None

    def job(self, job_id: str) -> RemoteJob:
        """A job as it is now."""
        return self._job(self.calls.get(f"{_JOBS}/{job_id}", _Job))

    def cancel(self, job_id: str) -> RemoteJob:
        """Ask for a job to end."""
        return self._job(self.calls.post(f"{_JOBS}/{job_id}/cancel", {}, _Job))

    def figures(self, job_id: str, after: int) -> list[Figures]:
        """What was measured after a step, in order. Events come newest first, a page at a time."""
        by_step: dict[int, Figures] = {}
        query: dict[str, str | int] = {"limit": _PAGE}
        for _ in range(_MAX_PAGES):
            page = self.calls.get(f"{_JOBS}/{job_id}/events", _Page, **query)
            events = _objects(page.data, _Event)
            measured = [figures for event in events if (figures := _figures(event)) is not None]
            by_step |= {figures.step: figures for figures in measured if figures.step > after}
            reached = any(figures.step <= after for figures in measured)
            last = events[-1].id if events else None
            if reached or page.has_more is not True or last in (None, query.get("after")):
                break
            query["after"] = str(last)
        return [by_step[step] for step in sorted(by_step)]

    def checkpoints(self, job_id: str) -> list[RemoteCheckpoint]:
        """The models that the endpoint kept on the way; empty where it keeps or tells none."""
        path = f"{_JOBS}/{job_id}/checkpoints"
        return [_checkpoint(entry) for entry in self._listed(path, _Checkpoint, limit=_PAGE)]

    def delete(self, file_id: str) -> bool:
        """Whether a file is gone from the endpoint."""
        try:
            return self.calls.ask("DELETE", f"/files/{file_id}", _Deletion).deleted is True
        except NoAnswer as error:
            return error.status == 404

    def _listed(self, path: str, shape: type[T], **query: str | int) -> list[T]:
        """A list; empty where the endpoint has none of that kind."""
        try:
            return _objects(self.calls.get(path, _Page, **query).data, shape)
        except NoAnswer as error:
            if error.status in _MISSING:
                return []
            raise

    def _once(self, find: Callable[[], T | None], make: Callable[[], T]) -> T:
        """What is there already, else what is made; after a failure looked for again before the
        next try, as the answer may have been lost and not the request.
        """
        for attempt in range(_TRIES):
            existing = find()
            if existing is not None:
                return existing
            try:
                return make()
            except NoAnswer as error:
                if attempt + 1 == _TRIES or error.status not in AGAIN | {0}:
                    raise
            pause(self.wait * 2**attempt, self.should_stop)
        raise AssertionError("the last try returns or raises")

    def _job(self, job: _Job) -> RemoteJob:
        model, tokens = job.fine_tuned_model, job.trained_tokens
        if not isinstance(job.status, str) or not _WORD.fullmatch(job.status):
            raise self.calls.malformed(_JOBS)
        return RemoteJob(
            self._id(_JOBS, job.id),
            job.status,
            model if isinstance(model, str) and _MODEL.fullmatch(model) else None,
            tokens if isinstance(tokens, int) else None,
            error_of(job.error),
        )

    def _id(self, path: str, value: object) -> str:
        if not isinstance(value, str) or not _ID.fullmatch(value):
            raise self.calls.malformed(path)
        return value


def _objects(value: object, shape: type[T]) -> list[T]:
    """The objects of a list; empty where it is none."""
    entries = value if isinstance(value, list) else []
    return [msgspec.convert(entry, shape) for entry in entries if isinstance(entry, dict)]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _MAX_NUMBER else None  # not so for NaN


def _metrics(value: object) -> _Metrics:
    return msgspec.convert(value, _Metrics) if isinstance(value, dict) else _Metrics()


def _figures(event: _Event) -> Figures | None:
    """The figures of an event of the type "metrics"; None for any other."""
    metrics = _metrics(event.data)
    step, total = metrics.step, metrics.total_steps
    if not isinstance(step, int) or not 0 < step < 1 << 31:
        return None
    return Figures(
        step,
        total if isinstance(total, int) and total >= step else None,
        _number(metrics.train_loss),
        _number(metrics.full_valid_loss),
    )


def _checkpoint(entry: _Checkpoint) -> RemoteCheckpoint:
    step = entry.step_number
    return RemoteCheckpoint(
        step if isinstance(step, int) else None,
        str(entry.fine_tuned_model_checkpoint)[:256],
        _number(_metrics(entry.metrics).full_valid_loss),
    )
