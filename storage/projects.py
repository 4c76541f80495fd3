"""Projects and their policy eras."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import zip_longest

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import events
from storage.access import allowed
from storage.blank import trim
from storage.errors import BadInput, NotFound
from storage.tables import EraRevisionRow, EraRow, ProjectRow
from storage.types import Era, Project, Role, User
from storage.values import value_of


def era(row: EraRow | EraRevisionRow, **derived: object) -> Era:
    """The value of an era's row, or of one of its revisions under the era's own ids."""
    texts = {"document": row.document or "", "url": row.url or ""}
    return value_of(Era, row, phrases=tuple(row.phrases), **texts, **derived)


def get(session: Session, project_id: int) -> Project:
    """One project.

    Raises:
        NotFound: there is no such project.
    """
    row = session.get(ProjectRow, project_id)
    if row is None:
        raise NotFound(f"There is no project {project_id}. Pick one on the Home page.")
    return value_of(Project, row)


def everything(session: Session) -> list[Project]:
    """All projects by name."""
    return [
        value_of(Project, row)
        for row in session.scalars(select(ProjectRow).order_by(ProjectRow.name))
    ]


def named(session: Session, name: str) -> Project | None:
    """The project of this name, if there is one."""
    row = session.scalar(select(ProjectRow).where(ProjectRow.name == name))
    return None if row is None else value_of(Project, row)


@allowed(Role.LEAD, Role.ADMIN)
def create(
    session: Session,
    actor: User,
    name: str,
    task: str,
    system_message: str,
    *,
    guidelines: str = "",
    output_schema: dict[str, object] | None = None,
    label_field: str | None = None,
    two_people: bool = True,
    sample: bool = False,
) -> Project:
    """Begin a project. `curation.project.begin.begin` also checks the schema.

    Raises:
        BadInput: a field is empty, or the name is taken.
    """
    name = trim(" ".join(name.split()))
    if not name or len(name) > 120:
        raise BadInput("A project needs a name of 1 to 120 characters.")
    task, system_message = trim(task), trim(system_message)
    if not task or not system_message:
        raise BadInput("A project needs a task description and a system message.")
    if named(session, name) is not None:
        raise BadInput(f"There is already a project named {name}. Choose another name.")
    row = ProjectRow(
        name=name,
        task=task,
        system_message=system_message,
        output_schema=output_schema,
        guidelines=guidelines if trim(guidelines) else "",
        label_field=label_field,
        two_people=two_people,
        sample=sample,
    )
    session.add(row)
    session.flush()
    events.record(session, actor, "create", "project", row.id, project_id=row.id)
    return value_of(Project, row)


@allowed(Role.LEAD, Role.ADMIN)
def change(
    session: Session, actor: User, project_id: int, *, guidelines: str, two_people: bool
) -> Project:
    """Change what may change without touching rows: guidelines and the second-person rule."""
    row = session.get(ProjectRow, project_id)
    if row is None:
        raise NotFound(f"There is no project {project_id}.")
    row.guidelines, row.two_people = guidelines if trim(guidelines) else "", two_people
    session.flush()
    events.record(
        session,
        actor,
        "change",
        "project",
        project_id,
        project_id=project_id,
        two_people=two_people,
    )
    return value_of(Project, row)


@allowed(Role.LEAD)
def reword(session: Session, actor: User, project_id: int, system_message: str) -> Project:
    """Give a project another system message. Frozen versions keep the one they were made with.

    Raises:
        BadInput: it is empty.
        NotFound: there is no such project.
    """
    row = session.get(ProjectRow, project_id)
    if row is None:
        raise NotFound(f"There is no project {project_id}.")
    if not trim(system_message):
        raise BadInput("A project needs a system message.")
    before, row.system_message = row.system_message, trim(system_message)
    session.flush()
    events.record(
        session,
        actor,
        "reword",
        "project",
        project_id,
        project_id=project_id,
        before=_sha256(before),
        after=_sha256(row.system_message),
    )
    return value_of(Project, row)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def eras(session: Session, project_id: int) -> list[Era]:
    """The policy eras of a project, oldest first."""
    query = select(EraRow).where(EraRow.project_id == project_id).order_by(EraRow.starts_on)
    return [era(row) for row in session.scalars(query)]


def last_days(eras: Sequence[Era]) -> dict[int, date | None]:
    """The last day of each era, by id; None for one that is open. Without an end of its own, an
    era ends on the day before the next one starts."""
    ordered = sorted(eras, key=lambda era: era.starts_on)
    nexts = [era.starts_on - timedelta(days=1) for era in ordered[1:]]
    return {era.id: era.ends_on or day for era, day in zip_longest(ordered, nexts)}


def current_era(eras: Sequence[Era], today: date | None = None) -> Era | None:
    """The era in force on a day (UTC today): started, not over, not retired; None without one.

    The days of a retired era stay its own: retiring it puts none before it back into force.
    """
    today, last = today or datetime.now(UTC).date(), last_days(eras)
    for era in eras:
        if not era.retired and era.starts_on <= today <= (last[era.id] or today):
            return era
    return None
