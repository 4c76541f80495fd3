"""Profiles and roles: one name once, never without an admin, counted from the next verb."""

import pytest
from sqlalchemy import Engine

from storage import people
from storage.engine import reading, writing
from storage.errors import BadInput, NotAllowed, NotFound, RuleBroken
from storage.types import Role
from tests.support import stories


def test_a_profile_needs_a_free_name_and_a_role(engine: Engine) -> None:
    ana = stories.person(engine, "Ana Lind")
    assert (ana.name, ana.roles) == ("Ana Lind", frozenset(Role))
    with writing(engine) as session:
        with pytest.raises(BadInput, match="already a profile named ana LIND"):
            people.join(session, "  ana   LIND ", frozenset({Role.EXPERT}))
        for name in ("", "   ", "x" * 81):
            with pytest.raises(BadInput, match="1 to 80 characters"):
                people.join(session, name, frozenset({Role.EXPERT}))
        with pytest.raises(BadInput, match="at least one role"):
            people.join(session, "bo", frozenset())


def test_an_admin_changes_roles_and_they_count_at_once(engine: Engine) -> None:
    ana, bo = stories.person(engine, "ana"), stories.person(engine, "bo", Role.EXPERT)
    with writing(engine) as session:
        changed = people.set_roles(session, ana, bo.id, frozenset({Role.ADMIN, Role.LEAD}))
    assert changed.roles == {Role.ADMIN, Role.LEAD}
    with writing(engine) as session:
        people.set_roles(session, bo, ana.id, frozenset({Role.EXPERT}))
        with pytest.raises(NotAllowed, match="asks for the role admin"):
            people.set_roles(session, ana, bo.id, frozenset({Role.EXPERT}))


def test_the_last_admin_stays(engine: Engine) -> None:
    ana = stories.person(engine, "ana")
    with writing(engine) as session, pytest.raises(RuleBroken, match="only admin"):
        people.set_roles(session, ana, ana.id, frozenset({Role.EXPERT}))


def test_roles_that_someone_else_changed_meanwhile_are_left_alone(engine: Engine) -> None:
    ana, bo = stories.person(engine, "ana"), stories.person(engine, "bo", Role.EXPERT)
    with writing(engine) as session:
        people.set_roles(session, ana, bo.id, frozenset({Role.LEAD}), bo.roles)
        with pytest.raises(RuleBroken, match="Someone else changed the roles of bo"):
            people.set_roles(session, ana, bo.id, frozenset({Role.REVIEWER}), bo.roles)
        with pytest.raises(RuleBroken, match="at least one role"):
            people.set_roles(session, ana, bo.id, frozenset())
    with reading(engine) as session:
        assert people.get(session, bo.id).roles == {Role.LEAD}


def test_a_profile_that_is_not_there(engine: Engine) -> None:
    ana = stories.person(engine, "ana")
    with writing(engine) as session:
        with pytest.raises(NotFound, match="does not exist"):
            people.get(session, 99)
        with pytest.raises(NotFound, match="does not exist"):
            people.set_roles(session, ana, 99, frozenset({Role.LEAD}))
