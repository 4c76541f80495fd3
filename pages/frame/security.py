"""The gate in front of every request: known host, own origin, start-up key, security headers.

What it does not do: it does not tell people apart (profiles are picked, not proven), and cookies of
127.0.0.1 are also sent to other services on this computer, so it does not protect against a
hostile program that already runs here.
"""

import hmac
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from http.cookies import CookieError, SimpleCookie
from threading import Event
from urllib.parse import parse_qs, urlsplit

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pages.frame import index
from storage import settings

POLICY = (
    "default-src 'self'; "
    f"script-src 'self' {index.script_sources()} 'wasm-unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
HEALTH = "/_stcore/health"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Assay</title>{head}
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto;padding:0 1rem;
color-scheme:light dark}}</style></head><body><h1>Assay</h1><p>{sentence}</p></body></html>"""


@dataclass(slots=True)
class Key:
    """The start-up key of this server process; empty until it has started, which opens nothing."""

    value: str = ""
    used: Event = field(default_factory=Event)
    """Set once a browser has traded the key for a cookie."""

    def fits(self, offered: str | None) -> bool:
        """Whether this is the key, compared in constant time."""
        if not self.value or offered is None:
            return False
        return hmac.compare_digest(self.value.encode(), offered.encode())


def cookie_name(kind: str) -> str:
    """A cookie's name. Cookies know no port, so it is the data folder that tells servers apart."""
    folder = sha256(str(settings.current().data).encode()).hexdigest()[:8]
    return f"assay_{kind}_{folder}"


def host_allowed(host: str | None, allowed: Collection[str]) -> bool:
    """Whether a Host header names this server; else a foreign name was bound to our address."""
    try:
        parts = urlsplit(f"//{host or ''}")
        _ = parts.port  # raises where the port is no number
    except ValueError:
        return False
    odd = parts.path or parts.query or parts.fragment or parts.username is not None
    return not odd and (parts.hostname or "").lower() in allowed


def origin_allowed(headers: dict[str, str], scope_type: str) -> bool:
    """Whether a request comes from our own page: other local ports share our cookies.

    A browser always names the origin of a WebSocket, so one without is refused.
    """
    origin, host = headers.get("origin"), headers.get("host")
    if origin is not None or scope_type == "websocket":
        return origin in (f"http://{host}", f"https://{host}")
    foreign = headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")
    return not foreign or headers.get("sec-fetch-mode") == "navigate"


def read_cookies(header: str) -> dict[str, str]:
    """Cookies by name; none where the header is malformed."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(header)
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


def page(sentence: str, status: int, head: str = "") -> Response:
    """A plain page of one sentence."""
    return HTMLResponse(_PAGE.format(sentence=escape(sentence), head=head), status, HEADERS)


def broken(_request: Request, _error: Exception) -> Response:
    """The answer where the server itself failed; it stands outside the gate, so brings headers."""
    return page("Something went wrong in the server. Reload the page.", 500)


class Gate:
    """ASGI middleware that refuses what does not hold the key and puts headers on each answer."""

    def __init__(self, app: ASGIApp, key: Key) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = self._answer(scope)
        if answer is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _answer(self, scope: Scope) -> Response | None:
        """The refusal or the key exchange; None lets the request through."""
        pairs = [
            (key.decode("latin-1"), value.decode("latin-1")) for key, value in scope["headers"]
        ]
        headers = dict(pairs)
        hosts = [value for key, value in pairs if key == "host"]
        allowed = {str(name).lower() for name in st.get_option("server.allowedHosts")}
        if len(hosts) != 1 or not host_allowed(hosts[0], allowed):
            return page("This address is not Assay's. Open the link printed in the terminal.", 403)
        if not origin_allowed(headers, scope["type"]):
            return page("Another site asked for this. Open Assay in a tab of its own.", 403)
        if scope["type"] == "http" and scope["path"] == HEALTH:
            return None
        # From scope, never request.url: a crafted Host header can shift what a URL's path is.
        offered = parse_qs(scope["query_string"].decode("latin-1")).get("token", [None])[-1]
        if offered is not None and scope["type"] == "http":
            return self._exchange(offered)
        cookie = read_cookies("; ".join(v for k, v in pairs if k == "cookie"))
        if self._key.fits(cookie.get(cookie_name("key"))):
            return None
        return page("Assay is closed. Open the link printed in the terminal.", 403)

    def _exchange(self, offered: str) -> Response:
        """Trade the key in the link for a cookie."""
        if not self._key.fits(offered):
            return page("This link is from an earlier start. Open the newest one.", 403)
        self._key.used.set()
        # A page that moves on by itself, not a redirect: a Strict cookie would not be sent along
        # a redirect that began on another site, such as a terminal shown in a browser.
        answer = page("Opening Assay.", 200, '<meta http-equiv="refresh" content="0;url=/">')
        answer.headers["Cache-Control"] = "no-store"
        answer.set_cookie(cookie_name("key"), offered, httponly=True, samesite="strict", path="/")
        return answer


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
