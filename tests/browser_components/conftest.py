"""A Streamlit server per test, with a desk in a folder of its own, and Chromium."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.browser_components import desk
from tests.support import browser_fixture
from tests.support.patience import until

ROOT = Path(__file__).parents[2]
ROWS = [
    (
        f"Question {n}: my card was kept by the machine this morning and I travel tomorrow.",
        '{"team":"cards","urgency":"high","next_step":"Block the card."}',
    )
    for n in range(1, 61)
]


class Server:
    """One harness page, started as users start it; can be killed and started again."""

    def __init__(self, page: str, slow: float) -> None:
        """`slow`: seconds that the desk takes for each message."""
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._page, self._slow = page, slow
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, where it does not run, and wait until it answers."""
        if self._process is not None:
            return
        command = [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            f"{Path(__file__).parent}/{self._page}",
        ]
        command += ["--server.port", str(self.port), "--server.headless", "true"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SLOW": str(self._slow)}
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def _wait(self) -> None:
        until(self._answers)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5):  # noqa: S310
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9, as a crash would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, float], Server]]:
    """Servers by page and slowness, shared by the tests; they all look at one desk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESK", str(tmp_path_factory.mktemp("desk") / "desk.db"))
        started: dict[tuple[str, float], Server] = {}
        yield started
        for server in started.values():
            server.kill()


@pytest.fixture
def serve(servers: dict[tuple[str, float], Server]) -> Serve:
    """Lay out a fresh desk and have a harness page served on it."""

    def start(page: str, slow: float = 0.0) -> Server:
        desk.lay_out(ROWS)
        server = servers.setdefault((page, slow), Server(page, slow))
        server.start()
        return server

    return start


@pytest.fixture
def window(browser: Browser) -> Iterator[BrowserContext]:
    """One person's browser; fails the test on a script error in any of its pages."""
    context = browser_fixture.window(browser)
    wrong: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.extend(_said(message)))

    context.on("page", watch)
    yield context
    context.close()
    assert not wrong


def _said(message: ConsoleMessage) -> list[str]:
    """Errors of the page itself; a server that a test has killed makes network noise."""
    noise = (
        "ERR_CONNECTION",
        "WebSocket",
        "Failed to load resource",
        "disconnected",
        "not responding",
        "health",
    )
    if message.type != "error" or any(word.lower() in message.text.lower() for word in noise):
        return []
    return [message.text]
