"""Take the rows of a file into a project: all of them or none, each with its file and line."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import schema_check
from curation.exchange.incoming import Incoming
from curation.overlap import ledger
from curation.overlap.leakage import How
from storage import events, pairs, projects
from storage.access import allowed
from storage.errors import BadInput
from storage.tables import PairRow
from storage.types import Origin, Pair, Project, Role, User
from storage.values import value_of


@dataclass(frozen=True, slots=True)
class Taken:
    """What an import did."""

    added: tuple[int, ...]
    """Ids of the new pairs, in the order of the file."""
    known: int
    """Rows that an earlier import of the same file had brought."""
    invalid: int
    """New rows whose output does not fit the schema: they wait for a person to repair them."""
    repeating: tuple["Repeat", ...] = ()
    """New rows that repeat test rows: linked to them, and shut out of every version."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A row of the file that repeats a test row."""

    line: int
    pair_id: int
    test_id: int
    how: How
    similarity: float


@allowed(Role.EXPERT, Role.LEAD)
def take(
    session: Session,
    actor: User,
    project_id: int,
    rows: tuple[Incoming, ...],
    *,
    name: str,
    sha256: str,
    held_out: bool = False,
    origin: Origin = Origin.IMPORT,
) -> Taken:
    """Store rows waiting for review. Importing the same file again adds nothing.

    `held_out` rows become test rows: they are reviewed like all others but never trained on. Rows
    that repeat what is or ever was a test row are taken but linked to it as leaks, which no version
    takes and nobody can waive: people see both side by side and reject one.

    Raises:
        BadInput: a row names an era that the project does not have.
    """
    project = projects.get(session, project_id)
    eras = _eras(session, project, rows)
    seen = _known(session, project_id, sha256)
    added: list[Pair] = []
    invalid = 0
    for row in rows:
        key = f"{sha256}:{row.line}"
        if key in seen:
            continue
        stored = pairs.add(
            session,
            project_id,
            row.prompt,
            row.response,
            origin,
            author=actor if origin is Origin.GOLD else None,
            era_id=eras.get((row.era or "").strip().lower()),
            topic=row.topic,
            held_out=held_out,
            source=_source(row, name, sha256),
            source_key=key,
        )
        added.append(value_of(Pair, stored))
        invalid += bool(
            project.output_schema and schema_check.problems(row.response, project.output_schema)
        )
    lines = {pair.id: int(pair.source["line"]) for pair in added}
    leaks = [] if held_out else ledger.mark(session, project_id, added)
    repeating = tuple(
        Repeat(lines[one.train_id], one.train_id, one.test_id, one.how, one.similarity)
        for one in leaks
    )
    events.record(
        session,
        actor,
        "import",
        "file",
        sha256,
        project_id=project_id,
        added=len(added),
        known=len(rows) - len(added),
        held_out=held_out,
        repeating=len({one.pair_id for one in repeating}),
    )
    ids = tuple(pair.id for pair in added)
    return Taken(ids, len(rows) - len(added), invalid, repeating)


def _source(row: Incoming, name: str, sha256: str) -> dict[str, Any]:
    told = {"file": name, "sha256": sha256, "line": row.line, "id": row.source_id}
    return told | ({"system_sha256": row.other_system} if row.other_system else {})


def _eras(session: Session, project: Project, rows: tuple[Incoming, ...]) -> dict[str, int | None]:
    known: dict[str, int | None] = {"": None}
    known.update({era.name.lower(): era.id for era in projects.eras(session, project.id)})
    for row in rows:
        if (row.era or "").strip().lower() not in known:
            raise BadInput(
                f"Line {row.line} names a policy era that this project does not have. "
                "Add the era on the Eras page, or leave that column out of the mapping."
            )
    return known


def _known(session: Session, project_id: int, sha256: str) -> set[str]:
    query = select(PairRow.source_key).where(
        PairRow.project_id == project_id, PairRow.source_key.startswith(f"{sha256}:")
    )
    return {key for key in session.scalars(query) if key}
