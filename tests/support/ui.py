"""Page tests: open a page through `app.py` with a real SQLite file, as one of several people.

AppTest has no browser, so it sends no cookies. The fixtures here give it a jar: `identity.cookies`
is replaced inside the test process. Nothing in the program itself honours a test setting.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import Engine, event
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from pages.frame import identity, shell, wiring
from pages.frame.security import cookie_name
from storage import migrate, people
from storage.engine import open_engine, reading, writing
from storage.settings import ROOT
from storage.types import Role, User
from tests.support.patience import PATIENCE

OpenPage = Callable[..., AppTest]
_JAR = "cookies of this test's browser"
installed = cache(manifest_scanner.scan_component_manifests)
"""Components of the installed packages: AppTest looks through all packages for each test."""


def join(engine: Engine, name: str, *roles: Role) -> User:
    """A person of this name, made where missing; all four roles unless some are given."""
    with reading(engine) as session:
        for user in people.everyone(session):
            if user.name == name:
                return user
    with writing(engine) as session:
        return people.join(session, name, frozenset(roles or Role))


@pytest.fixture(autouse=True)
def own_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves a page as `__main__`; a process spawned later would run it and die."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database at the present schema, migrated once and copied for each test."""
    path = tmp_path_factory.mktemp("migrated") / "assay.db"
    made = open_engine(path)
    migrate.upgrade(made)
    made.dispose()  # closing the last connection writes the log back into the file
    return path


def _unsynced(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
    """No test pulls the plug, so none waits until the disk has everything."""
    connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture
def engine(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The migrated database of a data folder of its own."""
    monkeypatch.setenv("ASSAY_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir(exist_ok=True)
    shutil.copy(migrated, tmp_path / "data" / "assay.db")
    engine = wiring.engine()
    event.listen(engine, "connect", _unsynced)
    yield engine
    engine.dispose()
    st.cache_resource.clear()


def _address(path: str) -> str:
    for place in shell.PLACES:
        if place.path == path:
            return place.address
    raise ValueError(f"{path} is no page.")


def landed(path: str | None, jar: dict[str, str]) -> AppTest:
    """A browser with these cookies on a page, as from a bookmark, without drawing Home first."""
    page = AppTest.from_file(ROOT / "app.py", default_timeout=PATIENCE)
    page.session_state[_JAR] = jar
    if path is not None:
        page._page_hash = calc_hash(_address(path))
    page.run()
    # Registered now, or refused: Streamlit would show another page in place of it.
    return page if path is None else page.switch_page(path)


def jar() -> dict[str, str]:
    """What stands in for `identity.cookies`."""
    return dict(st.session_state[_JAR])


@pytest.fixture
def open_page(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> OpenPage:
    """`open_page("pages/label/review/page.py", user="ana")`: the page as drawn for that person.

    `user` is a name (made with all roles where missing), a User, or None for nobody.
    """
    monkeypatch.setattr(identity, "cookies", jar)
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", installed)

    def open_page(
        path: str | None,
        user: str | User | None = "ana",
        cookies: dict[str, str] | None = None,
    ) -> AppTest:
        person = join(engine, user) if isinstance(user, str) else user
        profile = {cookie_name("profile"): str(person.id)} if person else {}
        return landed(path, profile if cookies is None else cookies)

    return open_page
