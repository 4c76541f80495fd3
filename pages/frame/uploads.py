"""What browsers may send: the sum of uploads, which Streamlit keeps in memory until their tab is
closed; how long a body may dawdle; how many tabs may be open.

It does not count connections that never finish their first line: only programs that already run
on this computer can open those, and the system's limit on open files bounds them.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime import get_instance
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from pages.frame.security import cookie_name, page

PATH = "/_stcore/upload_file/"
TAB_BYTES = 100_000_000
SERVER_BYTES = 300_000_000
AT_ONCE = 8
"""Uploads under way."""
TABS = 256
NOTE = (
    "A file may have up to 50 MB. If one is refused, reload the page and try again in a minute, or "
    "cut it in parts."
)
"""Stands beside a field for files: the field itself only shows a number."""
_SMALLEST = 65_536
"""What the smallest file counts for: each has a record too."""
_PAUSE_SECONDS = 20.0
"""The longest time without anything of a body that is to come."""
_BODY_SECONDS = 600.0


class Limit:
    """ASGI middleware behind the gate that bounds what those who hold the key may send."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._coming: dict[object, tuple[str, int]] = {}
        self._tabs = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "websocket":
            await self._tab(scope, receive, send)
        elif scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
        elif scope["method"] == "PUT" and scope["path"].startswith(PATH):
            await self._upload(Request(scope), receive, send)
        else:
            await self._in_time(self._app, scope, receive, send)

    async def _tab(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._tabs >= TABS:
            await send({"type": "websocket.close", "code": 1013})
            return
        self._tabs += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._tabs -= 1

    async def _upload(self, request: Request, receive: Receive, send: Send) -> None:
        tab, length = request.scope["path"].split("/")[3], _length(request)
        if not request.cookies.get(cookie_name("profile"), "").isdigit():
            answer = page("Pick a profile first: only people who work here upload files.", 403)
        elif length is None:
            answer = page("The upload does not say how long it is.", 411)
        elif not self._room(tab, length):
            answer = page("Other uploads fill the memory meant for them. Try in a minute.", 413)
        else:
            with self._counted(tab, length):
                await self._in_time(self._app, request.scope, receive, send)
            return
        await self._in_time(_after_body(answer), request.scope, receive, send)

    def _room(self, tab: str, length: int) -> bool:
        is_open, coming = get_instance().is_active_session, self._coming.values()
        return len(coming) < AT_ONCE and make_room(_files(), is_open, tab, length, coming)

    @contextmanager
    def _counted(self, tab: str, length: int) -> Iterator[None]:
        ticket = object()
        self._coming[ticket] = tab, max(length, _SMALLEST)
        try:
            yield
        finally:
            del self._coming[ticket]

    async def _in_time(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through whose body must keep coming until it is there."""
        begun, clock = False, asyncio.get_running_loop().time
        end = clock() + _BODY_SECONDS

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(_PAUSE_SECONDS) as limit:

                async def receiving() -> Message:
                    message = await receive()
                    more = message.get("more_body", False)
                    limit.reschedule(min(clock() + _PAUSE_SECONDS, end) if more else None)
                    return message

                await app(scope, receiving, sending)
        except TimeoutError:
            if begun or not limit.expired():
                raise
            await page("This came too slowly. Send it again.", 408)(scope, receive, send)


def make_room(
    files: MemoryUploadedFileManager,
    is_open: Callable[[str], bool],
    tab: str,
    length: int,
    coming: Collection[tuple[str, int]],
) -> bool:
    """Whether an upload of so many bytes fits beside those that are coming, by tab. Where it would
    not, files that no page shows any more give way: the tab's own of earlier, as a page has one
    field for files, then those of closed tabs.
    """
    size = max(length, _SMALLEST)
    own = size + sum(bytes_ for at, bytes_ in coming if at == tab)
    every = size + sum(bytes_ for _, bytes_ in coming)
    for earlier in list(files.file_storage.get(tab, {})):
        if _sum(files, tab) + own > TAB_BYTES:
            files.remove_file(tab, earlier)
    for other in list(files.file_storage):
        if _sum(files, *files.file_storage) + every > SERVER_BYTES and not is_open(other):
            files.remove_session_files(other)
    fits = _sum(files, tab) + own <= TAB_BYTES
    return fits and _sum(files, *files.file_storage) + every <= SERVER_BYTES


def _after_body(answer: Response) -> ASGIApp:
    """An answer that waits for the end of the body, and keeps nothing of it: a browser that is cut
    off while it sends tells nobody why.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        await answer(scope, receive, send)

    return app


def _length(request: Request) -> int | None:
    """Bytes of the body as the browser says, which the server then holds it to."""
    length = request.headers.get("content-length", "")
    chunked = "transfer-encoding" in request.headers
    return int(length) if length.isascii() and length.isdigit() and not chunked else None


def _files() -> MemoryUploadedFileManager:
    files = get_instance().uploaded_file_mgr
    assert isinstance(files, MemoryUploadedFileManager)  # noqa: S101 - what st.App makes
    return files


def _sum(files: MemoryUploadedFileManager, *tabs: str) -> int:
    """Bytes of the files of tabs."""
    stored = [file for tab in tabs for file in list(files.file_storage.get(tab, {}).values())]
    return sum(max(len(file.data), _SMALLEST) for file in stored)
