"""The adapters of a project, by id, number or name."""

import re

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.errors import NotFound
from storage.tables import AdapterRow
from storage.types import Adapter
from storage.values import value_of

_NUMBERED = re.compile(r"(?:adapter@)?(\d{1,9})")


def _adapter(row: AdapterRow, number: int) -> Adapter:
    return value_of(Adapter, row, number=number, path=f"jobs/{row.job_id}/adapter")


def listing(session: Session, project_id: int) -> list[Adapter]:
    """The adapters of a project, newest first."""
    query = select(AdapterRow).where(AdapterRow.project_id == project_id).order_by(AdapterRow.id)
    return [_adapter(row, i) for i, row in enumerate(session.scalars(query), 1)][::-1]


def get(session: Session, adapter_id: int) -> Adapter:
    """One adapter.

    Raises:
        NotFound: there is no such adapter.
    """
    row = session.get(AdapterRow, adapter_id)
    if row is None:
        raise NotFound(f"There is no adapter {adapter_id}.")
    # Adapters are never deleted, so a place among them is theirs for good.
    query = select(func.count()).where(
        AdapterRow.project_id == row.project_id, AdapterRow.id <= adapter_id
    )
    return _adapter(row, session.scalar(query) or 0)


def named(session: Session, project_id: int, name: str) -> Adapter:
    """The adapter of a project that is called so: "adapter@3", "3", or its whole name.

    Raises:
        NotFound: there is none.
    """
    candidates = listing(session, project_id)
    numbered = _NUMBERED.fullmatch(name.strip())
    for adapter in candidates:
        if adapter.name == name or (numbered and adapter.number == int(numbered[1])):
            return adapter
    count = len(candidates)
    choice = f"There are adapter@1 to adapter@{count}." if count else "There is none yet."
    raise NotFound(f"There is no adapter {name[:80]!r} in this project. {choice}")
