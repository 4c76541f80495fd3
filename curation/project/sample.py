"""Open the sample project: a bank's support desk, with fictional people who wrote and approved it.

Its files and their faults are described in `sample_data/README.md`. Every approval here is given
through the verbs of review by a fictional person: no real person has read these pairs.
"""

import uuid
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from curation import schema_check
from curation.exchange import columns, files, incoming, intake
from curation.policy import eras
from curation.review import claims, decisions, writing
from curation.review.ops import Op, Submission
from storage import people, projects
from storage.access import allowed
from storage.settings import ROOT
from storage.types import Action, Card, Project, Role, User

FOLDER = ROOT / "sample_data"
AUTHOR = "Ana (sample)"
"""The fictional expert who wrote the gold and the test pairs."""
APPROVER = "Ben (sample)"
"""The fictional reviewer who approved them."""
IMPORTS = ("import.csv", "import.jsonl")
_ALL = 10_000


class SampleEra(msgspec.Struct, frozen=True):
    """An era of the sample project."""

    name: str
    starts_on: date
    retired: bool
    phrases: tuple[str, ...]


class SampleProject(msgspec.Struct, frozen=True):
    """What `project.json` says."""

    name: str
    task: str
    system_message: str
    label_field: str
    output_schema: dict[str, Any]
    eras: tuple[SampleEra, ...]


class GoldPair(msgspec.Struct, frozen=True):
    """A line of `gold.jsonl`."""

    prompt: str
    response: str
    topic: str
    era: str


def about() -> SampleProject:
    """The sample project as its file describes it."""
    return msgspec.json.decode((FOLDER / "project.json").read_bytes(), type=SampleProject)


@allowed(Role.LEAD, Role.ADMIN)
def begin(session: Session, actor: User, *, reviewed: bool) -> Project:
    """Make the sample project, or give back the one that was made before.

    Gold and held-out pairs are approved. With `reviewed` both import files are taken in too
    and every pair that fits the schema is approved, faults of other kinds included; without it
    they are left for the person to import.

    Raises:
        BadInput: a project of this name exists that is not the sample.
    """
    described = about()
    existing = projects.named(session, described.name)
    if existing is not None and existing.sample:
        return existing
    schema_check.check_schema(described.output_schema)
    project = projects.create(
        session,
        actor,
        described.name,
        described.task,
        described.system_message,
        guidelines=(FOLDER / "guidelines.md").read_text(encoding="utf-8"),
        output_schema=described.output_schema,
        label_field=described.label_field,
        sample=True,
    )
    for era in described.eras:
        eras.add(
            session,
            actor,
            project.id,
            era.name,
            era.starts_on,
            retired=era.retired,
            phrases=era.phrases,
        )
    author = _person(session, AUTHOR, Role.EXPERT)
    _write(session, author, project)
    _import(session, author, project, FOLDER / "held_out.jsonl", held_out=True)
    for name in IMPORTS if reviewed else ():
        _import(session, author, project, FOLDER / name, held_out=False)
    _approve(session, _person(session, APPROVER, Role.REVIEWER), project)
    return project


def _person(session: Session, name: str, role: Role) -> User:
    for user in people.everyone(session):
        if user.name == name:
            return user
    return people.join(session, name, frozenset({role}))


def _write(session: Session, author: User, project: Project) -> None:
    era_ids = {era.name: era.id for era in projects.eras(session, project.id)}
    for line in (FOLDER / "gold.jsonl").read_bytes().splitlines():
        pair = msgspec.json.decode(line, type=GoldPair)
        submission = Submission(str(uuid.uuid4()), pair.prompt, pair.response, pair.topic)
        writing.gold(session, author, project.id, submission, era_ids[pair.era])


def _import(
    session: Session, author: User, project: Project, path: Path, *, held_out: bool
) -> None:
    table = files.read(path, path.name)
    preview = incoming.apply(table, columns.suggest(table), project.system_message)
    intake.take(
        session,
        author,
        project.id,
        preview.take(path.name),
        name=path.name,
        sha256=table.sha256,
        held_out=held_out,
    )


def _approve(session: Session, approver: User, project: Project) -> None:
    """Let the reviewer take every card; what the schema refuses is skipped, so it waits on."""
    for card in claims.lease(session, approver, project.id, limit=_ALL):
        fits = not decisions.problems(project, card.pair.response)
        decisions.decide(session, approver, _op(card, Action.APPROVE if fits else Action.SKIP))


def _op(card: Card, action: Action) -> Op:
    return Op(
        op=str(uuid.uuid4()),
        row=card.pair.id,
        version=card.pair.version,
        fence=card.fence,
        action=action,
        prompt=None,
        response=None,
        reason=None,
        target=None,
    )
