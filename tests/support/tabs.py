"""A browser tab without a browser: it signs in, holds the socket of its session, and uploads."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.support.live import Answer, Headers, Live, ask

_BORDER = "assay-border"


@dataclass(frozen=True, slots=True)
class Tab:
    """An open tab: its session, and the cookies that its requests bear."""

    live: Live
    session: str
    cookies: dict[str, str]

    @property
    def headers(self) -> Headers:
        """What each request of this tab bears."""
        return cookie_headers(self.live, self.cookies)

    def upload(self, name: str, content: bytes) -> Answer:
        """Send a file, as the page's field for files does."""
        return upload(self.live, self.headers, self.session, name, content)


def cookie_headers(live: Live, cookies: dict[str, str]) -> Headers:
    """Headers of a request from our own page with these cookies."""
    pairs = "; ".join(f"{name}={value}" for name, value in cookies.items())
    token = cookies.get("_streamlit_xsrf", "")
    return [("Cookie", pairs), ("Origin", live.url), ("X-Xsrftoken", token)]


def signed_in(live: Live, person: int) -> dict[str, str]:
    """The cookies of a browser that holds the key and in which this person was picked."""
    cookies: dict[str, str] = {}
    first = ask(live, "GET", f"/?token={live.key}")
    cookies.update([_pair(first)])
    cookies.update([_pair(ask(live, "GET", "/_stcore/health", cookie_headers(live, cookies)))])
    headers = [*cookie_headers(live, cookies), ("Content-Type", "application/json")]
    chosen = ask(live, "POST", "/assay/profile", headers, b'{"id": %d}' % person)
    assert chosen.status == 200
    cookies.update([_pair(chosen)])
    return cookies


def _pair(answer: Answer) -> tuple[str, str]:
    name, _, value = answer.headers["set-cookie"].split(";")[0].partition("=")
    return name, value


@contextmanager
def opened(live: Live, cookies: dict[str, str]) -> Iterator[Tab]:
    """A tab on the first page, until the end of the block."""
    headers = {name: value for name, value in cookie_headers(live, cookies) if name == "Cookie"}
    with connect(
        f"ws://{live.host}/_stcore/stream",
        origin=Origin(live.url),
        additional_headers=headers,
        subprotocols=[Subprotocol("streamlit"), Subprotocol(cookies["_streamlit_xsrf"])],
        compression=None,
        max_size=None,
        max_queue=None,
        ping_interval=None,
    ) as socket:
        rerun = BackMsg()
        rerun.rerun_script.query_string = ""
        socket.send(rerun.SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(socket.recv(timeout=60, decode=False))
            if message.WhichOneof("type") == "new_session":
                yield Tab(live, message.new_session.initialize.session_id, cookies)
                return


def upload(live: Live, headers: Headers, session: str, name: str, content: bytes) -> Answer:
    """Send one file for a session, with exactly these headers besides the kind of the body."""
    head = (
        f'--{_BORDER}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    body = head + content + f"\r\n--{_BORDER}--\r\n".encode()
    kind = ("Content-Type", f"multipart/form-data; boundary={_BORDER}")
    path = f"/_stcore/upload_file/{session}/{name}"
    return ask(live, "PUT", path, [*headers, kind], body)
