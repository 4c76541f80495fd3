"""Every verb declares its roles, refuses everyone else, and reads the roles anew."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import Engine

import curation
import storage
import training
from storage.access import VERBS, allowed
from storage.engine import writing
from storage.errors import NotAllowed
from storage.settings import ROOT
from storage.types import Role, User
from tests.support import stories
from tests.support.no_models.sitecustomize import ModelsRefused
from tests.support.source import imports


def _modules() -> tuple[dict[str, ModuleType], set[Path]]:
    """Every module of ours that a page can import, by name, and the files that load models."""
    imported: dict[str, ModuleType] = {}
    heavy: set[Path] = set()
    for package in (storage, curation, training):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith("__main__"):
                continue
            try:
                imported[module.name] = importlib.import_module(module.name)
            except ModelsRefused:
                heavy.add((ROOT / module.name.replace(".", "/")).with_suffix(".py"))
    return imported, heavy


MODULES, JOB_ONLY = _modules()
ATTRIBUTES: dict[str, object] = {
    f"{path}.{name}": value
    for path, module in MODULES.items()
    for name, value in vars(module).items()
}
VERBS_FOUND = sorted(VERBS.keys() & ATTRIBUTES.keys())


def test_there_are_verbs_to_guard() -> None:
    assert len(VERBS_FOUND) >= 25
    assert all(VERBS[name] for name in VERBS_FOUND)


def test_no_verb_is_where_only_a_job_process_looks() -> None:
    assert [path for path in JOB_ONLY if "storage.access" in imports(path)] == []


@pytest.mark.parametrize("name", VERBS_FOUND)
def test_a_person_without_the_role_is_refused(engine: Engine, name: str) -> None:
    verb = ATTRIBUTES[name]
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
