"""Who is using this browser.

In local mode a profile is picked, not proven: whoever holds the start-up key may be anyone. Company
sign-in will change `identify` alone; everything else asks the database what that person may do.
"""

from collections.abc import Mapping

import streamlit as st

from pages.frame.security import cookie_name
from pages.frame.wiring import looking
from storage import people
from storage.errors import NotFound
from storage.types import User


def cookies() -> Mapping[str, str]:
    """Cookies that the browser sent when it connected; the page's own scripts cannot read them."""
    return st.context.cookies


def identify() -> int | None:
    """The id of the profile that this browser speaks for. Says nothing about whether it exists."""
    return profile(cookies())


def profile(jar: Mapping[str, str]) -> int | None:
    """The id of the profile that these cookies speak for."""
    value = jar.get(cookie_name("profile"), "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else None


def current() -> User | None:
    """The person, with the roles they hold now; None where nobody is signed in."""
    chosen = identify()
    if chosen is None:
        return None
    with looking() as session:
        try:
            return people.get(session, chosen)
        except NotFound:
            return None


def require_user() -> User:
    """The person, or the end of this draw: each page begins with it."""
    user = current()
    if user is None:
        st.warning("Nobody is signed in here. Pick a profile first.")
        st.stop()
    return user
