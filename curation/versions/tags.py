"""Names that people give to versions; moving a name is a new row, and every earlier one stays."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.versions import archive
from storage import events, people
from storage.access import allowed
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import VersionTagRow
from storage.types import Role, User, Version

_NAME = re.compile(r"[a-z][a-z0-9._-]{0,39}")
_RESERVED = frozenset({"latest", "newest", "all"})


@dataclass(frozen=True, slots=True)
class Tag:
    """That a person gave a name to a version."""

    name: str
    version_id: int
    by: str
    at: datetime


def history(session: Session, project_id: int) -> list[Tag]:
    """Every naming in a project, the newest first."""
    names = people.names(session)
    query = select(VersionTagRow).where(VersionTagRow.project_id == project_id)
    return [
        Tag(row.name, row.version_id, names.get(row.user_id, "someone"), row.created_at)
        for row in session.scalars(query.order_by(VersionTagRow.id.desc()))
    ]


def current(session: Session, project_id: int) -> dict[str, Tag]:
    """Where each name points now, by name."""
    newest: dict[str, Tag] = {}
    for tag in history(session, project_id):
        newest.setdefault(tag.name, tag)
    return dict(sorted(newest.items()))


def of(session: Session, version: Version) -> list[str]:
    """The names that point to a version now."""
    tags = current(session, version.project_id)
    return [name for name, tag in tags.items() if tag.version_id == version.id]


@allowed(Role.LEAD)
def tag(session: Session, actor: User, version_id: int, name: str) -> None:
    """Point a name at a version; it leaves the version it was on before.

    Raises:
        BadInput: the name is not 1 to 40 small letters, digits, dots, dashes or underscores that
            begin with a letter, or it has a meaning of its own.
        RuleBroken: the name points there already.
    """
    name = name.strip()
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise BadInput(
            "A tag is 1 to 40 small letters, digits, dots, dashes or underscores, begins with a "
            "letter, and is not latest, newest or all."
        )
    version = archive.get(session, version_id)
    existing = current(session, version.project_id).get(name)
    if existing is not None and existing.version_id == version_id:
        raise RuleBroken(f"Version {version.number} has the tag {name} already.")
    row = VersionTagRow(
        project_id=version.project_id, name=name, version_id=version_id, user_id=actor.id
    )
    session.add(row)
    session.flush()
    events.record(
        session,
        actor,
        "tag",
        "version",
        version_id,
        project_id=version.project_id,
        name=name,
        before=existing.version_id if existing else None,
    )


def find(session: Session, project_id: int, named: str = "") -> Version:
    """The version of a number or a tag; the newest where neither is given.

    Raises:
        NotFound: there is none.
    """
    versions = archive.listing(session, project_id)
    if not versions:
        raise NotFound("There is no version yet. Freeze one first.")
    if not named:
        return versions[0]
    tagged = current(session, project_id).get(named)
    for version in versions:
        if str(version.number) == named or (tagged and tagged.version_id == version.id):
            return version
    numbers = ", ".join(str(version.number) for version in reversed(versions[:20]))
    raise NotFound(f"There is no version or tag of this name. There are versions {numbers}.")
