"""Where pages meet the layers below: the one cached engine, the one place that calls a verb."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

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


@dataclass(frozen=True, slots=True)
class FormValue:
    """A field as an argument of a verb: read when the button is pressed.

    Streamlit binds the arguments of a button when it draws it. Who changes a field and presses
    before the page is drawn anew would act on the field's former value.
    """

    key: str


def act(done: str, verb: Callable[..., T], *args: object, **kwargs: object) -> T | None:
    """Run one verb in one transaction; say `done` (if it says anything), or why it was refused.

    Anything but a refusal is a bug: it goes on to `server.on_script_error`.
    """
    args = tuple(_now(value) for value in args)
    kwargs = {name: _now(value) for name, value in kwargs.items()}
    try:
        with _beforehand(verb, args, kwargs), writing(engine()) as session:
            result = verb(session, *args, **kwargs)
    except AssayError as error:
        st.error(plain(str(error)))
        return None
    if done:
        st.toast(plain(done))
    return result


def act_in_chunks(verb: Callable[..., T], *args: object, **kwargs: object) -> T | None:
    """As `act`, for a verb that opens its own short transactions: it looks first, beside everyone
    else's presses, and then holds the write lock no longer than it takes to write.
    """
    try:
        return verb(engine(), *args, **kwargs)
    except AssayError as error:
        st.error(plain(str(error)))
        return None


def _beforehand(
    verb: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> AbstractContextManager[object]:
    """What a verb looks at before it takes the write lock, which stops everyone else's presses:
    its attribute `beforehand`, given a session to look with and the verb's own arguments.
    """
    look = getattr(verb, "beforehand", None)
    if look is None:
        return nullcontext()
    with looking() as session:
        return cast("AbstractContextManager[object]", look(session, *args, **kwargs))


def _now(value: object) -> object:
    return st.session_state[value.key] if isinstance(value, FormValue) else value


def drawn(keys: Iterable[str]) -> Mapping[str, object]:
    """What fields hold while the page is drawn, for `unchanged`."""
    return {key: st.session_state.get(key) for key in keys}


def unchanged(fields: Mapping[str, object]) -> bool:
    """For callbacks that act on what was made of several fields when the page was drawn: whether
    they still hold the same. Else the press overtook the page, and the person is told so.
    """
    if drawn(fields) == fields:
        return True
    st.warning(
        "You changed something while the page was being drawn, so nothing was done. Look once "
        "more, then press again."
    )
    return False


def act_on(
    fields: Mapping[str, object],
    done: str,
    verb: Callable[..., object],
    *args: object,
    **kwargs: object,
) -> None:
    """`act`, where the arguments were made of fields that are `unchanged`."""
    if unchanged(fields):
        act(done, verb, *args, **kwargs)


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
