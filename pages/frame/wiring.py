"""Where pages meet the layers below: the one cached engine, the one place that calls a verb."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from pages.frame.plain import plain
from storage import projects, scratch, settings
from storage.engine import open_engine, reading, writing
from storage.errors import AssayError, NotFound
from storage.types import Project, User

T = TypeVar("T")

_OPEN_PROJECT = "open-project"
"""The scratch form that remembers which project a person last opened."""


@st.cache_resource(show_spinner=False)
def _engine_at(path: str) -> Engine:
    return open_engine(Path(path))


def engine() -> Engine:
    """The engine of the present data folder; a Session is never kept."""
    return _engine_at(str(settings.current().database))


@contextmanager
def looking() -> Iterator[Session]:
    """A consistent look at the database."""
    with reading(engine()) as session:
        yield session


def act(done: str, verb: Callable[..., T], *args: object, **kwargs: object) -> T | None:
    """Run one verb in one transaction; say `done` (if it says anything), or why it was refused.

    Anything but a refusal is a bug: it goes on to `server.on_script_error`.
    """
    try:
        with writing(engine()) as session:
            result = verb(session, *args, **kwargs)
    except AssayError as error:
        st.error(plain(str(error)))
        return None
    if done:
        st.toast(plain(done))
    return result


def current_project(user: User) -> Project | None:
    """The project this person last opened, else the first one; None where there is none."""
    with looking() as session:
        chosen = scratch.load(session, user, _OPEN_PROJECT).get("id")
        if isinstance(chosen, int):
            try:
                return projects.get(session, chosen)
            except NotFound:
                pass
        return next(iter(projects.everything(session)), None)


def choose_project(user: User, project_id: int) -> None:
    """Remember which project this person opens from now on."""
    act("", scratch.save, user, _OPEN_PROJECT, {"id": project_id})
