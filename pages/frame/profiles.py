"""Picking a profile in the browser: a POST route that sets the cookie, a component that calls it.

The cookie only says who this browser speaks for; whether that person exists and what they may do is
read from the database in each draw.
"""

import json
from typing import TypedDict

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pages.frame.security import cookie_name
from pages.frame.theme import COMPONENT_CSS

_YEAR = 365 * 24 * 3600
_BODY_LIMIT = 100
"""Bytes that a body may have: it holds one number."""

_JS = r"""
async function pick(id, status) {
  const answer = await fetch('/assay/profile', {method: 'POST',
    headers: {'Content-Type': 'application/json'}, body: JSON.stringify({id})});
  if (answer.ok) location.assign('/');
  else status.textContent = 'That did not work. Open the link printed in the terminal again.';
}
export default function ({data, parentElement}) {
  const list = parentElement.querySelector('.profiles');
  const status = parentElement.querySelector('.status');
  if (data.go !== null) { pick(data.go, status); return; }
  list.replaceChildren(...data.people.map(person => {
    const button = document.createElement('button');
    const name = document.createElement('strong');
    const does = document.createElement('span');
    button.type = 'button';
    button.onclick = () => pick(person.id, status);
    name.textContent = person.name;
    does.textContent = person.does;
    button.append(name, does);
    return button;
  }));
}
"""
_CSS = (
    COMPONENT_CSS
    + """
.profiles { display: grid; gap: .5rem; }
.profiles button { display: flex; justify-content: space-between; gap: 1rem; text-align: left; }
.profiles span { color: var(--assay-quiet); }
"""
)
_HTML = '<div class="profiles"></div><p class="status" role="status" aria-live="polite"></p>'


class Profile(TypedDict):
    """A profile that can be picked: its number, its name, and what the person does."""

    id: int
    name: str
    does: str


def choices(people: list[Profile], *, go: int | None = None) -> None:
    """Buttons, one per profile; `go` picks one at once instead.

    An `id` of 0 signs out.
    """
    # Registered at each draw: a registry belongs to one server runtime, or to one test run.
    component = st.components.v2.component("assay_profiles", html=_HTML, css=_CSS, js=_JS)
    component(key="profiles", data={"people": people, "go": go})


async def _choose(request: Request) -> Response:
    if request.headers.get("content-type") != "application/json":
        return JSONResponse({"error": "Send JSON."}, 415)  # a form of another site cannot
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            return JSONResponse({"error": "Too long."}, 413)
    chosen = _number(body)
    if chosen is None:
        return JSONResponse({"error": "Send the number of a profile."}, 400)
    answer = JSONResponse({"ok": True})
    name = cookie_name("profile")
    answer.delete_cookie(name, httponly=True, samesite="strict")
    if chosen:
        answer.set_cookie(
            name, str(chosen), max_age=_YEAR, httponly=True, samesite="strict", path="/"
        )
    return answer


def _number(body: bytes) -> int | None:
    try:
        value = json.loads(body)["id"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return None
    return value if type(value) is int and 0 <= value < 2**31 else None


ROUTE = Route("/assay/profile", _choose, methods=["POST"])
