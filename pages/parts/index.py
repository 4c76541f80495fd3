"""The HTML page that Streamlit's browser code starts from, told where the server is.

Without that, a page opened or reloaded at its own address (`/review`) first looks for a server below
that address, and the browser logs two failed requests each time.
"""

from functools import cache
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from pages.parts.security import ROOT_SCRIPT
from pages.parts.shell import PLACES


@cache
def _html() -> str:
    html = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    return html.replace("<head>", f"<head><script>{ROOT_SCRIPT}</script>", 1)


def _serve(_request: Request) -> Response:
    return HTMLResponse(_html(), headers={"Cache-Control": "no-cache"})


ROUTES = [
    Route(path, _serve, methods=["GET"])
    for path in ("/", *(f"/{Path(place.path).stem}" for place in PLACES))
]
