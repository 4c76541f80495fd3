"""A real HTTP server with the published shapes of files, fine-tuning jobs and chat completions.

It keeps what it was sent and trains nothing: each question about a job moves it one step on.
"""

import json
import re
import threading
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

KEY = "sk-never-in-a-log-4711"
Answer = tuple[int, bytes, dict[str, str]]
Upset = Callable[[str, str, int], Answer | None]
"""From method, path and how often that was asked to an answer instead of the usual one."""
STATES = ("validating_files", "queued", "running", "running", "succeeded")


class TuningServer:
    """Answers like an endpoint that tunes; `states` are what a job goes through, one a question."""

    def __init__(self, states: tuple[str, ...] = STATES, steps: int = 6) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, list[dict[str, Any]]] = {}
        self.deleted: list[str] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.keys: set[str] = set()
        self.chats: list[dict[str, Any]] = []
        self.steps, self.states = steps, states
        self.error: dict[str, str] | None = None
        self.upset: Upset = lambda _method, _path, _number: None
        self.reached = threading.Event()
        """Set once a job stands in the last state but one."""
        self._lock = threading.Lock()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """End it."""
        self.http.shutdown()
        self.http.server_close()

    def configured(self, path: Path, poll: float = 0.01) -> Path:
        """The server's configuration that names this endpoint `house`."""
        path.write_text(
            f'[house]\nurl = "{self.url}"\nmodel = "small-1"\napi_key_env = "HOUSE_KEY"\n'
            f'[house.tuning]\nmodels = ["small-1"]\nprice = 3.0\npoll_seconds = {poll}\n'
        )
        return path

    def endpoint(self, poll: float = 0.01) -> dict[str, Any]:
        """The same as a job's spec has it."""
        offer = {"models": ["small-1"], "price": 3.0, "poll_seconds": poll}
        return {
            "name": "house",
            "url": self.url,
            "model": "small-1",
            "api_key_env": "HOUSE_KEY",
            "tuning": offer,
        }

    def count(self, method: str, path: str) -> int:
        """How often a path was asked."""
        return sum(file == (method, path) for file in self.asked)

    def answer(
        self, method: str, path: str, query: dict[str, str], raw: bytes, kind: str
    ) -> Answer:
        """The answer to one question."""
        with self._lock:
            self.asked.append((method, path))
            upset = self.upset(method, path, self.count(method, path))
            return upset or self._usual(method, path, query, raw, kind)

    def _usual(
        self, method: str, path: str, query: dict[str, str], raw: bytes, kind: str
    ) -> Answer:
        job = re.fullmatch(r"/fine_tuning/jobs/([\w-]+)(/\w+)?", path)
        if path == "/files":
            return self._upload(raw, kind) if method == "POST" else listed(self.files)
        if path.startswith("/files/"):
            return self._delete(path.rpartition("/")[2])
        if path == "/fine_tuning/jobs":
            return self._create(raw) if method == "POST" else listed(self.jobs)
        if path == "/chat/completions":
            return self._chat(json.loads(raw))
        if job and job[1] in self.jobs:
            return self._job(method, self.jobs[job[1]], job[2], query)
        return 404, b'{"error": {"message": "not there", "code": "not_found"}}', {}

    def _upload(self, raw: bytes, kind: str) -> Answer:
        parts = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw)
        form: dict[str, Any] = {}
        for part in cast("list[Message]", parts.get_payload()):
            name = part.get_param("name", header="content-disposition")
            form[str(name)] = part.get_payload(decode=True)
            form[f"{name}-name"] = part.get_filename()
        assert form["purpose"] == b"fine-tune"
        file = {
            "id": f"file-{len(self.files) + len(self.deleted) + 1}",
            "object": "file",
            "bytes": len(form["file"]),
            "filename": form["file-name"],
            "purpose": "fine-tune",
        }
        self.files[file["id"]] = file
        self.contents[file["id"]] = [json.loads(line) for line in form["file"].splitlines()]
        return answered(file)

    def _delete(self, file_id: str) -> Answer:
        self.files.pop(file_id, None)
        self.deleted.append(file_id)
        return answered({"id": file_id, "object": "file", "deleted": True})

    def _create(self, raw: bytes) -> Answer:
        body = json.loads(raw)
        job = {
            "object": "fine_tuning.job",
            "id": f"ftjob-{len(self.jobs) + 1}",
            "status": self.states[0],
            "fine_tuned_model": None,
            "trained_tokens": None,
            "error": None,
            **body,
        }
        self.jobs[job["id"]] = {**job, "_at": 0}
        return answered(job)

    def _job(
        self, method: str, job: dict[str, Any], part: str | None, query: dict[str, str]
    ) -> Answer:
        if part == "/cancel" and method == "POST":
            job["status"] = "cancelled"
        elif part == "/events":
            return self._events(job, query)
        elif part == "/checkpoints":
            checkpoint = {
                "id": "ftckpt-1",
                "step_number": 3,
                "metrics": {"full_valid_loss": 0.7},
                "fine_tuned_model_checkpoint": "ft:small-1:ckpt-step-3",
            }
            return listed({"ftckpt-1": checkpoint})
        elif job["status"] not in ("cancelled", "failed", "succeeded"):
            self._move(job)
        return answered({key: value for key, value in job.items() if not key.startswith("_")})

    def _move(self, job: dict[str, Any]) -> None:
        job["_at"] = min(job["_at"] + 1, len(self.states) - 1)
        job["status"] = self.states[job["_at"]]
        if job["_at"] >= len(self.states) - 2:
            self.reached.set()
        if job["status"] == "succeeded":
            job["fine_tuned_model"] = "ft:small-1:house::abc123"
            job["trained_tokens"] = 2_000_000
        if job["status"] == "failed":
            job["error"] = self.error

    def _events(self, job: dict[str, Any], query: dict[str, str]) -> Answer:
        """Newest first, three a page, in which `after` names the last one seen."""
        done = job["status"] == "succeeded"
        upto = self.steps if done else self.steps // 2 if job["status"] == "running" else 0
        events = [event(step, self.steps) for step in range(1, upto + 1)]
        events.insert(0, {"id": "ftevent-0", "type": "message", "message": "Created", "data": None})
        newest = events[::-1]
        ids = [file["id"] for file in newest]
        first = ids.index(query["after"]) + 1 if "after" in query else 0
        page = newest[first : first + 3]
        return answered({"object": "list", "data": page, "has_more": first + 3 < len(newest)})

    def _chat(self, body: dict[str, Any]) -> Answer:
        self.chats.append(body)
        tuned = body["model"].startswith("ft:")
        text = '{"team": "cards", "urgency": "low"}' if tuned else "Please call the bank."
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        return answered({"object": "chat.completion", "choices": [choice]})


