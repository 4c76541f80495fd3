"""Every verb declares its roles, refuses everyone else, and reads the roles anew."""

import importlib
import pkgutil

import pytest
from sqlalchemy import Engine

import curation
import storage
import training
from storage.access import VERBS, allowed
from storage.engine import writing
from storage.errors import NotAllowed
from storage.types import Role, User
from tests.support import stories

_JOB_ONLY = (
    "curation.personal.analyzer",
    "training.exits.",
    "training.proving.generate",
    "training.tuning.",
)
"""What only a job process imports, by how its name begins; no verb is there."""


def _verbs() -> dict[str, object]:
    """All guarded verbs by full name, from every module that a page can import."""
    found: dict[str, object] = {}
    for package in (storage, curation, training):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(_JOB_ONLY) and not module.name.endswith("__main__"):
                loaded = importlib.import_module(module.name)
                found |= {f"{module.name}.{name}": value for name, value in vars(loaded).items()}
    return {name: found[name] for name in VERBS if name in found}


VERBS_FOUND = sorted(_verbs())


def test_there_are_verbs_to_guard() -> None:
    assert len(VERBS_FOUND) >= 25
    assert all(VERBS[name] for name in VERBS_FOUND)


@pytest.mark.parametrize("name", VERBS_FOUND)
def test_a_person_without_the_role_is_refused(engine: Engine, name: str) -> None:
    verb = _verbs()[name]
    assert callable(verb)
    for role in set(Role) - VERBS[name]:
        who = stories.person(engine, f"only-{role}", role)
        with writing(engine) as session, pytest.raises(NotAllowed, match="asks for the role"):
            verb(session, who)


def test_a_forged_role_in_memory_does_not_help(engine: Engine) -> None:
    eva = stories.person(engine, "eva", Role.EXPERT)
    forged = User(eva.id, eva.name, frozenset(Role))

    @allowed(Role.LEAD)
    def launch(_session: object, _actor: User) -> bool:
        return True

    with writing(engine) as session, pytest.raises(NotAllowed):
        launch(session, forged)
