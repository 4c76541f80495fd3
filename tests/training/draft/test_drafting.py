"""Drafting: through a real HTTP endpoint of the published shape, and with a model in process."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from storage.errors import BadInput, Unavailable
from tests.support.tiny_model import SCHEMA, job
from training.draft import drafting
from training.draft.writers import EndpointWriter
from training.hosted.completions import Wanted
from training.records.parts import Endpoint
from training.records.tasks import DraftTask
from training.work import evidence
from training.worker import work

pytestmark = pytest.mark.filterwarnings("ignore")

EXAMPLES = [
    {"prompt": "My card is lost.", "response": '{"team": "cards", "urgency": "high"}'},
    {"prompt": "May I pay my loan early?", "response": '{"team": "loans", "urgency": "low"}'},
]
CHAT = [{"role": "user", "content": "hi"}]
GOOD = '{"team": "online", "urgency": "low"}'
Reply = Callable[[dict[str, Any], int], tuple[int, bytes, dict[str, str]]]


class Server:
    """A local endpoint that answers as told and keeps what it was sent."""

    def __init__(self) -> None:
        self.reply: Reply = lambda _body, _number: (200, said("hello"), {})
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                owner.asked.append((self.path, dict(self.headers), body))
                status, content, headers = owner.reply(body, len(owner.asked))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


def said(text: str) -> bytes:
    """The published shape of an answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that runs for one test."""
    one = Server()
    yield one
    one.http.shutdown()
    one.http.server_close()


def _job(directory: Path, **spec: object) -> Path:
    known = {
        "kind": "draft",
        "topic": "the app",
        "task": "Say which team takes a customer's message.",
        "examples": EXAMPLES,
        "output_schema": SCHEMA,
        "count": 3,
        "seed": 5,
        "temperature": 0.8,
    }
    return job(directory, known | spec)


def _end(url: str, key: str | None = None) -> dict[str, Any]:
    return {"name": "house", "url": url, "model": "m-1", "api_key_env": key}


def _writer(url: str, key: str | None = None) -> EndpointWriter:
    return EndpointWriter(Endpoint("house", url, "m", key), pause=0.01)


def _drafts(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "drafts.jsonl").read_text().splitlines()]


def _result(directory: Path) -> dict[str, Any]:
    found = evidence.read_result(directory)
    assert found is not None
    return found


def _writes(body: dict[str, Any], number: int) -> tuple[int, bytes, dict[str, str]]:
    """New messages when asked for one, answers otherwise."""
    if "Write one input about" in body["messages"][-1]["content"]:
        words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
        return 200, said(f'Message: "{words[number % 10]} {number} the app is {number * 7}"'), {}
    return 200, said(GOOD), {}


def test_drafts_from_an_endpoint(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE_KEY", "k-123")
    server.reply = _writes
    directory = _job(tmp_path / "job", endpoint=_end(server.url, "HOUSE_KEY"))
    assert work(directory) == 0
    drafts = _drafts(directory)
    assert [draft["index"] for draft in drafts] == [0, 1, 2]
    assert {draft["model"] for draft in drafts} == {"house/m-1"}
    assert drafts[0]["response"] == GOOD
    assert not drafts[0]["prompt"].startswith(("Message", '"'))
    assert {"prompt_sha256", "raw_sha256", "seed"} <= set(drafts[0])
    path, headers, body = server.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer k-123"
    assert set(body) == {"model", "messages", "temperature", "max_tokens", "seed"}
    assert "k-123" not in (directory / "events.jsonl").read_text()
    last = server.asked[-1][2]["messages"]
    assert [m["role"] for m in last] == ["system", *["user", "assistant"] * 2, "user"]


def test_what_cannot_be_used_is_counted(server: Server, tmp_path: Path) -> None:
    replies = iter(
        [
            "My card is lost!",  # a copy of an example
            "no",  # too short
            "I'm sorry to hear that. Which card was it?",
            "The first page of the app stays white.",
            "I think this goes to cards.",  # no JSON
            "Your app asks for a code that never comes.",
            GOOD,
        ]
    )
    server.reply = lambda _body, _number: (200, said(next(replies)), {})
    directory = _job(tmp_path / "job", endpoint=_end(server.url), count=1)
    assert work(directory) == 0
    result = _result(directory)
    assert (result["kept"], result["tried"]) == (1, 5)
    assert result["refused"] == {
        "input too like an example or another draft": 1,
        "input too short or too long": 1,
        "input in a helper's voice": 1,
        "answer outside the schema": 1,
    }
    assert "1 answer outside the schema" in result["message"]


def test_no_draft_at_all_is_a_failure(server: Server, tmp_path: Path) -> None:
    directory = _job(tmp_path / "job", endpoint=_end(server.url), count=2)
    assert work(directory) == 0
    result = _result(directory)
    assert result["state"] == "failed"
    assert result["message"].startswith("None of 10 drafts could be used.")


@pytest.mark.parametrize(
    ("status", "content", "headers", "words"),
    [
        (401, b"", {}, "refused the key"),
        (404, b"", {}, "answered with status 404"),
        (302, b"", {"Location": "http://169.254.169.254/"}, "redirects are not followed"),
        (503, b"", {}, "overloaded or failing (status 503, asked 3 times)"),
        (200, b"<html>", {}, "did not answer in the form"),
        (200, b'{"choices": []}', {}, "did not answer in the form"),
        (200, said("x").replace(b'"x"', b"null"), {}, "did not answer in the form"),
        (200, b"[" * 100_000, {}, "did not answer in the form"),
        (200, b"x" * (2 << 20), {}, "more than 1 MB"),
    ],
)
def test_each_failure_of_an_endpoint_is_one_sentence(
    server: Server, status: int, content: bytes, headers: dict[str, str], words: str
) -> None:
    server.reply = lambda _body, _number: (status, content, headers)
    with pytest.raises(Unavailable) as refused:
        _writer(server.url).write([CHAT], Wanted(9, 0.5, 1))
    assert words in str(refused.value)


def test_an_overloaded_endpoint_is_asked_again(server: Server) -> None:
    server.reply = lambda _body, number: (200 if number == 3 else 429, said("fine"), {})
    endpoint = _writer(server.url)
    assert endpoint.write([CHAT], Wanted(9, 0.5, 1)) == ["fine"]


def test_an_endpoint_that_does_not_run() -> None:
    with pytest.raises(Unavailable, match="could not be reached"):
        _writer("http://127.0.0.1:9/v1").write([CHAT], Wanted(9, 0.5, 1))


def test_a_key_that_is_not_set() -> None:
    with pytest.raises(Unavailable, match="NO_SUCH_KEY is not set"):
        _writer("http://127.0.0.1:9", "NO_SUCH_KEY").write([], Wanted(9, 0.5, 1))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/", "house", ""])
def test_an_address_of_another_kind(url: str) -> None:
    with pytest.raises(BadInput, match="must begin with"):
        _writer(url).write([CHAT], Wanted(9, 0.5, 1))


def test_a_model_in_the_process_drafts_the_same_from_the_same_seed(
    small: Path, tmp_path: Path
) -> None:
    base = {"kind": "folder", "where": str(small)}
    found = []
    for name in ("a", "b"):
        directory = _job(tmp_path / name, base=base, output_schema=None, count=2)
        assert work(directory) == 0
        found.append([(d["prompt"], d["response"], d["seed"]) for d in _drafts(directory)])
        assert _result(directory)["kept"] == 2
    assert found[0] == found[1]


def test_drafts_need_examples_and_a_temperature(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Write some first"):
        drafting.brief_of(DraftTask(topic="cards", count=1, seed=0, system_message=""))
    directory = _job(tmp_path / "job", endpoint=_end("http://127.0.0.1:9"), temperature=0)
    assert work(directory) == 1
    assert "temperature" in _result(directory)["message"]


def test_cleaning_takes_labels_and_quotes_off() -> None:
    assert drafting.clean(' "Message: The app fails." \n') == "The app fails."
    assert drafting.clean("customer: \u201cHello there\u201d") == "Hello there"
    assert drafting.clean("I said: no") == "I said: no"