def event(step: int, total: int) -> dict[str, Any]:
    """An event of the type "metrics"; the last step of each half measures validation rows too."""
    data: dict[str, Any] = {"step": step, "total_steps": total, "train_loss": 3.0 / step}
    if step % (total // 2) == 0:
        data["full_valid_loss"] = 2.0 / step
    return {
        "object": "fine_tuning.job.event",
        "id": f"ftevent-{step}",
        "created_at": 1_700_000_000 + step,
        "level": "info",
        "message": f"Step {step}/{total}: training loss={3.0 / step:.2f}",
        "type": "metrics",
        "data": data,
    }


def answered(value: object, status: int = 200) -> Answer:
    """A JSON answer."""
    return status, json.dumps(value).encode(), {}


def listed(form: dict[str, dict[str, Any]]) -> Answer:
    """The published shape of a list."""
    return answered({"object": "list", "data": list(form.values()), "has_more": False})


def _handler(owner: TuningServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            parts = urlsplit(self.path)
            owner.keys.add(self.headers.get("Authorization", ""))
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            path = parts.path.removeprefix("/v1")
            kind = self.headers.get("Content-Type", "")
            status, content, headers = owner.answer(self.command, path, query, raw, kind)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _any  # noqa: N815 - the names that http.server calls

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    return Handler
