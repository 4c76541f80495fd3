"""What no query sees: pairs and links of an import that is not whole yet, and versions likewise.

Held at one place, for every statement of the ORM (`Session.get`, joins and subqueries too). A
statement in plain SQL, or on `PairRow.__table__`, passes by it; `storage.imports` writes and sweeps
so. While nothing is under way, which is nearly always, nothing is added to any statement.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event, exists, or_, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, with_loader_criteria

from storage.tables import (
    FreezingRow,
    ImportRow,
    LinkRow,
    MemberRow,
    PairRow,
    VersionProofRow,
    VersionRowTable,
)

_IMPORT = ImportRow.__table__
_HALF = _IMPORT.c.whole_at.is_(None)
_FREEZING = FreezingRow.__table__
_UNFROZEN = _FREEZING.c.whole_at.is_(None)
_ANY = (
    "SELECT EXISTS (SELECT 1 FROM import WHERE whole_at IS NULL), "
    "EXISTS (SELECT 1 FROM freezing WHERE whole_at IS NULL)"
)
"""Asked once a transaction, so it is not made anew each time."""
_KEYS = _IMPORTS, _VERSIONS = "half-imports", "half-versions"
_SHOWN = "half-versions-shown"


def _seen(*ids: Any) -> Any:  # noqa: ANN401 - columns of an alias, which have no common type
    """That none of these ids is of an import that is not whole."""
    own = or_(*(each.between(_IMPORT.c.first_id, _IMPORT.c.last_id) for each in ids))
    return ~exists(select(1).select_from(_IMPORT).where(_HALF, own).correlate_except(_IMPORT))


def _frozen(version_id: Any) -> Any:  # noqa: ANN401 - as above
    """That a version is not one that is being frozen."""
    own = _FREEZING.c.version_id == version_id
    return ~exists(
        select(1).select_from(_FREEZING).where(_UNFROZEN, own).correlate_except(_FREEZING)
    )


_CRITERIA = (
    with_loader_criteria(PairRow, lambda pair: _seen(pair.id), include_aliases=True),
    with_loader_criteria(LinkRow, lambda link: _seen(link.a, link.b), include_aliases=True),
)
"""They take the class or an alias of it, so that a statement may know the table by another name."""
_OF_VERSIONS = (
    with_loader_criteria(
        VersionRowTable, lambda version: _frozen(version.id), include_aliases=True
    ),
    with_loader_criteria(MemberRow, lambda row: _frozen(row.version_id), include_aliases=True),
    with_loader_criteria(
        VersionProofRow, lambda row: _frozen(row.version_id), include_aliases=True
    ),
)


def _forget(session: Session, _transaction: SessionTransaction, _connection: Connection) -> None:
    """Another transaction sees another state."""
    for key in _KEYS:
        session.info.pop(key, None)


def _are_any(connection: Connection) -> tuple[bool, bool]:
    """Whether an import is not whole, and whether a version is not."""
    try:
        imports, versions = connection.exec_driver_sql(_ANY).one()
    except OperationalError as error:
        if "no such table: " in str(error.orig):
            return False, False  # a backup of an older Assay, not brought up to date yet
        raise
    return bool(imports), bool(versions)


def _hide(state: ORMExecuteState) -> None:
    """Leave out of a statement what is unseen."""
    if not state.is_orm_statement or state.is_insert or state.is_column_load:
        return
    info = state.session.info
    connection = state.session.connection()
    if _IMPORTS not in info:
        info[_IMPORTS], info[_VERSIONS] = _are_any(connection)
    if info[_IMPORTS]:
        state.statement = state.statement.options(*_CRITERIA)
    if info[_VERSIONS] and _SHOWN not in info:
        state.statement = state.statement.options(*_OF_VERSIONS)


@contextmanager
def shown(session: Session) -> Iterator[None]:
    """Let a session see versions that are not whole: for whoever writes or sweeps them."""
    session.info[_SHOWN] = True
    try:
        yield
    finally:
        del session.info[_SHOWN]


def install() -> None:
    """Hide them from every session of this process."""
    if not event.contains(Session, "do_orm_execute", _hide):
        event.listen(Session, "after_begin", _forget)
        event.listen(Session, "do_orm_execute", _hide)
