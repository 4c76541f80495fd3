"""Tuning at an endpoint: against a real local server with the published shapes."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import PATIENCE, until
from tests.support.tiny_model import SYSTEM, job, rows, started
from tests.support.tuning_server import KEY, Answer, TuningServer, answered
from training.hosted import remote
from training.work import evidence
from training.worker import work

pytestmark = pytest.mark.filterwarnings("ignore")

SPLITS = ("training", "validation")
ROWS = [*rows(8), *rows(2, "validation", 100)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TuningServer]:
    """A server that runs for one test, and its key in the environment."""
    monkeypatch.setenv("HOUSE_KEY", KEY)
    tuning_server = TuningServer()
    yield tuning_server
    tuning_server.close()


def _run(directory: Path, server: TuningServer, poll: float = 0.01, **chosen: object) -> Path:
    settings = {"method": "provider", "endpoint": "house", "model": "small-1", "epochs": 2}
    spec = {
        "kind": "train",
        "rows_path": "rows.jsonl",
        "version_sha256": "0" * 64,
        "base": {"kind": "provider", "where": "house/small-1"},
        "settings": settings | chosen,
        "endpoint": server.endpoint(poll),
    }
    return job(directory, spec, ROWS)


def _result(directory: Path) -> dict[str, Any]:
    result = evidence.read_result(directory)
    assert result is not None
    return result


def _written(directory: Path) -> str:
    """All that a run leaves on the disk, without the rows it was given."""
    return "\n".join(
        path.read_text(errors="replace")
        for path in directory.rglob("*")
        if path.is_file() and path.name not in ("rows.jsonl", "spec.json")
    )


def _quiet(directory: Path) -> None:
    """No row and no key in anything a run wrote."""
    text = _written(directory)
    assert KEY not in text
    assert not [row for row in ROWS if row["prompt"] in text or row["response"] in text]


def test_a_run_sends_its_rows_once_and_tells_how_it_goes(
    server: TuningServer, tmp_path: Path
) -> None:
    directory = _run(tmp_path / "run", server, suffix="desk", batch_size=4, seed=7)
    assert work(directory) == 0
    result = _result(directory)
    assert (result["state"], result["kind"]) == ("finished", "provider")
    assert result["fine_tuned_model"] == "ft:small-1:house::abc123"
    assert (result["trained_tokens"], result["cost"]["amount"]) == (2_000_000, 6.0)
    assert (result["steps"], result["first_train_loss"], result["train_loss"]) == (6, 3.0, 0.5)
    assert result["validation_loss"] == pytest.approx(2 / 6)
    assert result["checkpoints"][0]["model"] == "ft:small-1:ckpt-step-3"
    (begun,) = server.jobs.values()
    assert {key: begun[key] for key in ("model", "suffix", "seed", "method")} == {
        "model": "small-1",
        "suffix": "desk",
        "seed": 7,
        "method": {
            "type": "supervised",
            "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 4}},
        },
    }
    train, validation = (
        server.contents[begun[f"{split}_file"]] for split in ("training", "validation")
    )
    assert (len(train), len(validation)) == (8, 2)
    assert [message["role"] for message in train[0]["messages"]] == ["system", "user", "assistant"]
    assert train[0]["messages"][0]["content"] == SYSTEM
    assert server.keys == {f"Bearer {KEY}"}
    assert server.files == {}
    assert "were deleted" in result["message"]
    _quiet(directory)


def test_each_step_becomes_one_progress_line(server: TuningServer, tmp_path: Path) -> None:
    directory = _run(tmp_path / "run", server)
    assert work(directory) == 0
    events = list(evidence.every_event(directory))
    losses = [(event.step, event.total) for event in events if event.number("loss") is not None]
    assert losses == [(step, 6) for step in range(1, 7)]
    assert [event.step for event in events if event.number("eval_loss") is not None] == [3, 6]
    messages = [event.message for event in events if event.message is not None]
    assert "The run waits in the endpoint's queue." in messages


def test_a_worker_killed_after_the_job_began_pays_once(
    server: TuningServer, tmp_path: Path
) -> None:
    server.states = ("queued", "running", "running")
    directory = _run(tmp_path / "run", server)
    process = started(directory)
    assert server.reached.wait(PATIENCE)
    until(
        lambda: (remote_run := remote.read(directory)) is not None and remote_run.step >= 3,
        lambda: process.poll() is None,
    )
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert evidence.read_result(directory) is None
    assert "without paying twice" in remote.left(directory)
    server.states = ("queued", "running", "succeeded")
    again = _run(tmp_path / "again", server)
    remote.adopt(directory, remote.sha256(directory), again)
    evidence.copy_events(directory, again, 99)
    assert work(again) == 0
    assert len(server.jobs) == 1
    assert server.count("POST", "/files") == 2
    steps = [
        event.step for event in evidence.every_event(again) if event.number("loss") is not None
    ]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert _result(again)["first_train_loss"] == 3.0


@pytest.mark.parametrize("lost", ["/files", "/fine_tuning/jobs"])
def test_an_answer_that_is_lost_does_not_pay_twice(
    server: TuningServer, tmp_path: Path, lost: str
) -> None:
    """The endpoint heard the request and its answer got lost: it is looked for, not made again."""

    plain = server._usual

    def heard(method: str, path: str, query: Any, raw: bytes, kind: str) -> Answer:  # noqa: ANN401
        answer = plain(method, path, query, raw, kind)
        first = method == "POST" and path == lost and server.count(method, path) == 1
        return (500, b"", {}) if first else answer

    server._usual = heard  # type: ignore[method-assign]
    directory = _run(tmp_path / "run", server)
    assert work(directory) == 0
    assert (len(server.jobs), len(server.contents)) == (1, 2)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/fine_tuning/jobs", (429, b"", {"Retry-After": "0"})),
        ("/files", (429, b"", {"Retry-After": "0"})),
        ("/fine_tuning/jobs/ftjob-1", (500, b"", {})),
        ("/fine_tuning/jobs/ftjob-1/events", (503, b"<html>", {})),
        ("/fine_tuning/jobs/ftjob-1", (200, b'{"id": "ftjob-1", "status"', {})),
        ("/fine_tuning/jobs/ftjob-1", (200, b'{"status": "running"}', {})),
    ],
)
def test_what_passes_is_waited_out(
    server: TuningServer, tmp_path: Path, path: str, answer: Answer
) -> None:
    server.upset = lambda _method, requested, number: (
        answer if requested == path and number < 3 else None
    )
    directory = _run(tmp_path / "run", server)
    assert work(directory) == 0
    assert _result(directory)["state"] == "finished"
    assert len(server.jobs) == 1


@pytest.mark.parametrize(
    ("path", "answer", "message"),
    [
        ("/files", (401, b"", {}), "refused the key. Check HOUSE_KEY"),
        ("/files", (302, b"", {"Location": "http://169.254.169.254/"}), "redirects are not"),
        ("/files", (200, b"[]", {}), "did not answer in the form of /files"),
        ("/files", (200, b'{"id": "../../etc"} ', {}), "did not answer in the form of /files"),
        ("/fine_tuning/jobs", (404, b"", {}), "answered with status 404"),
        ("/fine_tuning/jobs", (200, b'{"id": 3}', {}), "in the form of /fine_tuning/jobs"),
        ("/fine_tuning/jobs", (200, b"x" * (2 << 20), {}), "sent more than 1 MB"),
        (
            "/fine_tuning/jobs",
            answered({"error": {"message": "Too few rows: 8, 10 needed", "code": "too_few"}}, 400),
            "The endpoint's reason: Too few rows: 8, 10 needed (too_few)",
        ),
    ],
)
def test_what_the_endpoint_refuses_is_one_sentence(
    server: TuningServer, tmp_path: Path, path: str, answer: Answer, message: str
) -> None:
    server.upset = lambda method, requested, _number: (
        answer if (method, requested) == ("POST", path) else None
    )
    directory = _run(tmp_path / "run", server)
    assert work(directory) == 1
    assert message in _result(directory)["message"]
    _quiet(directory)


TOO_FEW = answered({"error": {"message": "Too few", "code": "too_few"}}, 400)


def test_a_job_refused_before_it_begins_leaves_no_upload_behind(
    server: TuningServer, tmp_path: Path
) -> None:
    server.upset = lambda method, path, _number: (
        TOO_FEW if (method, path) == ("POST", "/fine_tuning/jobs") else None
    )
    directory = _run(tmp_path / "run", server)
    assert work(directory) == 1
    assert server.count("POST", "/files") == 2
    assert server.files == {}
    assert _result(directory)["message"].endswith("The uploaded files were deleted there.")
    assert remote.left(directory) == ""
    record = remote.read(directory)
    assert record is not None
    assert not record.resumable


@pytest.mark.parametrize("listing", [TOO_FEW, (500, b"", {}), None])
def test_a_job_that_may_have_begun_keeps_its_uploads(
    server: TuningServer, tmp_path: Path, listing: Answer | None
) -> None:
    """The endpoint began the job, and its refusal is of a later request: nothing is deleted."""
    plain = server._usual

    def hidden(method: str, path: str, query: Any, raw: bytes, kind: str) -> Answer:  # noqa: ANN401
        answer = plain(method, path, query, raw, kind)
        return TOO_FEW if (method, path) == ("POST", "/fine_tuning/jobs") else answer

    server._usual = hidden  # type: ignore[method-assign]
    server.upset = lambda method, path, number: (
        listing if (method, path) == ("GET", "/fine_tuning/jobs") and number > 1 else None
    )
    directory = _run(tmp_path / "run", server)
    assert work(directory) == 1
    assert len(server.files) == 2
    assert "without paying twice" in _result(directory)["message"]
    record = remote.read(directory)
    assert record is not None
    assert record.resumable


def test_a_job_that_fails_tells_the_endpoints_reason(server: TuningServer, tmp_path: Path) -> None:
    server.states = ("validating_files", "failed")
    server.error = {"message": "The files need 10 rows or more.", "code": "invalid_n_examples"}
    directory = _run(tmp_path / "run", server)
    assert work(directory) == 0
    result = _result(directory)
    assert result["state"] == "failed"
    assert "failed: The files need 10 rows or more. (invalid_n_examples)" in result["message"]
    assert server.files == {}
    assert evidence.read_json(directory / "remote.json") is not None
    assert remote.left(directory) == ""


@pytest.mark.parametrize(
    "message", [f"Row 3 is bad: {ROWS[2]['prompt']}", f"Bad row '{ROWS[2]['response']}'"]
)
def test_a_reason_that_quotes_a_row_is_not_told(
    server: TuningServer, tmp_path: Path, message: str
) -> None:
    server.states = ("validating_files", "failed")
    server.error = {"message": message, "code": "invalid_row"}
    directory = _run(tmp_path / "run", server)
    assert work(directory) == 0
    assert "(invalid_row)" in _result(directory)["message"]
    _quiet(directory)


def test_a_cancel_is_passed_on_and_the_files_go(server: TuningServer, tmp_path: Path) -> None:
    server.states = ("queued", "running", "running")
    directory = _run(tmp_path / "run", server, poll=5.0)
    process = started(directory)
    assert server.reached.wait(PATIENCE)
    evidence.request_cancel(directory)
    assert process.wait(PATIENCE) == 0
    result = _result(directory)
    assert result["state"] == "cancelled"
    assert "Cancelled at endpoint house (it says: cancelled)." in result["message"]
    assert server.jobs["ftjob-1"]["status"] == "cancelled"
    assert server.files == {}


def test_a_cancel_that_is_not_confirmed_says_so(server: TuningServer, tmp_path: Path) -> None:
    server.upset = lambda method, path, _number: (
        (500, b"", {}) if path.endswith("/cancel") or method == "DELETE" else None
    )
    server.states = ("queued", "running", "running")
    directory = _run(tmp_path / "run", server)
    evidence.write_json(
        directory / "remote.json",
        {"endpoint": "house", "key": "k", "job": "ftjob-7", "training_file": "file-1"},
    )
    evidence.request_cancel(directory)
    assert work(directory) == 0
    assert "did not confirm it: look there for job ftjob-7" in _result(directory)["message"]
    assert "did not delete file-1" in _result(directory)["message"]


def test_a_run_cancelled_before_it_began_costs_nothing(
    server: TuningServer, tmp_path: Path
) -> None:
    directory = _run(tmp_path / "run", server)
    evidence.request_cancel(directory)
    assert work(directory) == 0
    assert "Cancelled before endpoint house had the run." in _result(directory)["message"]
    assert server.jobs == {}


def test_an_endpoint_that_lists_nothing_is_enough(server: TuningServer, tmp_path: Path) -> None:
    server.upset = lambda method, path, _number: (
        (404, b"", {})
        if (method, path) in (("GET", "/files"), ("GET", "/fine_tuning/jobs"))
        or path.endswith("/checkpoints")
        else None
    )
    directory = _run(tmp_path / "run", server)
    assert work(directory) == 0
    assert _result(directory)["checkpoints"] == []


def test_a_key_that_is_not_set(
    server: TuningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOUSE_KEY")
    directory = _run(tmp_path / "run", server)
    assert work(directory) == 1
    assert "HOUSE_KEY is not set" in _result(directory)["message"]
    assert server.asked == []


def test_held_out_rows_are_answered_by_the_base_and_the_tuned_model(
    server: TuningServer, tmp_path: Path
) -> None:
    held_out = rows(4, "test")
    spec = {
        "kind": "evaluate",
        "base": {"kind": "provider", "where": "house/small-1"},
        "rows": "rows.jsonl",
        "output_schema": None,
        "label_field": "team",
        "endpoint": server.endpoint(),
        "models": {"base": "small-1", "tuned": "ft:small-1:house::abc123"},
    }
    directory = job(tmp_path / "job", spec, held_out)
    assert work(directory) == 0
    lines = [json.loads(line) for line in (directory / "outputs.jsonl").read_text().splitlines()]
    assert [line["arm"] for line in lines] == ["base"] * 4 + ["tuned"] * 4
    assert [line["correct"] for line in lines] == [False] * 4 + [True, False, False, False]
    assert {chat["temperature"] for chat in server.chats} == {0.0}
    sent = json.dumps(server.chats)
    assert all(row["prompt"] in sent and row["response"] not in sent for row in held_out)
    assert {chat["messages"][0]["content"] for chat in server.chats} == {SYSTEM}
