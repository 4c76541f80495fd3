"""Take the rows of a file into a project: all of them or none, each with its file and line."""

import msgspec
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


class Repeat(msgspec.Struct, frozen=True):
    """A row of the file that repeats a test pair."""

    line: int
    pair_id: int
    test_id: int
    how: How
    similarity: float


class Imported(msgspec.Struct, frozen=True):
    """What an import did."""

    added: tuple[int, ...]
    """Ids of the new pairs, in the order of the file."""
    existing: int = msgspec.field(name="known")
    """Rows that an earlier import of the same file had brought."""
    invalid: int
    """New pairs whose output does not fit the schema: they wait for a person to repair them."""
    repeating: tuple[Repeat, ...] = ()
    """New pairs that repeat test pairs: linked to them, and shut out of every version."""


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
) -> Imported:
    """Store pairs waiting for review. Importing the same file again adds nothing.

    `held_out` pairs become test pairs: they are reviewed like all others but never trained on.
    Pairs that repeat what is or ever was a test pair are taken but linked to it as leaks, which no
    version takes and nobody can waive: people see both side by side and reject one.

    Raises:
        BadInput: a row names an era that the project does not have.
    """
    project = projects.get(session, project_id)
    eras = _eras(session, project, rows)
    existing = _source_keys(session, project_id, sha256)
    added: list[Pair] = []
    invalid = 0
    for row in rows:
        key = f"{sha256}:{row.line}"
        if key in existing:
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
    lines = {pair.id: int(pair.source["line"] or 0) for pair in added}
    leaks = [] if held_out else ledger.mark(session, project_id, added)
    repeating = tuple(
        Repeat(lines[leak.train_id], leak.train_id, leak.test_id, leak.how, leak.similarity)
        for leak in leaks
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
        repeating=len({repeat.pair_id for repeat in repeating}),
    )
    ids = tuple(pair.id for pair in added)
    return Imported(ids, len(rows) - len(added), invalid, repeating)


def _source(row: Incoming, name: str, sha256: str) -> dict[str, str | int | None]:
    source: dict[str, str | int | None] = {"file": name, "sha256": sha256, "line": row.line}
    source["id"] = row.source_id
    if row.system_sha256:
        source["system_sha256"] = row.system_sha256
    return source


def _eras(session: Session, project: Project, rows: tuple[Incoming, ...]) -> dict[str, int | None]:
    ids: dict[str, int | None] = {"": None}
    ids.update({era.name.lower(): era.id for era in projects.eras(session, project.id)})
    for row in rows:
        if (row.era or "").strip().lower() not in ids:
            raise BadInput(
                f"Line {row.line} names a policy era that this project does not have. "
                "Add the era on the Eras page, or leave that column out of the mapping."
            )
    return ids


def _source_keys(session: Session, project_id: int, sha256: str) -> set[str]:
    query = select(PairRow.source_key).where(
        PairRow.project_id == project_id, PairRow.source_key.startswith(f"{sha256}:")
    )
    return {key for key in session.scalars(query) if key}
