"""What no query sees: the pairs and links of an import that is not whole yet.

Held at one place, for every statement of the ORM (`Session.get`, joins and subqueries too). A
statement in plain SQL, or on `PairRow.__table__`, passes by it; `storage.imports` writes and sweeps
so. While no import is under way, which is nearly always, nothing is added to any statement.
"""

from typing import Any

from sqlalchemy import Connection, event, exists, or_, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, with_loader_criteria

from storage.tables import ImportRow, LinkRow, PairRow

_IMPORT = ImportRow.__table__
_HALF = _IMPORT.c.whole_at.is_(None)
_KEY = "half-imports"


def _seen(*ids: Any) -> Any:  # noqa: ANN401 - columns of an alias, which have no common type
    """That none of these ids is of an import that is not whole."""
    own = or_(*(each.between(_IMPORT.c.first_id, _IMPORT.c.last_id) for each in ids))
    return ~exists(select(1).select_from(_IMPORT).where(_HALF, own).correlate_except(_IMPORT))


_CRITERIA = (
    with_loader_criteria(PairRow, lambda pair: _seen(pair.id), include_aliases=True),
    with_loader_criteria(LinkRow, lambda link: _seen(link.a, link.b), include_aliases=True),
)
"""They take the class or an alias of it, so that a statement may know the table by another name."""


def _forget(session: Session, _transaction: SessionTransaction, _connection: Connection) -> None:
    """Another transaction sees another state."""
    session.info.pop(_KEY, None)


def _is_any_half(connection: Connection) -> bool:
    """Whether an import is not whole."""
    try:
        return connection.execute(select(_IMPORT.c.id).where(_HALF).limit(1)).first() is not None
    except OperationalError as error:
        if "no such table: import" in str(error.orig):
            return False  # a backup of an older Assay, looked at before it is brought up to date
        raise


def _hide(state: ORMExecuteState) -> None:
    """Leave unseen pairs out of a statement."""
    if not state.is_orm_statement or state.is_insert or state.is_column_load:
        return
    connection = state.session.connection()
    if _KEY not in state.session.info:
        state.session.info[_KEY] = _is_any_half(connection)
    if state.session.info[_KEY]:
        state.statement = state.statement.options(*_CRITERIA)


def install() -> None:
    """Hide them from every session of this process."""
    if not event.contains(Session, "do_orm_execute", _hide):
        event.listen(Session, "after_begin", _forget)
        event.listen(Session, "do_orm_execute", _hide)
