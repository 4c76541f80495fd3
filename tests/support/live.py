"""A real server on a free port, started the way `make run` starts it."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.settings import ROOT
from tests.support.patience import PATIENCE

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Live:
    """A running server."""

    port: int
    data: Path
    process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        """Host and port as a browser names them."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The address without the key."""
        return f"http://{self.host}"

    @property
    def key(self) -> str:
        """The start-up key."""
        return (self.data / "token").read_text()

    @property
    def link(self) -> str:
        """The address that is printed: open this one first."""
        return f"{self.url}/?token={self.key}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, headers by lower-case name, body (empty for a WebSocket)."""

    status: int
    headers: dict[str, str]
    body: bytes


def free_port() -> int:
    """A port that nothing listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(data: Path, port: int, **environment: str) -> subprocess.Popen[bytes]:
    """Start the launcher on a data folder; its output goes to `server.log` in that folder. It opens
    a browser only where BROWSER names one.
    """
    quiet = [] if "BROWSER" in environment else ["--no-browser"]
    data.mkdir(parents=True, exist_ok=True)
    with (data / "server.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pages.frame.launcher", "--port", str(port), *quiet],
            cwd=ROOT,
            env={**os.environ, **environment, "ASSAY_DATA": str(data)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def running(data: Path, **environment: str) -> Iterator[Live]:
    """A server that answers; stopped at the end."""
    port = free_port()
    live = Live(port, data, launch(data, port, **environment))
    try:
        _wait(live)
        yield live
    finally:
        live.process.terminate()
        live.process.wait(timeout=PATIENCE)


def _wait(live: Live) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and live.process.poll() is None:
        try:
            if ask(live, "GET", "/_stcore/health").status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError((live.data / "server.log").read_text())


def ask(
    live: Live, method: str, path: str, headers: Headers | None = None, body: bytes = b""
) -> Answer:
    """One raw request: exactly these headers (and Host, unless given)."""
    headers = headers or []
    link = http.client.HTTPConnection("127.0.0.1", live.port, timeout=PATIENCE)
    with closing(link):
        link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if not any(name == "Host" for name, _ in headers):
            link.putheader("Host", live.host)
        for name, value in headers:
            link.putheader(name, value)
        if body:
            link.putheader("Content-Length", str(len(body)))
        link.endheaders(body or None)
        answer = link.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, b"" if answer.status == 101 else answer.read())


def open_socket(live: Live, headers: Headers) -> Answer:
    """The handshake of the WebSocket that all pages speak over."""
    upgrade = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    return ask(live, "GET", "/_stcore/stream", [*upgrade, *headers])
