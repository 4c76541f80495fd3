"""What someone without the key can do to the server: uploads, sockets, large messages, connections
that never finish what they send (T17); a signed-in person opens pages meanwhile.

`python -m benchmarks.without_key --json FILE`. Counted: what was refused, how many bytes the server
took before it cut an upload off, the most memory it had, and how long the person waited for the
first answer of a page, from the tab's first byte. All share this machine's processors.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection

import psutil
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from storage import migrate
from storage.engine import open_engine
from tests.support import stories, tabs
from tests.support.live import Live, running

UPLOADS, SOCKETS, SLOW, FRAMES = 200, 500, 500, 20
UPLOAD_BYTES, FRAME_BYTES = 50_000_000, 30_000_000
_CHUNK = bytes(1 << 16)


def upload(live: Live) -> tuple[bool, int]:
    """Whether an upload without the key was refused or cut off, and the bytes sent by then."""
    sent = 0
    head = (
        f"PUT /_stcore/upload_file/0/0 HTTP/1.1\r\nHost: {live.host}\r\n"
        f"Content-Length: {UPLOAD_BYTES}\r\n\r\n"
    )
    with create_connection(("127.0.0.1", live.port), timeout=60) as link:
        link.sendall(head.encode())
        try:
            while sent < UPLOAD_BYTES:
                link.sendall(_CHUNK)
                sent += len(_CHUNK)
            return link.recv(12) == b"HTTP/1.1 403", sent
        except OSError:
            return True, sent


def socket(live: Live) -> bool:
    """Whether a socket without the key was refused."""
    try:
        with connect(f"ws://{live.host}/_stcore/stream", origin=Origin(live.url)):
            return False
    except InvalidStatus as answer:
        return answer.response.status_code == 403


def frame(live: Live, cookies: dict[str, str]) -> bool:
    """Whether a message far over the limit of someone who has the key ended their connection."""
    with (
        suppress(ConnectionClosed, OSError),
        connect(
            f"ws://{live.host}/_stcore/stream",
            origin=Origin(live.url),
            additional_headers=dict(tabs.cookie_headers(live, cookies)[:1]),
            subprotocols=[Subprotocol("streamlit"), Subprotocol(cookies["_streamlit_xsrf"])],
            compression=None,
            max_queue=None,
        ) as link,
    ):
        link.send(bytes(FRAME_BYTES))
        while True:
            link.recv(timeout=60)
    return True


@contextmanager
def dawdling(live: Live) -> Iterator[int]:
    """Connections that have begun a request and go on never."""
    links = [create_connection(("127.0.0.1", live.port), timeout=60) for _ in range(SLOW)]
    for link in links:
        link.sendall(f"PUT /_stcore/upload_file/0/0 HTTP/1.1\r\nHost: {live.host}".encode())
    yield len(links)
    for link in links:
        link.close()


@contextmanager
def repeated(work: Callable[[], object], pause: float) -> Iterator[None]:
    """Do something again and again beside the block."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(pause):
            work()

    thread = threading.Thread(target=go_on)
    thread.start()
    yield
    over.set()
    thread.join()


def main() -> None:
    """Measure, print, and write what was counted."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.without_key", description=__doc__)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as name:
        engine = open_engine(Path(name) / "assay.db")
        migrate.upgrade(engine)
        stories.person(engine, "ana")
        engine.dispose()
        with running(Path(name)) as live:
            counts = _measured(live)
    record = {"id": "T17", "source": "benchmarks.without_key", "counts": counts}
    print(json.dumps(record, indent=1))
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def _measured(live: Live) -> dict[str, float]:
    process, cookies = psutil.Process(live.process.pid), tabs.signed_in(live, 1)
    memory, waits = [process.memory_info().rss], list[float]()

    def visit() -> None:
        begun = time.perf_counter()
        with tabs.opened(live, cookies):
            waits.append(time.perf_counter() - begun)

    visit()
    with (
        repeated(lambda: memory.append(process.memory_info().rss), 0.05),
        repeated(visit, 0.2),
        dawdling(live) as slow,
        ThreadPoolExecutor(8) as pool,
    ):
        uploads = list(pool.map(lambda _: upload(live), range(UPLOADS)))
        sockets = list(pool.map(lambda _: socket(live), range(SOCKETS)))
        frames = [frame(live, cookies) for _ in range(FRAMES)]
    return {
        "uploads": UPLOADS,
        "uploads_refused": sum(refused for refused, _ in uploads),
        "largest_megabytes_sent": max(sent for _, sent in uploads) / 1e6,
        "sockets": SOCKETS,
        "sockets_refused": sum(sockets),
        "slow_connections": slow,
        "large_messages": FRAMES,
        "large_messages_ended": sum(frames),
        "memory_before_mb": round(memory[0] / 1e6),
        "memory_most_mb": round(max(memory) / 1e6),
        "visits": len(waits),
        "visit_p95_s": round(statistics.quantiles(waits, n=20)[-1], 2),
        "server_alive": float(process.is_running()),
    }


if __name__ == "__main__":
    main()
