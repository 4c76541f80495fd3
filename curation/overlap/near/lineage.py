"""Rows that were copied from one another: a family is split as one, and tests as one.

A copy is edited afterwards, so the search for near-duplicates may no longer see where it came from.
"""

from collections import defaultdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.tables import PairRow

CLONE = "clone:"
"""How the source key of every copy begins."""


def families(session: Session, project_id: int) -> list[frozenset[int]]:
    """Rows that stem from one row by cloning, with that row, whatever their status."""
    query = select(PairRow.id, PairRow.source).where(
        PairRow.project_id == project_id, PairRow.source_key.startswith(CLONE)
    )
    parents = {row.id: int(row.source["cloned_from"]) for row in session.execute(query)}
    members: dict[int, set[int]] = defaultdict(set)
    for clone, first in parents.items():
        while first in parents:
            first = parents[first]
        members[first] |= {first, clone}
    return [frozenset(family) for family in members.values()]


def tested(session: Session, project_id: int) -> frozenset[int]:
    """Rows whose family has a test row: none of them may ever train."""
    query = select(PairRow.id).where(PairRow.project_id == project_id, PairRow.held_out)
    held_out = set(session.scalars(query))
    return frozenset(
        row for family in families(session, project_id) if family & held_out for row in family
    )
