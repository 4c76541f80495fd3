"""Leases: which claims still run. A clock that was set anew makes nobody wait for long."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from storage.tables import ClaimRow

LEASE = timedelta(minutes=15)
_STEP = timedelta(minutes=1)
"""How far a clock may be set right without a claim being over that began just before."""


def running(now: datetime) -> ColumnElement[bool]:
    """Whether a claim's lease still runs.

    One that would run longer than a lease can was begun under another clock: it is over. What its
    holder decides nevertheless is taken while nobody else was handed the pair, or kept as late.
    """
    return and_(ClaimRow.lease_until > now, ClaimRow.lease_until <= now + LEASE + _STEP)


def holders(session: Session, pair_ids: Collection[int] | None = None) -> dict[int, int]:
    """Who is looking at these pairs now, or at any: the person's id by the pair's."""
    query = select(ClaimRow.pair_id, ClaimRow.user_id).where(running(datetime.now(UTC)))
    if pair_ids is not None:
        query = query.where(ClaimRow.pair_id.in_(pair_ids))
    return {row.pair_id: row.user_id for row in session.execute(query)}
