"""Roles are checked here, in the verb: hiding a page is navigation, not permission."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from storage.errors import NotAllowed
from storage.tables import UserRow
from storage.types import Role, User

P = ParamSpec("P")
T = TypeVar("T")

VERBS: dict[str, frozenset[Role]] = {}
"""Every guarded verb with the roles that may use it; the role matrix test walks this."""


def allowed(
    *roles: Role,
) -> Callable[
    [Callable[Concatenate[Session, User, P], T]], Callable[Concatenate[Session, User, P], T]
]:
    """Let only people with one of `roles` use a verb. Roles are read anew from the database."""

    def guard(
        verb: Callable[Concatenate[Session, User, P], T],
    ) -> Callable[Concatenate[Session, User, P], T]:
        name = f"{verb.__module__}.{verb.__name__}"
        VERBS[name] = frozenset(roles)

        @wraps(verb)
        def checked(session: Session, actor: User, /, *args: P.args, **kwargs: P.kwargs) -> T:
            require(session, actor, roles, verb.__name__)
            return verb(session, actor, *args, **kwargs)

        return checked

    return guard


def beforehand(
    look: Callable[..., AbstractContextManager[object]],
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Give a verb what it looks at before it takes the write lock, where that takes seconds: `look`
    is called with a session that holds no lock and the verb's own arguments, and what it gives
    stands around the transaction. A verb that is called without it looks for itself.
    """

    def mark(verb: Callable[P, T]) -> Callable[P, T]:
        vars(verb)["beforehand"] = look
        return verb

    return mark


def require(session: Session, actor: User, roles: tuple[Role, ...], what: str) -> None:
    """Refuse unless the person has one of `roles` now.

    Raises:
        NotAllowed: the profile is gone, or none of its roles fits.
    """
    row = session.get(UserRow, actor.id)
    own = set(row.roles) if row is not None and row.kind == "person" else set()
    if not own & {role.value for role in roles}:
        fitting = " or ".join(role.value for role in roles)
        raise NotAllowed(
            f"{actor.name} may not {what.replace('_', ' ')}: this asks for the role {fitting}. "
            "Ask an admin to add it to your profile."
        )
