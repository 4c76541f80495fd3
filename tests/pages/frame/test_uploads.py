"""What a browser may send: the server takes no more than it has room for, and from nobody else."""

import asyncio
import socket
from collections.abc import Iterator

import psutil
import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from pages.frame import uploads
from pages.frame.uploads import make_room
from storage import migrate
from storage.engine import open_engine
from tests.support import stories, tabs
from tests.support.live import Live, ask, open_socket, running
from tests.support.proofs import Proof

MEGABYTE = 1_000_000
BIG = b"x" * (45 * MEGABYTE)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("uploads")
    engine = open_engine(data / "assay.db")
    migrate.upgrade(engine)
    stories.person(engine, "ana")
    engine.dispose()
    with running(data) as live:
        yield live


@pytest.fixture(scope="module")
def cookies(live: Live) -> dict[str, str]:
    return tabs.signed_in(live, 1)


def _file(name: str, megabytes: int) -> UploadedFileRec:
    return UploadedFileRec(name, name, "text/csv", bytes(megabytes * MEGABYTE))


def _room(
    files: MemoryUploadedFileManager, closed: str, tab: str, megabytes: int, *coming: int
) -> bool:
    """Whether there is room for an upload of this tab, beside others of it that are coming."""
    sizes = [(tab, size * MEGABYTE) for size in coming]
    return make_room(files, lambda other: other not in closed, tab, megabytes * MEGABYTE, sizes)


def test_what_no_page_shows_gives_way_and_what_is_coming_counts() -> None:
    files = MemoryUploadedFileManager("")
    for name in ("first", "second"):
        files.add_file("a", _file(name, 45))
    assert _room(files, "", "a", 45), "the tab's first file goes"
    assert list(files.file_storage["a"]) == ["second"]
    assert _room(files, "", "a", 45, 10)
    assert not _room(files, "", "a", 45, 40, 40)
    assert files.file_storage["a"] == {}
    for tab in "abc":
        files.add_file(tab, _file("one", 90))
    assert not _room(files, "", "d", 45), "all are open"
    assert _room(files, "bc", "d", 45)
    assert [tab for tab in "abc" if files.file_storage.get(tab)] == ["a", "c"]
    assert not _room(files, "", "e", 45, *[10] * 7)


def test_open_tabs_do_not_give_way(live: Live, cookies: dict[str, str]) -> None:
    with tabs.opened(live, cookies) as one, tabs.opened(live, cookies) as two:
        with tabs.opened(live, cookies) as three, tabs.opened(live, cookies) as four:
            for tab in (one, two, three):
                assert [tab.upload(name, BIG).status for name in "ab"] == [204, 204]
            refused = four.upload("c", BIG)
            assert refused.status == 413
            assert b"Other uploads fill the memory" in refused.body
            assert four.upload("small", b"id,prompt\n").status == 204
        assert one.upload("small", b"id,prompt\n").status == 204, "the closed tabs gave way"


def test_who_has_no_profile_or_hides_the_length_uploads_nothing(
    live: Live, cookies: dict[str, str]
) -> None:
    nobody = {name: value for name, value in cookies.items() if "profile" not in name}
    with tabs.opened(live, cookies) as tab:
        refused = tabs.upload(live, tabs.cookie_headers(live, nobody), tab.session, "a", b"x")
        assert (refused.status, b"Pick a profile" in refused.body) == (403, True)
        lines = [f"{name}: {value}" for name, value in tab.headers]
        head = [f"PUT {uploads.PATH}{tab.session}/a HTTP/1.1", f"Host: {live.host}", *lines]
        link = _beginning(
            live, "\r\n".join([*head, "Transfer-Encoding: chunked", "", "1", "x", "0", "", ""])
        )
        assert link.recv(12) == b"HTTP/1.1 411"
        link.close()


def _beginning(live: Live, text: str) -> socket.socket:
    """A connection on which only this was sent."""
    link = socket.create_connection(("127.0.0.1", live.port), timeout=60)
    link.sendall(text.encode())
    return link


@pytest.mark.T17
def test_without_the_key_nothing_is_taken_and_the_server_goes_on(live: Live, proof: Proof) -> None:
    before = psutil.Process(live.process.pid).memory_info().rss
    sent = [tabs.upload(live, [], f"s{n}", "a", b"x" * MEGABYTE) for n in range(40)]
    slow = [
        _beginning(live, f"PUT /_stcore/upload_file/s/{n} HTTP/1.1\r\nHost: {live.host}\r\n")
        for n in range(40)
    ]
    opened = [open_socket(live, [("Origin", live.url)]) for _ in range(40)]
    refused = sum(answer.status == 403 for answer in sent)
    assert (refused, sum(answer.status == 403 for answer in opened)) == (40, 40)
    assert ask(live, "GET", "/_stcore/health").status == 200
    grown = (psutil.Process(live.process.pid).memory_info().rss - before) / MEGABYTE
    assert grown < 40
    for link in slow:
        link.close()
    proof(uploads=40, refused=refused, sockets=40, slow_connections=40, grown_mb=round(grown))


async def _reads_all(_scope: Scope, receive: Receive, send: Send) -> None:
    """An application that waits for the end of the body."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _answers(limit: uploads.Limit, scope: dict[str, object], pause: float) -> list[Message]:
    """What is answered to a body that comes in three pieces with so many seconds between them."""
    answers: list[Message] = []
    parts = iter((True, True, False))

    async def receive() -> Message:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": b"x", "more_body": next(parts)}

    async def send(message: Message) -> None:
        answers.append(message)

    asyncio.run(limit(scope, receive, send))
    return answers


@pytest.mark.T17
def test_a_body_that_dawdles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_PAUSE_SECONDS", 0.5)
    scope: dict[str, object] = {
        "type": "http",
        "method": "POST",
        "path": "/assay/profile",
        "headers": [],
    }
    assert _answers(uploads.Limit(_reads_all), scope, 0.01)[0]["status"] == 204
    assert _answers(uploads.Limit(_reads_all), scope, 60)[0]["status"] == 408
    monkeypatch.setattr(uploads, "_BODY_SECONDS", 0.5)
    assert _answers(uploads.Limit(_reads_all), scope, 0.3)[0]["status"] == 408


def test_so_many_tabs_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "TABS", 1)
    inner: list[list[Message]] = []

    async def open_another(scope: Scope, receive: Receive, send: Send) -> None:
        if not inner:
            inner.append([])
            await limit(scope, receive, _into(inner[0]))
        await send({"type": "websocket.accept"})

    def _into(answers: list[Message]) -> Send:
        async def send(message: Message) -> None:
            answers.append(message)

        return send

    limit = uploads.Limit(open_another)
    assert _answers(limit, {"type": "websocket"}, 0) == [{"type": "websocket.accept"}]
    assert inner == [[{"type": "websocket.close", "code": 1013}]]
    assert _answers(limit, {"type": "websocket"}, 0) == [{"type": "websocket.accept"}]
