"""Versions in chunks: under an id that was set aside, unseen until all their rows are there.

What a process leaves that was killed or cancelled is swept: by the reconciler of jobs, and by the
next freezing in the project.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session

from storage import chunks, half, unseen
from storage.engine import reading, writing
from storage.errors import RuleBroken
from storage.tables import FreezingRow, MemberRow, VersionRowTable


@dataclass(frozen=True, slots=True)
class HalfVersion:
    """A version that is being frozen, or whose freezing was cut off."""

    id: int
    project_id: int
    version_id: int
    job_id: str | None
    alive_until: datetime

    @property
    def is_dead(self) -> bool:
        """Whether its process let its time pass."""
        return half.is_dead(self.alive_until)


def unfinished(session: Session) -> list[HalfVersion]:
    """The versions of all projects that are not whole."""
    query = select(FreezingRow).where(FreezingRow.whole_at.is_(None)).order_by(FreezingRow.id)
    return [
        HalfVersion(row.id, row.project_id, row.version_id, row.job_id, row.alive_until)
        for row in session.scalars(query)
    ]


def begin(session: Session, project_id: int, job_id: str | None = None) -> HalfVersion:
    """Set the id of a version aside; whoever adds its row does so in the same transaction.

    Raises:
        RuleBroken: another process freezes a version of the project now.
    """
    if any(going.project_id == project_id for going in unfinished(session)):
        raise RuleBroken(
            "A version of this project is being frozen already, or was until a moment ago. "
            "Wait a minute, then try again."
        )
    row = FreezingRow(
        project_id=project_id,
        version_id=_newest(session) + 1,
        job_id=job_id,
        alive_until=half.until(),
    )
    session.add(row)
    session.flush()
    return HalfVersion(row.id, project_id, row.version_id, job_id, row.alive_until)


def _newest(session: Session) -> int:
    """The highest id of a version, also of one that nobody sees yet, or that was set aside."""
    with unseen.shown(session):
        ids = [session.scalar(select(func.max(VersionRowTable.id)))]
    ids.append(session.scalar(select(func.max(FreezingRow.version_id))))
    return max(number or 0 for number in ids)


def renew(session: Session, going: HalfVersion) -> None:
    """Show that its process lives.

    Raises:
        RuleBroken: it is swept, as its process had stood still for too long.
    """
    _living(session, going, alive_until=half.until())


def complete(session: Session, going: HalfVersion) -> None:
    """Let everybody see the version.

    Raises:
        RuleBroken: it was swept meanwhile.
    """
    _living(session, going, whole_at=datetime.now(UTC))


def _living(session: Session, going: HalfVersion, **values: datetime) -> None:
    if not half.change(session, FreezingRow, going.id, **values):
        raise RuleBroken("This freezing stood still for too long and was cleared. Start it again.")


def sweep(engine: Engine, cut_off: HalfVersion) -> None:
    """Remove what a freezing has written, in chunks, and then the freezing itself.

    It is marked first: should its process still live, it writes nothing more.
    """
    with writing(engine) as session:
        if not half.doom(session, FreezingRow, cut_off.id):
            return
    with reading(engine) as session, unseen.shown(session):
        query = select(MemberRow.pair_id).where(MemberRow.version_id == cut_off.version_id)
        members = list(session.scalars(query.order_by(MemberRow.pair_id)))

    def remove(session: Session, ids: Sequence[int]) -> None:
        own = MemberRow.version_id == cut_off.version_id
        with unseen.shown(session):
            session.execute(
                delete(MemberRow).where(own, MemberRow.pair_id.between(ids[0], ids[-1]))
            )

    chunks.write(engine, members, remove)
    with writing(engine) as session, unseen.shown(session):
        session.execute(delete(VersionRowTable).where(VersionRowTable.id == cut_off.version_id))
        session.execute(delete(FreezingRow).where(FreezingRow.id == cut_off.id))
