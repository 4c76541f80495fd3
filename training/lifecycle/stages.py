"""The stages of adapters: candidate, approved, production, retired. Changes are only ever added."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage import people
from storage.tables import AdapterRow, AdapterStageRow
from storage.types import Stage, StageChange, User
from storage.values import value_of
from training.records.parts import GateLine
from training.records.record import written


def history(session: Session, adapter_id: int) -> list[StageChange]:
    """Every change of an adapter, the first one first."""
    query = select(AdapterStageRow).where(AdapterStageRow.adapter_id == adapter_id)
    names = people.names(session)
    return [
        value_of(StageChange, row, by=names.get(row.user_id, "someone"), gate=tuple(row.gate))
        for row in session.scalars(query.order_by(AdapterStageRow.number))
    ]


def of_project(session: Session, project_id: int) -> dict[int, Stage]:
    """The stage of each adapter of a project, by id."""
    mine = session.scalars(select(AdapterRow.id).where(AdapterRow.project_id == project_id))
    stages = dict.fromkeys(mine, Stage.CANDIDATE)
    for row in session.scalars(
        select(AdapterStageRow)
        .where(AdapterStageRow.adapter_id.in_(stages))
        .order_by(AdapterStageRow.number)
    ):
        stages[row.adapter_id] = row.stage
    return stages


def in_production(session: Session, project_id: int) -> int | None:
    """The id of the adapter in production, if there is one."""
    stages = of_project(session, project_id).items()
    return next((i for i, stage in stages if stage is Stage.PRODUCTION), None)


def before(session: Session, project_id: int) -> int | None:
    """The id of the adapter that was in production last before the present one and could go back:
    it is approved still.
    """
    stands = of_project(session, project_id)
    query = (
        select(AdapterStageRow.adapter_id)
        .where(AdapterStageRow.adapter_id.in_(stands), AdapterStageRow.stage == Stage.PRODUCTION)
        .order_by(AdapterStageRow.id.desc())
    )
    return next((i for i in session.scalars(query) if stands[i] is Stage.APPROVED), None)


def add(
    session: Session,
    actor: User,
    adapter_id: int,
    stage: Stage,
    reason: str,
    gate: Sequence[GateLine] = (),
) -> None:
    """Write one change, for verbs that have checked their own rules and roles."""
    newest = session.scalar(
        select(func.max(AdapterStageRow.number)).where(AdapterStageRow.adapter_id == adapter_id)
    )
    session.add(
        AdapterStageRow(
            adapter_id=adapter_id,
            number=(newest or 0) + 1,
            stage=stage,
            user_id=actor.id,
            reason=reason,
            gate=[written(line) for line in gate],
        )
    )
    session.flush()
