"""The published shapes of fine-tuning at an OpenAI-compatible endpoint: files, jobs, events.

Written to OpenAI's reference of /files and /fine_tuning/jobs with the method "supervised". What an
endpoint adds is ignored; what it leaves out of the optional parts (lists, checkpoints) is done
without.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from training.hosted.calls import AGAIN, Calls, NoAnswer, pause

_ID = re.compile(r"[\w:-]{1,128}")
_MODEL = re.compile(r"[\w.:@/-]{1,256}")
_WORD = re.compile(r"[a-z_]{1,40}")
_TRIES = 4
_MISSING = frozenset({404, 405, 501})
_TWICE_IS_SAFE = frozenset({429})
"""After any other failure the first request may have been heard, so look before asking again."""
_JOBS = "/fine_tuning/jobs"
_PAGE = 100
_MOST = 1e30
_MOST_PAGES = 50
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """A job as its endpoint tells of it."""

    id: str
    status: str
    model: str | None
    """The tuned model, once there is one."""
    trained_tokens: int | None
    code: str
    """Of the error it failed with; empty otherwise."""
    message: str
    """The endpoint's own words on it, which may quote rows."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What an endpoint measured at one step; None for what it did not, or what is not finite."""

    step: int
    total: int | None
    loss: float | None
    validation_loss: float | None
    """Over all validation rows."""


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
            return self._id("/files", self._send(name, content))

        return self._once(lambda: self.find_file(name), send)

    def find_file(self, name: str) -> str | None:
        """The id of a file of that name; None where there is none, or none can be listed."""
        for one in self._listed("/files", purpose="fine-tune", limit=1000, order="desc"):
            if one.get("filename") == name:
                return self._id("/files", one)
        return None

    def create(self, body: dict[str, Any]) -> RemoteJob:
        """The job on a training file, begun unless it is there already."""

        def begin() -> RemoteJob:
            return self._job(self.calls.post(_JOBS, body, again=_TWICE_IS_SAFE))

        return self._once(lambda: self.find(body["training_file"]), begin)

    def find(self, training_file: str) -> RemoteJob | None:
        """The newest job on a training file; None where there is none, or none can be listed."""
        for one in self._listed(_JOBS, limit=_PAGE):
            if one.get("training_file") == training_file:
                return self._job(one)
        return None

    def job(self, job_id: str) -> RemoteJob:
        """A job as it is now."""
        return self._job(self.calls.get(f"{_JOBS}/{job_id}"))

    def cancel(self, job_id: str) -> RemoteJob:
        """Ask for a job to end."""
        return self._job(self.calls.post(f"{_JOBS}/{job_id}/cancel", {}))

    def figures(self, job_id: str, after: int) -> list[Figures]:
        """What was measured after a step, in order. Events come newest first, a page at a time."""
        found: dict[int, Figures] = {}
        query: dict[str, str | int] = {"limit": _PAGE}
        for _ in range(_MOST_PAGES):
            said = self.calls.get(f"{_JOBS}/{job_id}/events", **query)
            events = _objects(said.get("data"))
            measured = [one for event in events if (one := _figures(event)) is not None]
            found |= {one.step: one for one in measured if one.step > after}
            reached = any(one.step <= after for one in measured)
            last = events[-1].get("id") if events else None
            if reached or said.get("has_more") is not True or last in (None, query.get("after")):
                break
            query["after"] = str(last)
        return [found[step] for step in sorted(found)]

    def checkpoints(self, job_id: str) -> list[dict[str, Any]]:
        """The models that the endpoint kept on the way; empty where it keeps or tells none."""
        kept = self._listed(f"{_JOBS}/{job_id}/checkpoints", limit=_PAGE)
        return [
            {
                "step": one.get("step_number"),
                "model": str(one.get("fine_tuned_model_checkpoint"))[:256],
                "validation_loss": _number(_of(one.get("metrics")).get("full_valid_loss")),
            }
            for one in kept
        ]

    def delete(self, file_id: str) -> bool:
        """Whether a file is gone from the endpoint."""
        try:
            return self.calls.ask("DELETE", f"/files/{file_id}").get("deleted") is True
        except NoAnswer as error:
            return error.status == 404

    def _send(self, name: str, content: bytes) -> dict[str, Any]:
        form = {"purpose": "fine-tune"}
        files = {"file": (name, content, "application/jsonl")}
        return self.calls.ask("POST", "/files", again=_TWICE_IS_SAFE, data=form, files=files)

    def _listed(self, path: str, **query: str | int) -> list[dict[str, Any]]:
        """A list; empty where the endpoint has none of that kind."""
        try:
            return _objects(self.calls.get(path, **query).get("data"))
        except NoAnswer as error:
            if error.status in _MISSING:
                return []
            raise

    def _once(self, find: Callable[[], T | None], make: Callable[[], T]) -> T:
        """What is found, else what is made; after a failure looked for again before the next try,
        as the answer may have been lost and not the request.
        """
        for attempt in range(_TRIES):
            found = find()
            if found is not None:
                return found
            try:
                return make()
            except NoAnswer as error:
                if attempt + 1 == _TRIES or error.status not in AGAIN | {0}:
                    raise
            pause(self.wait * 2**attempt, self.should_stop)
        raise AssertionError("the last try returns or raises")

    def _job(self, said: dict[str, Any]) -> RemoteJob:
        status, model = said.get("status"), said.get("fine_tuned_model")
        tokens, wrong = said.get("trained_tokens"), _of(said.get("error"))
        if not isinstance(status, str) or not _WORD.fullmatch(status):
            raise self.calls.malformed(_JOBS)
        return RemoteJob(
            self._id(_JOBS, said),
            status,
            model if isinstance(model, str) and _MODEL.fullmatch(model) else None,
            tokens if isinstance(tokens, int) else None,
            code_of(wrong),
            str(wrong.get("message") or ""),
        )

    def _id(self, path: str, said: dict[str, Any]) -> str:
        found = said.get("id")
        if not isinstance(found, str) or not _ID.fullmatch(found):
            raise self.calls.malformed(path)
        return found


def code_of(wrong: dict[str, Any]) -> str:
    """The code of a published error object; empty where it is no plain word."""
    code = wrong.get("code")
    return code if isinstance(code, str) and _WORD.fullmatch(code) else ""


def _of(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _MOST else None  # not so for NaN


def _figures(event: dict[str, Any]) -> Figures | None:
    """The figures of an event of the type "metrics"; None for any other."""
    data = _of(event.get("data"))
    step, total = data.get("step"), data.get("total_steps")
    if not isinstance(step, int) or not 0 < step < 1 << 31:
        return None
    whole = total if isinstance(total, int) and total >= step else None
    checked = _number(data.get("full_valid_loss"))
    return Figures(step, whole, _number(data.get("train_loss")), checked)
