"""What changed between two versions, pair by pair, with the reason where someone gave one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.versions import archive
from storage import people
from storage.tables import DecisionRow
from storage.types import Action, Outcome, Version, VersionRow

_CHUNK = 500
"""Ids in one query; databases bound how many parameters one may have."""
_DONE = {
    Action.APPROVE: "approved",
    Action.SCRUB: "personal data replaced, approved before",
    Action.REJECT: "rejected",
    Action.REOPEN: "sent back to review",
    Action.UNDO: "decision taken back",
    Action.FLAG: "flagged",
}


@dataclass(frozen=True, slots=True)
class PairChange:
    """One row that differs. `before` or `after` is None where the version lacks the row."""

    pair_id: int
    before: VersionRow | None
    after: VersionRow | None
    why: str
    """Who did what with which reason, as a clause; "" where nobody said."""


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """What changed between two versions, by pair id. A pair may be both changed and moved."""

    added: tuple[int, ...]
    removed: tuple[int, ...]
    changed: tuple[int, ...]
    moved: tuple[int, ...] = ()
    """Pairs in another split."""
    rows: tuple[PairChange, ...] = ()
    """Every pair above, by its id."""


def kind(change: PairChange) -> str:
    """What happened to a pair, in one or two words."""
    if change.before is None or change.after is None:
        return "added" if change.before is None else "removed"
    moved = change.before.split is not change.after.split
    if change.before.content_sha256 == change.after.content_sha256:
        return "moved"
    return "changed, moved" if moved else "changed"


def difference(session: Session, older: int, newer: int) -> VersionDifference:
    """What a version added, removed, changed and moved against an older one, both proven.

    Reasons are the last applied decision about the pair before the newer version was frozen.
    """
    return between(session, archive.opened(session, older), archive.opened(session, newer))


def between(session: Session, old: archive.Opened, new: archive.Opened) -> VersionDifference:
    """What `difference` says, of two versions that were opened."""
    before, after = ({row.pair_id: row for row in version.rows} for version in (old, new))
    both = before.keys() & after.keys()
    changed = {i for i in both if before[i].content_sha256 != after[i].content_sha256}
    moved = {i for i in both if before[i].split is not after[i].split}
    touched = sorted((before.keys() ^ after.keys()) | changed | moved)
    reasons = _reasons(session, touched, new.version)
    return VersionDifference(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(sorted(changed)),
        moved=tuple(sorted(moved)),
        rows=tuple(
            PairChange(
                i,
                before.get(i),
                after.get(i),
                _moved(old.version, new.version) if i in moved - changed else reasons.get(i, ""),
            )
            for i in touched
        ),
    )


def _moved(old: Version, new: Version) -> str:
    if old.seed != new.seed:
        return f"split drawn with seed {new.seed} instead of {old.seed}"
    return "split drawn anew for another set of pairs"


def _reasons(session: Session, pair_ids: Sequence[int], until: Version) -> dict[int, str]:
    """The last decision about each pair, after the reason for which it was last sent back."""
    names = people.names(session)
    clauses: dict[int, str] = {}
    reopened: dict[int, str] = {}
    for start in range(0, len(pair_ids), _CHUNK):
        query = (
            select(DecisionRow)
            .where(
                DecisionRow.pair_id.in_(pair_ids[start : start + _CHUNK]),
                DecisionRow.outcome == Outcome.APPLIED,
                DecisionRow.action.in_(list(_DONE)),
                DecisionRow.created_at <= until.created_at,
            )
            .order_by(DecisionRow.id)
        )
        for row in session.scalars(query):
            clause = f"{_DONE[row.action]} by {names.get(row.user_id, 'someone')}"
            clause += f": {row.reason}" if row.reason else ""
            if row.action is Action.REOPEN:
                reopened[row.pair_id] = clause
            elif row.pair_id in reopened:
                clause = f"{reopened[row.pair_id]}; {clause}"
            clauses[row.pair_id] = clause
    return clauses
