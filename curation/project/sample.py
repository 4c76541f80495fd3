"""Open the sample project: a bank's support desk, with fictional people who wrote and approved it.

Its files and their faults are described in `sample_data/README.md`. Every approval here is given
through the verbs of review by a fictional person: no real person has read these rows.
"""

import json
import uuid
from datetime import date
from pathlib import Path
from typing import Any

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
"""The fictional expert who wrote the gold pairs and the test rows."""
APPROVER = "Ben (sample)"
"""The fictional reviewer who approved them."""
IMPORTS = ("import.csv", "import.jsonl")
_ALL = 10_000


def about() -> dict[str, Any]:
    """What `project.json` says: name, task, system message, schema, eras."""
    told: dict[str, Any] = json.loads((FOLDER / "project.json").read_text(encoding="utf-8"))
    return told


@allowed(Role.LEAD, Role.ADMIN)
def begin(session: Session, actor: User, *, reviewed: bool) -> Project:
    """Make the sample project, or give back the one that was made before.

    Gold pairs and held-out rows are approved. With `reviewed` both import files are taken in too
    and every row that fits the schema is approved, faults of other kinds included; without it
    they are left for the person to import.

    Raises:
        BadInput: a project of this name exists that is not the sample.
    """
    told = about()
    known = projects.named(session, told["name"])
    if known is not None and known.sample:
        return known
    schema_check.check_schema(told["output_schema"])
    project = projects.create(
        session,
        actor,
        told["name"],
        told["task"],
        told["system_message"],
        guidelines=(FOLDER / "guidelines.md").read_text(encoding="utf-8"),
        output_schema=told["output_schema"],
        label_field=told["label_field"],
        sample=True,
    )
    for era in told["eras"]:
        eras.add(
            session,
            actor,
            project.id,
            era["name"],
            date.fromisoformat(era["starts_on"]),
            retired=era["retired"],
            phrases=tuple(era["phrases"]),
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
    known = {era.name: era.id for era in projects.eras(session, project.id)}
    lines = (FOLDER / "gold.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, lines):
        words = Submission(str(uuid.uuid4()), row["prompt"], row["response"], row["topic"])
        writing.gold(session, author, project.id, words, known[row["era"]])


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
