"""Fields whose words go to the database as they are typed: leaving the page loses nothing."""

from collections.abc import Callable, Mapping

import streamlit as st
from sqlalchemy.orm import Session

from pages.frame.wiring import act, looking
from storage import scratch
from storage.types import User


def load(user: User, form: str) -> Mapping[str, object]:
    """The words kept for a form."""
    with looking() as session:
        return scratch.load(session, user, form)


def key(form: str, field: str) -> str:
    """The widget key of a field."""
    return f"{form}-{field}"


def value(form: str, field: str) -> str:
    """What stands in a field now; for callbacks."""
    return str(st.session_state.get(key(form, field)) or "")


def line(user: User, form: str, field: str, label: str, *, limit: int = 200) -> None:
    """A field of one line."""
    st.text_input(
        label,
        value=str(load(user, form).get(field, "")),
        key=key(form, field),
        max_chars=limit,
        on_change=keep,
        args=(user, form, field),
    )


def area(
    user: User, form: str, field: str, label: str, default: str = "", *, limit: int | None = 4000
) -> None:
    """A field of several lines."""
    st.text_area(
        label,
        value=str(load(user, form).get(field, default)),
        key=key(form, field),
        max_chars=limit,
        height=100,
        on_change=keep,
        args=(user, form, field),
    )


def keep(user: User, form: str, field: str) -> None:
    """Store what a field holds; the `on_change` of any widget keyed by `key`."""
    act("", _merge, user, form, field, st.session_state[key(form, field)])


def _merge(session: Session, user: User, form: str, field: str, typed: object) -> None:
    scratch.save(session, user, form, {**scratch.load(session, user, form), field: typed})


def send(message: str, user: User, form: str, verb: Callable[..., object], *args: object) -> None:
    """Run the verb that a form is for, and forget what was typed, in one transaction."""

    def both(session: Session) -> None:
        verb(session, *args)
        scratch.clear(session, user, form)

    act(message, both)
