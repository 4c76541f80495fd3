"""Who may open which page: every page, every role, and nobody."""

import pytest
from sqlalchemy import Engine, text
from streamlit.testing.v1 import AppTest

from pages.frame import identity, index, shell
from pages.frame.security import cookie_name
from pages.frame.shell import PLACES, SIGN_IN
from storage.settings import ROOT
from storage.types import Role, User
from tests.support.ui import OpenPage, join

WHO = {
    Role.EXPERT: "Home Write Import Draft Review Browse Scrub Duplicates Audit Health Blind "
    "Profiles Settings",
    Role.REVIEWER: "Home Review Browse Scrub Duplicates Audit Health Blind Profiles Settings",
    Role.ADMIN: "Home People Activity Backups Profiles Settings",
}
ADDRESSES = {
    "home": "Home",
    "write": "Write",
    "import": "Import",
    "draft": "Draft",
    "review": "Review",
    "browse": "Browse",
    "scrub": "Scrub",
    "duplicates": "Duplicates",
    "audit": "Audit",
    "health": "Health",
    "eras": "Eras",
    "ready": "Ready",
    "versions": "Versions",
    "decide": "Decide",
    "launch": "Launch",
    "runs": "Runs",
    "experiments": "Experiments",
    "adapters": "Adapters",
    "compare": "Compare",
    "blind": "Blind",
    "people": "People",
    "activity": "Activity",
    "backups": "Backups",
    "sign_in": "Profiles",
    "settings": "Settings",
}
"""The addresses of 0.3.1, which people may have kept, and the page that opened at each."""
MADE = [place for place in PLACES if (ROOT / place.path).is_file()]


def _person(*roles: Role) -> User:
    return User(id=1, name="ana", roles=frozenset(roles))


@pytest.mark.parametrize("role", WHO)
def test_what_a_role_sees(role: Role) -> None:
    places = {place.title for place in PLACES if place.roles & {role}}
    assert places == set(WHO[role].split())
    assert shell.open_to(_person(role)) == [place for place in MADE if place.title in places]


def test_a_lead_sees_everything() -> None:
    assert all(Role.LEAD in place.roles for place in PLACES)


def test_nobody_sees_only_the_sign_in_page() -> None:
    assert shell.open_to(None) == [SIGN_IN]


def test_every_page_file_has_a_place() -> None:
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "pages").glob("*/*/page.py")}
    assert files == {place.path for place in MADE}


def test_page_addresses_differ() -> None:
    assert len(set(shell.addresses())) == len(PLACES)


def test_every_address_that_people_may_have_kept_opens_its_page() -> None:
    assert {address: shell.at(address).title for address in ADDRESSES} == ADDRESSES
    served = {route.path for route in index.routes(shell.addresses())}
    assert served >= {f"/{address}" for address in ADDRESSES}


@pytest.mark.parametrize("place", MADE, ids=lambda place: place.title)
def test_a_page_opens_for_its_people_on_an_empty_install(
    engine: Engine, open_page: OpenPage, place: shell.Place
) -> None:
    page = open_page(place.path, user=join(engine, "ana", *place.roles))
    assert not page.exception
    assert page.title


@pytest.mark.parametrize("place", MADE, ids=lambda place: place.title)
def test_a_page_is_not_there_for_nobody(open_page: OpenPage, place: shell.Place) -> None:
    if place is SIGN_IN:
        return
    page = open_page(None, user=None)
    assert page.title[0].value == "Who are you?"
    with pytest.raises(ValueError, match="not"):
        page.switch_page(place.path).run()


@pytest.mark.parametrize(
    "cookie", ["", "0", "99", "-1", "1.0", "1 ", "\u0661", "9" * 400, "1; admin"]
)
def test_a_forged_profile_is_nobody(engine: Engine, open_page: OpenPage, cookie: str) -> None:
    join(engine, "ana")
    page = open_page(None, user=None, cookies={cookie_name("profile"): cookie})
    assert page.title[0].value == "Who are you?"


def test_a_lost_role_counts_at_the_next_draw(engine: Engine, open_page: OpenPage) -> None:
    ana = join(engine, "ana", Role.EXPERT)
    page = open_page("pages/account/settings/page.py", user=ana)
    assert "expert" in page.markdown[1].value
    with engine.begin() as connection:
        connection.execute(text("""UPDATE user SET roles = '["reviewer"]'"""))
    page.run()
    assert "reviewer" in page.markdown[1].value
    with engine.begin() as connection:
        connection.execute(text("UPDATE user SET kind = 'machine'"))
    page.run()
    assert page.title[0].value == "Who are you?"


@pytest.mark.parametrize("place", MADE, ids=lambda place: place.title)
@pytest.mark.usefixtures("engine")
def test_a_page_run_without_the_frame_still_asks(
    monkeypatch: pytest.MonkeyPatch, place: shell.Place
) -> None:
    if place is SIGN_IN:
        return
    monkeypatch.setattr(identity, "cookies", dict)
    page = AppTest.from_file(ROOT / place.path).run()
    assert not page.exception
    assert page.warning[0].value.startswith("Nobody is signed in here.")
    assert not page.title
