"""Profiles: who is here and what their roles are."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage import events
from storage.access import allowed
from storage.blank import trim
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import UserRow
from storage.types import Role, User
from storage.values import value_of


def _user(row: UserRow) -> User:
    return value_of(User, row, roles=frozenset(map(Role, row.roles)))


def get(session: Session, user_id: int) -> User:
    """One person.

    Raises:
        NotFound: there is no such profile.
    """
    row = session.get(UserRow, user_id)
    if row is None or row.kind != "person":
        raise NotFound("This profile does not exist. Pick another one on the sign-in page.")
    return _user(row)


def everyone(session: Session) -> list[User]:
    """All profiles by name."""
    query = select(UserRow).where(UserRow.kind == "person").order_by(UserRow.name)
    return [_user(row) for row in session.scalars(query)]


def names(session: Session) -> dict[int, str]:
    """Names by id."""
    return {user.id: user.name for user in everyone(session)}


def join(session: Session, name: str, roles: frozenset[Role], *, actor: User | None = None) -> User:
    """Make a profile. In local mode whoever holds the start-up token may make one.

    Raises:
        BadInput: the name is empty, too long or taken, or no role was chosen.
    """
    name = trim(" ".join(name.split()))
    if not name or len(name) > 80:
        raise BadInput("A profile needs a name of 1 to 80 characters.")
    if not roles:
        raise BadInput(f"Choose at least one role for {name}.")
    namesake = select(UserRow.id).where(func.lower(UserRow.name) == name.lower())
    if session.scalar(namesake) is not None:
        raise BadInput(f"There is already a profile named {name}. Pick it, or use another name.")
    row = UserRow(name=name, roles=sorted(role.value for role in roles))
    session.add(row)
    session.flush()
    events.record(session, actor, "join", "user", row.id, roles=sorted(row.roles))
    return _user(row)


@allowed(Role.ADMIN)
def set_roles(
    session: Session,
    actor: User,
    user_id: int,
    roles: frozenset[Role],
    before: frozenset[Role] | None = None,
) -> User:
    """Change what a person may do; it counts from their next click.

    Raises:
        RuleBroken: nobody with the admin role would be left, no role was chosen, or the roles are
            no longer the ones `before`.
    """
    row = session.get(UserRow, user_id)
    if row is None or row.kind != "person":
        raise NotFound("This profile does not exist.")
    if before is not None and _user(row).roles != before:
        raise RuleBroken(f"Someone else changed the roles of {row.name}. Look at them again.")
    if not roles:
        raise RuleBroken(f"Choose at least one role for {row.name}.")
    others = any(Role.ADMIN in user.roles for user in everyone(session) if user.id != user_id)
    if Role.ADMIN not in roles and not others:
        raise RuleBroken(f"{row.name} is the only admin. Make someone else admin first.")
    row.roles = sorted(role.value for role in roles)
    events.record(session, actor, "set_roles", "user", user_id, roles=row.roles)
    session.flush()
    return _user(row)
