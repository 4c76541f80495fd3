"""What changed between two versions, pair by pair, with the reason where someone gave one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, case, func, outerjoin, select
from sqlalchemy.orm import Session, aliased

from curation.versions import archive
from storage import people
from storage.tables import DecisionRow, MemberRow
from storage.types import Action, Outcome, PairSample, Version, VersionRow

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


@dataclass(frozen=True, slots=True)
class VersionGlance:
    """As `VersionDifference`, in numbers, with the first pairs of each sort alone."""

    added: PairSample
    removed: PairSample
    changed: PairSample
    moved: PairSample
    rows: tuple[PairChange, ...] = ()
    """Of the samples' pairs, by id."""

    @property
    def count(self) -> int:
        """Pairs that differ; one that is both changed and moved counts as changed."""
        sorts = (self.added, self.removed, self.changed, self.moved)
        return sum(sample.count for sample in sorts)


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
    old, new = archive.opened(session, older), archive.opened(session, newer)
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


def glance(session: Session, old: Version, new: Version) -> VersionGlance:
    """What a version added, removed, changed and moved, counted by the database; nothing is proven.

    Changed and moved exclude each other, and a sort names `PairSample.LIMIT` pairs at most.
    """
    samples = _samples(session, old, new)
    touched = sorted(pair_id for sample in samples.values() for pair_id in sample.ids)
    was, now = (archive.stored(session, version.id, touched) for version in (old, new))
    reasons = _reasons(session, touched, new)
    elsewhere = set(samples["moved"].ids)
    return VersionGlance(
        **samples,
        rows=tuple(
            PairChange(
                i,
                was.get(i),
                now.get(i),
                _moved(old, new) if i in elsewhere else reasons.get(i, ""),
            )
            for i in touched
        ),
    )


def _samples(session: Session, old: Version, new: Version) -> dict[str, PairSample]:
    """By sort: how many pairs, all counted in one pass over the newer version, and the first."""
    before, after = aliased(MemberRow), aliased(MemberRow)
    changed = before.content_sha256 != after.content_sha256
    moved = and_(~changed, before.split != after.split)
    twins = and_(before.pair_id == after.pair_id, before.version_id == old.id)
    added, differing, elsewhere = session.execute(
        select(
            func.count(case((before.pair_id.is_(None), 1))),
            func.count(case((changed, 1))),
            func.count(case((moved, 1))),
        )
        .select_from(outerjoin(after, before, twins))
        .where(after.version_id == new.id)
    ).one()
    joined = select(after.pair_id).join(before, twins).where(after.version_id == new.id)
    queries = {
        "added": (added, _only_in(new, old)),
        "removed": (
            sum(old.counts.values()) - sum(new.counts.values()) + added,
            _only_in(old, new),
        ),
        "changed": (differing, joined.where(changed)),
        "moved": (elsewhere, joined.where(moved)),
    }
    return {sort: _first(session, count, query) for sort, (count, query) in queries.items()}


def _first(session: Session, count: int, which: Select[int]) -> PairSample:
    if not count:
        return PairSample(0, ())
    first = which.order_by(which.selected_columns[0]).limit(PairSample.LIMIT)
    return PairSample(count, tuple(session.scalars(first)))


def _only_in(version: Version, second: Version) -> Select[int]:
    member, twin = aliased(MemberRow), aliased(MemberRow)
    absent = (
        ~select(twin.pair_id)
        .where(twin.version_id == second.id, twin.pair_id == member.pair_id)
        .exists()
    )
    return select(member.pair_id).where(member.version_id == version.id, absent)


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
