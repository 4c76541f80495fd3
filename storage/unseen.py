"""What no query sees: the pairs and links of an import that is not whole yet.

Held at one place, for every statement of the ORM (`Session.get`, joins and subqueries too). A
statement in plain SQL, or on `PairRow.__table__`, passes by it; `storage.imports` writes and sweeps
so. While no import is under way, which is nearly always, nothing is added to any statement.
"""

from sqlalchemy import Connection, and_, event, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, with_loader_criteria

from storage.tables import ImportRow, LinkRow, PairRow

_HALF = select(ImportRow.__table__.c.first_id, ImportRow.__table__.c.last_id).where(
    ImportRow.__table__.c.whole_at.is_(None)
)
_KEY = "half-imports"


def _forget(session: Session, _transaction: SessionTransaction, _connection: Connection) -> None:
    """Another transaction sees another state."""
    session.info.pop(_KEY, None)


def _half(connection: Connection) -> list[tuple[int, int]]:
    """The ids of each import that is not whole, first and last."""
    try:
        return [(row[0], row[1]) for row in connection.execute(_HALF)]
    except OperationalError as error:
        if "no such table: import" in str(error.orig):
            return []  # a backup of an older Assay, looked at before it is brought up to date
        raise


def _hide(state: ORMExecuteState) -> None:
    """Leave unseen pairs out of a statement."""
    if not state.is_orm_statement or state.is_insert or state.is_column_load:
        return
    session = state.session
    connection = session.connection()
    if _KEY not in session.info:
        session.info[_KEY] = _half(connection)
    ranges: list[tuple[int, int]] = session.info[_KEY]
    if not ranges:
        return
    pairs = and_(*(~PairRow.id.between(*ids) for ids in ranges))
    links = and_(*(~column.between(*ids) for column in (LinkRow.a, LinkRow.b) for ids in ranges))
    state.statement = state.statement.options(
        with_loader_criteria(PairRow, pairs, include_aliases=True),
        with_loader_criteria(LinkRow, links, include_aliases=True),
    )


def install() -> None:
    """Hide them from every session of this process."""
    if not event.contains(Session, "do_orm_execute", _hide):
        event.listen(Session, "after_begin", _forget)
        event.listen(Session, "do_orm_execute", _hide)
