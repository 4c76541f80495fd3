"""Imports in chunks: pairs under ids that were set aside for them, unseen until all are there.

The last pair is written first, so that whoever else adds a pair meanwhile gets an id after it. What
a process leaves that was killed or cancelled is swept: by the reconciler of jobs, and by the next
import of the file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from storage import chunks, half, pairs
from storage.engine import open_engine, writing
from storage.errors import RuleBroken
from storage.tables import ImportRow, LinkRow, PairRow, RevisionRow
from storage.types import User

_PAIR, _REVISION, _LINK = PairRow.__table__, RevisionRow.__table__, LinkRow.__table__


@dataclass(frozen=True, slots=True)
class HalfImport:
    """An import that is under way, or was cut off."""

    id: int
    project_id: int
    sha256: str
    first_id: int
    last_id: int
    job_id: str | None
    alive_until: datetime

    @property
    def is_dead(self) -> bool:
        """Whether its process let its time pass."""
        return half.is_dead(self.alive_until)

    @property
    def ids(self) -> range:
        """Of its pairs, in the order of the file."""
        return range(self.first_id, self.last_id + 1)


def unfinished(session: Session) -> list[HalfImport]:
    """The imports of all projects that are not whole."""
    query = select(ImportRow).where(ImportRow.whole_at.is_(None)).order_by(ImportRow.id)
    return [_value(row) for row in session.scalars(query)]


def _value(row: ImportRow) -> HalfImport:
    return HalfImport(
        row.id,
        row.project_id,
        row.sha256,
        row.first_id,
        row.last_id,
        row.job_id,
        row.alive_until,
    )


def begin(
    session: Session,
    actor: User,
    project_id: int,
    last: Callable[[int], pairs.NewPair],
    *,
    count: int,
    sha256: str,
    job_id: str | None = None,
) -> HalfImport:
    """Set `count` ids aside, and write the last of the pairs, which `last` makes for its id.

    Raises:
        RuleBroken: another process imports this file into the project now.
    """
    for going in unfinished(session):
        if (going.project_id, going.sha256) == (project_id, sha256):
            raise RuleBroken(
                "This file is being imported into the project already, or was until a moment ago. "
                "Wait a minute, then try again."
            )
    first = pairs.next_id(session)
    row = ImportRow(
        project_id=project_id,
        user_id=actor.id,
        sha256=sha256,
        first_id=first,
        last_id=first + count - 1,
        job_id=job_id,
        alive_until=half.until(),
    )
    session.add(row)
    session.flush()
    pairs.add_all(session, project_id, [last(row.last_id)])
    return _value(row)


def add(session: Session, going: HalfImport, rows: Sequence[pairs.NewPair]) -> None:
    """Write a chunk of its pairs."""
    renew(session, going)
    pairs.add_all(session, going.project_id, rows)


def renew(session: Session, going: HalfImport) -> None:
    """Show that its process lives.

    Raises:
        RuleBroken: it is swept, as its process had stood still for too long.
    """
    if not half.change(session, ImportRow, going.id, alive_until=half.until()):
        raise RuleBroken("This import stood still for too long and was cleared. Start it again.")


def complete(session: Session, going: HalfImport) -> None:
    """Make all its pairs, which must all be there, pairs of the project.

    Raises:
        RuleBroken: it was swept meanwhile, or pairs are missing.
    """
    renew(session, going)
    present = session.execute(
        select(func.count())
        .select_from(_PAIR)
        .where(_PAIR.c.id.between(going.first_id, going.last_id))
    ).scalar_one()
    if present != len(going.ids):
        raise RuleBroken("Pairs of this import are missing. Start it again.")
    session.execute(
        update(ImportRow).where(ImportRow.id == going.id).values(whole_at=datetime.now(UTC))
    )


def sweep(engine: Engine, cut_off: HalfImport) -> None:
    """Remove what an import has written, in chunks, and then the import itself.

    It is marked first: should its process still live, it writes nothing more.
    """
    with writing(engine) as session:
        if not half.doom(session, ImportRow, cut_off.id):
            return
    # Tables that could point at a pair have no index for it; at unseen ones nothing points.
    bare = open_engine(Path(str(engine.url.database)), foreign_keys=False)
    try:
        chunks.write(bare, cut_off.ids, _remove)
        with writing(bare) as session:
            session.execute(delete(ImportRow).where(ImportRow.id == cut_off.id))
    finally:
        bare.dispose()


def _remove(session: Session, ids: Sequence[int]) -> None:
    for column in (_REVISION.c.pair_id, _LINK.c.a, _LINK.c.b, _PAIR.c.id):
        session.execute(delete(column.table).where(column.between(ids[0], ids[-1])))
