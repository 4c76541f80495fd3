"""People: admins change roles, others look; a change made meanwhile is not overwritten."""

from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from storage import people
from storage.engine import reading, writing
from storage.types import Role, User
from tests.support import stories
from tests.support.ui import OpenPage

PAGE = "pages/operate/people/page.py"


def _key(user: User) -> str:
    return f"roles-{user.id}-{'-'.join(sorted(user.roles))}"


def _roles(engine: Engine, user: User) -> frozenset[Role]:
    with reading(engine) as session:
        return people.get(session, user.id).roles


def _choose(page: AppTest, user: User, *roles: str) -> AppTest:
    page.multiselect(key=_key(user)).set_value(list(roles)).run()
    return page.button(key=f"save-{_key(user)}").click().run()


def test_an_admin_changes_what_a_person_may_do(engine: Engine, open_page: OpenPage) -> None:
    ben = stories.person(engine, "ben", Role.EXPERT)
    page = open_page(PAGE, user=stories.person(engine, "ida", Role.ADMIN))
    assert page.button(key=f"save-{_key(ben)}").disabled
    _choose(page, ben, "expert", "lead")
    assert page.toast[0].value == "ben's roles are changed."
    assert _roles(engine, ben) == {Role.EXPERT, Role.LEAD}


def test_the_last_admin_and_empty_roles_are_refused(engine: Engine, open_page: OpenPage) -> None:
    ben = stories.person(engine, "ben", Role.EXPERT)
    ida = stories.person(engine, "ida", Role.ADMIN)
    page = _choose(open_page(PAGE, user=ida), ida, "expert")
    assert "ida is the only admin" in page.error[0].value
    page = _choose(open_page(PAGE, user=ida), ben)
    assert "Choose at least one role for ben" in page.error[0].value
    assert _roles(engine, ida) == {Role.ADMIN}
    assert _roles(engine, ben) == {Role.EXPERT}


def test_a_change_by_someone_else_is_not_overwritten(engine: Engine, open_page: OpenPage) -> None:
    ben = stories.person(engine, "ben", Role.EXPERT)
    ida = stories.person(engine, "ida", Role.ADMIN)
    page = open_page(PAGE, user=ida)
    page.multiselect(key=_key(ben)).set_value(["expert", "reviewer"]).run()
    with writing(engine) as session:
        people.set_roles(session, ida, ben.id, frozenset({Role.LEAD}))
    page.button(key=f"save-{_key(ben)}").click().run()
    assert "Someone else changed the roles of ben" in page.error[0].value
    assert _roles(engine, ben) == {Role.LEAD}


def test_a_lead_looks_and_changes_nothing(engine: Engine, open_page: OpenPage) -> None:
    stories.person(engine, "ida", Role.ADMIN)
    page = open_page(PAGE, user=stories.person(engine, "lena", Role.LEAD))
    assert "Only an admin can change roles" in page.text[0].value
    assert not page.multiselect
    assert "admin" in [text.value for text in page.text]


def test_an_admin_who_lost_the_role_is_refused(engine: Engine, open_page: OpenPage) -> None:
    ida, max_ = stories.person(engine, "ida", Role.ADMIN), stories.person(engine, "max", Role.ADMIN)
    ben = stories.person(engine, "ben", Role.EXPERT)
    page = open_page(PAGE, user=ida)
    page.multiselect(key=_key(ben)).set_value(["lead"]).run()
    with writing(engine) as session:
        people.set_roles(session, max_, ida.id, frozenset({Role.EXPERT}))
    page.button(key=f"save-{_key(ben)}").click().run()
    assert "ida may not set roles" in page.error[0].value
    assert _roles(engine, ben) == {Role.EXPERT}


def test_names_are_shown_as_typed(engine: Engine, open_page: OpenPage) -> None:
    stories.person(engine, "**bo** ![x](https://example.com/x.png)", Role.EXPERT)
    page = open_page(PAGE, user=stories.person(engine, "ida", Role.ADMIN))
    assert "**bo** ![x](https://example.com/x.png)" in [text.value for text in page.text]
    assert all("![x](" not in markdown.value for markdown in page.markdown)
