"""Take the rows of a file into a project: all of them or none, each with its file and line.

A small file is taken in one transaction. A large one is written in chunks, so that nobody waits for
it, and its pairs are unseen until all are there: see `storage.imports`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import overload

import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from curation import schema_check
from curation.exchange.incoming import Incoming
from curation.overlap import compared, ledger
from curation.overlap.leakage import How, Leak, SourcedInput
from storage import chunks, events, imports, pairs, projects, steps
from storage.access import allowed, require
from storage.engine import reading, require_room, writing
from storage.errors import BadInput, Unavailable
from storage.tables import PairRow
from storage.types import Origin, Project, Role, User

LARGE = 1_000
"""Rows from which on a file is taken in chunks, by a job of its own where pages ask for it."""
_ROOM = 6
"""Bytes of disk for a letter of text: the pair, its first revision, and the log before them."""
_COMPARED = 5_000
"""Rows that are compared with the test pairs at a time: it takes 100 to 150 MB of memory."""
_WRITING = 0.5
"""What is done of a large import once its rows are compared and are to be written."""
_ROLES = (Role.EXPERT, Role.LEAD)


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


@dataclass(frozen=True, slots=True)
class Intake:
    """Where the rows of a file go, and what is the same for all of them."""

    project_id: int
    name: str
    """Of the file."""
    sha256: str
    held_out: bool = False
    """Whether they become test pairs: reviewed like all others but never trained on."""
    origin: Origin = Origin.IMPORT


@dataclass(frozen=True, slots=True)
class _IntakePlan:
    """What an import will write; nothing of it is written yet."""

    intake: Intake
    project: Project
    author_id: int | None
    eras: dict[str, int | None]
    rows: Sequence[Incoming]
    """Those that are new."""
    existing: int
    invalid: int
    leaks: tuple[Leak, ...]
    """`train_id` is the place of a new row."""

    def pair(self, place: int, pair_id: int) -> pairs.NewPair:
        """The row at a place as a pair."""
        row, intake = self.rows[place], self.intake
        return pairs.NewPair(
            id=pair_id,
            prompt=row.prompt,
            response=row.response,
            content_sha256=pairs.content_sha256(row.prompt, row.response),
            origin=intake.origin,
            author_id=self.author_id,
            era_id=self.eras[_era(row)],
            topic=row.topic,
            held_out=intake.held_out,
            source=_source(row, intake),
            source_key=f"{intake.sha256}:{row.line}",
        )

    def imported(self, first_id: int) -> Imported:
        """What the import did that gave the first new row this id."""
        repeating = tuple(
            Repeat(
                self.rows[leak.train_id].line,
                first_id + leak.train_id,
                leak.test_id,
                leak.how,
                leak.similarity,
            )
            for leak in self.leaks
        )
        ids = tuple(range(first_id, first_id + len(self.rows)))
        return Imported(ids, self.existing, self.invalid, repeating)


@dataclass(frozen=True, slots=True)
class _NewPairs(Sequence[pairs.NewPair]):
    """The pairs of an import, each made when it is asked for: a chunk is made before its
    transaction begins, and no two copies of a large file are in memory.
    """

    plan: _IntakePlan
    ids: range

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> pairs.NewPair: ...
    @overload
    def __getitem__(self, at: slice) -> list[pairs.NewPair]: ...
    def __getitem__(self, at: int | slice) -> pairs.NewPair | list[pairs.NewPair]:
        places = range(len(self.ids))[at]
        if isinstance(places, int):
            return self.plan.pair(places, self.ids[places])
        return [self.plan.pair(place, self.ids[place]) for place in places]


@allowed(*_ROLES)
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
    plan = _planned(
        session, actor, Intake(project_id, name, sha256, held_out=held_out, origin=origin), rows
    )
    first_id = pairs.next_id(session)
    if plan.rows:
        ids = range(first_id, first_id + len(plan.rows))
        pairs.add_all(session, project_id, _NewPairs(plan, ids))
    _link(session, plan, first_id, plan.leaks)
    return _recorded(session, actor, plan, first_id)


def take_in_chunks(
    engine: Engine,
    actor: User,
    intake: Intake,
    rows: Sequence[Incoming],
    *,
    step: steps.Step = steps.quiet,
    job_id: str | None = None,
    settle: Callable[[Session, Imported], None] = lambda _session, _imported: None,
) -> Imported:
    """As `take`, in many short transactions; nobody sees a pair before all are there.

    `settle` is called in the transaction that makes the import whole. Whatever ends the work before
    that, `step` included, leaves nothing of it.

    Raises:
        NotAllowed: the person may not import.
        BadInput: a row names an era that the project does not have.
        RuleBroken: the file is being imported already.
    """
    with reading(engine) as session:
        require(session, actor, _ROLES, "import")
        cut_off = [going for going in imports.unfinished(session) if _same(going, intake)]
    for going in cut_off:
        if going.is_dead:
            imports.sweep(engine, going)
    with reading(engine) as session:
        plan = _planned(session, actor, intake, rows, step)
    if not plan.rows:
        with writing(engine) as session:
            imported = _recorded(session, actor, plan, 0)
            settle(session, imported)
        return imported
    return _written(engine, actor, plan, step, job_id, settle)


def _written(
    engine: Engine,
    actor: User,
    plan: _IntakePlan,
    step: steps.Step,
    job_id: str | None,
    settle: Callable[[Session, Imported], None],
) -> Imported:
    last = len(plan.rows) - 1
    with writing(engine) as session:
        going = imports.begin(
            session,
            actor,
            plan.project.id,
            lambda pair_id: plan.pair(last, pair_id),
            count=last + 1,
            sha256=plan.intake.sha256,
            job_id=job_id,
        )
    try:
        chunks.write(
            engine,
            _NewPairs(plan, going.ids[:-1]),
            lambda session, new: imports.add(session, going, new),
            steps.part(step, _WRITING, 1, len(plan.rows)),
        )
        chunks.write(
            engine,
            plan.leaks,
            lambda session, leaks: _link(session, plan, going.first_id, leaks),
        )
        with writing(engine) as session:
            imports.complete(session, going)
            imported = _recorded(session, actor, plan, going.first_id)
            settle(session, imported)
    except BaseException:
        # Also where the process is interrupted. A disk too full even to sweep is swept later.
        with suppress(Unavailable):
            imports.sweep(engine, going)
        raise
    return imported


def _same(going: imports.HalfImport, intake: Intake) -> bool:
    return (going.project_id, going.sha256) == (intake.project_id, intake.sha256)


def _planned(
    session: Session,
    actor: User,
    intake: Intake,
    rows: Sequence[Incoming],
    step: steps.Step = steps.quiet,
) -> _IntakePlan:
    project = projects.get(session, intake.project_id)
    eras = _eras(session, project, rows)
    existing = _source_keys(session, project.id, intake.sha256)
    new = [row for row in rows if f"{intake.sha256}:{row.line}" not in existing]
    schema = project.output_schema
    letters = sum(len(row.prompt) + len(row.response) for row in new)
    require_room(session, _ROOM * letters, "The import")
    return _IntakePlan(
        intake=intake,
        project=project,
        author_id=actor.id if intake.origin is Origin.GOLD else None,
        eras=eras,
        rows=new,
        existing=len(rows) - len(new),
        invalid=sum(bool(schema_check.problems(row.response, schema)) for row in new)
        if schema
        else 0,
        leaks=() if intake.held_out else _leaks(session, project.id, new, step),
    )


def _leaks(
    session: Session, project_id: int, new: Sequence[Incoming], step: steps.Step
) -> tuple[Leak, ...]:
    """Which new rows repeat tested pairs; rows have no id yet, so each is named by its place."""
    look = compared.remembering(session, project_id)
    inputs = [
        SourcedInput(-1 - place, row.prompt, row.source_id or None) for place, row in enumerate(new)
    ]
    tested = ledger.tested(session, project_id)
    parts = -(-len(inputs) // _COMPARED)
    # Every so manieth row is a part: what counts as a template is a share of the rows at hand, and
    # a file that is sorted would otherwise have parts with nothing else in them.
    repeats: list[Leak] = []
    for part in range(parts):
        ends = (_WRITING * part / parts, _WRITING * (part + 1) / parts)
        tell = steps.part(step, *ends, len(new))
        tell(0, parts)
        repeats += ledger.repeats(tested, inputs[part::parts], look, tell)
    placed = (Leak(-1 - leak.train_id, leak.test_id, leak.similarity, leak.how) for leak in repeats)
    return tuple(sorted(placed, key=lambda leak: (leak.train_id, leak.test_id)))


def _link(session: Session, plan: _IntakePlan, first_id: int, leaks: Sequence[Leak]) -> None:
    """Link new pairs to the tested ones that they repeat."""
    rows = ((plan.rows[leak.train_id], leak) for leak in leaks)
    ledger.link(
        session,
        plan.project.id,
        [
            (
                Leak(first_id + leak.train_id, leak.test_id, leak.similarity, leak.how),
                pairs.content_sha256(row.prompt, row.response),
            )
            for row, leak in rows
        ],
    )


def _recorded(session: Session, actor: User, plan: _IntakePlan, first_id: int) -> Imported:
    imported = plan.imported(first_id)
    events.record(
        session,
        actor,
        "import",
        "file",
        plan.intake.sha256,
        project_id=plan.project.id,
        added=len(imported.added),
        known=imported.existing,
        held_out=plan.intake.held_out,
        repeating=len({repeat.pair_id for repeat in imported.repeating}),
    )
    return imported


def _source(row: Incoming, intake: Intake) -> dict[str, str | int | None]:
    source: dict[str, str | int | None] = {
        "file": intake.name,
        "sha256": intake.sha256,
        "line": row.line,
    }
    source["id"] = row.source_id
    if row.system_sha256:
        source["system_sha256"] = row.system_sha256
    return source


def _era(row: Incoming) -> str:
    return (row.era or "").strip().lower()


def _eras(session: Session, project: Project, rows: Sequence[Incoming]) -> dict[str, int | None]:
    ids: dict[str, int | None] = {"": None}
    ids.update({era.name.lower(): era.id for era in projects.eras(session, project.id)})
    for row in rows:
        if _era(row) not in ids:
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
