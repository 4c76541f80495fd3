"""The HTML page that Streamlit's browser code starts from, told where the server is.

Without that, a page opened or reloaded at its own address (`/review`) first looks for a server
below that address, and the browser logs two failed requests each time. The page's inline scripts
are known here, so the security policy can name them by hash and forbid all others.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

_SCRIPT = "window.__streamlit = {BACKEND_BASE_URL: location.origin + '/'};"
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@cache
def html() -> str:
    """Streamlit's page with our script put first."""
    page = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    return page.replace("<head>", f"<head><script>{_SCRIPT}</script>", 1)


def script_sources() -> str:
    """The inline scripts of the page, as a security policy names them."""
    digests = (sha256(script.encode()).digest() for script in _INLINE.findall(html()))
    return " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)


def _serve(_request: Request) -> Response:
    return HTMLResponse(html(), headers={"Cache-Control": "no-cache"})


def _to_first(request: Request) -> Response:
    return RedirectResponse(f"/?{request.url.query}".rstrip("?"))


def routes(names: Sequence[str]) -> list[Route]:
    """Routes that answer with the page at the address of each of these pages. The first of them is
    the one that Streamlit opens at `/` and at no other address, so its own leads there.
    """
    first, *others = names
    pages = [Route(path, _serve, methods=["GET"]) for path in ("/", *(f"/{n}" for n in others))]
    return [*pages, Route(f"/{first}", _to_first, methods=["GET"])]
