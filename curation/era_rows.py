"""What a policy change does to rows: find them, then send back, reject or clone those chosen.

Rows in a reviewer's hand and rows that changed since they were shown are left as they are and
counted. A search finds words, not meaning: see `curation.phrases` for what it misses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from curation import eras, health_coverage, lineage, phrases, review
from storage import events, pairs, people, projects
from storage.access import allowed
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import ClaimRow, EventRow, PairRow
from storage.types import Era, Pair, PairStatus, Role, User

MOST = 1000
"""Rows of one change, so that others can write in between."""
RETIRED = "Policy era retired"
"""The reason of a rejection by a policy change."""
_TAKEN_BACK, _CLONE_BACK = "Policy change taken back", "Clone taken back"
_VERBS = {
    "policy_send_back": "sent back to review",
    "policy_reject": "retired",
    "policy_clone": "cloned",
}
_UNDO = "policy_undo"


@dataclass(frozen=True, slots=True)
class Search:
    """Which rows a policy change may concern: all that is given must hold, one of the phrases."""

    era_id: int | None = None
    phrases: tuple[str, ...] = ()
    topic: str | None = None
    label: str | None = None

    @property
    def empty(self) -> bool:
        """Whether it asks for nothing."""
        named = (self.era_id, self.topic, self.label)
        return all(one is None for one in named) and not any(map(str.strip, self.phrases))


@dataclass(frozen=True, slots=True)
class Affected:
    """The rows that a search finds; rejected ones are only counted."""

    pairs: tuple[Pair, ...]
    held: frozenset[int]
    """Those in a reviewer's hand now."""
    rejected: int
    counts: Mapping[str, int]
    """Waiting and approved rows that meet each part of the search by itself, in plain words."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a change did."""

    rows: tuple[int, ...]
    """Sent back or rejected; for a clone, the new rows."""
    held: tuple[int, ...]
    """Left alone: in a reviewer's hand."""
    changed: tuple[int, ...]
    """Left alone: changed since they were shown."""
    already: tuple[int, ...]
    """Left alone: already where they would go."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change as the log tells it."""

    event_id: int
    at: datetime
    by: str
    words: str
    rows: tuple[int, ...]
    undoable: bool
    """Rejections and clones can be taken back; an approval only a person gives."""


def affected(session: Session, project_id: int, search: Search) -> Affected:
    """The rows that meet a search.

    Raises:
        BadInput: it asks for nothing, or for phrases that cannot be searched.
    """
    tests = _tests(session, project_id, search)
    known = pairs.listing(session, project_id)
    alive = [pair for pair in known if pair.status is not PairStatus.REJECTED]
    met = {
        name: {pair.id for pair in known if test(pair)} for name, test in tests.items()
    }  # fmt: skip
    wanted = set.intersection(*met.values())
    found = tuple(pair for pair in alive if pair.id in wanted)
    ids = {pair.id for pair in alive}
    return Affected(
        pairs=found,
        held=frozenset(_held(session, [pair.id for pair in found])),
        rejected=len(wanted - ids),
        counts={name: len(rows & ids) for name, rows in met.items()},
    )


def _tests(session: Session, project_id: int, search: Search) -> dict[str, Callable[[Pair], bool]]:
    tests: dict[str, Callable[[Pair], bool]] = {}
    if search.era_id is not None:
        era = _era(session, project_id, search.era_id)
        tests[f"of the era {era.name}"] = lambda pair: eras.belongs(pair, era)
    if words := _searchable(search.phrases):
        name = "with the phrase" if len(words) == 1 else "with one of the phrases"
        tests[name] = lambda p: bool(phrases.found(f"{p.prompt}\n{p.response}", words))
    if search.topic is not None:
        topic = search.topic
        tests[f"of the topic {topic}"] = lambda pair: pair.topic == topic
    if search.label is not None:
        field, label = projects.get(session, project_id).label_field, search.label
        tests[f"with the label {label}"] = lambda pair: _label(field, pair) == label
    if not tests:
        raise BadInput("Say what to look for: an era, a phrase, a topic or a label.")
    return tests


def _searchable(given: tuple[str, ...]) -> tuple[str, ...]:
    words = phrases.cleaned(given)
    if len(words) > phrases.MOST or any(len(one) > phrases.LONGEST for one in words):
        raise BadInput(
            f"Search for {phrases.MOST} phrases of {phrases.LONGEST} characters at most."
        )
    if any(not any(c.isalnum() for c in one) for one in words):
        raise BadInput("A phrase needs at least one letter or digit.")
    return words


def _era(session: Session, project_id: int, era_id: int) -> Era:
    era = eras.get(session, era_id)
    if era.project_id != project_id:
        raise NotFound(f"The era {era_id} belongs to another project.")
    return era


def tagged(session: Session, project_id: int) -> dict[int, int]:
    """How many rows bear the tag of each era."""
    query = (
        select(PairRow.era_id, func.count())
        .where(PairRow.project_id == project_id, PairRow.era_id.is_not(None))
        .group_by(PairRow.era_id)
    )
    return {era: n for era, n in session.execute(query) if era is not None}


def topics(session: Session, project_id: int) -> list[str]:
    """The topics that rows name, by name."""
    query = select(PairRow.topic).where(PairRow.project_id == project_id).distinct()
    return sorted(topic for topic in session.scalars(query) if topic)


def labels(session: Session, project_id: int) -> list[str]:
    """The labels in the outputs, by name; none where the project has no label field."""
    name = projects.get(session, project_id).label_field
    if name is None:
        return []
    known = pairs.listing(session, project_id)
    return sorted({label for pair in known if (label := _label(name, pair)) is not None})


def _label(name: str | None, pair: Pair) -> str | None:
    return None if name is None else health_coverage.label_of(name, pair.response)


@allowed(Role.LEAD)
def send_back(
    session: Session, actor: User, project_id: int, seen: Mapping[int, int], reason: str
) -> Done:
    """Withdraw the approval of these rows (ids with the versions shown), by a new decision each.

    Raises:
        BadInput: no reason, no rows, or too many.
    """
    if not reason.strip():
        raise BadInput("Say in a few words why these rows go back to review.")

    def one(row: PairRow) -> int | None:
        if row.status is not PairStatus.APPROVED:
            return None
        review.send_back(session, actor, row, reason.strip())
        return row.id

    return _each(session, actor, project_id, seen, one, "policy_send_back")


@allowed(Role.LEAD)
def reject(session: Session, actor: User, project_id: int, seen: Mapping[int, int]) -> Done:
    """Retire these rows: rejected, with the reason that their policy era is over.

    Raises:
        BadInput: no rows, or too many.
    """

    def one(row: PairRow) -> int | None:
        if row.status is PairStatus.REJECTED:
            return None
        review.reject(session, actor, row, RETIRED)
        return row.id

    return _each(session, actor, project_id, seen, one, "policy_reject")


@allowed(Role.LEAD)
def clone(
    session: Session, actor: User, project_id: int, seen: Mapping[int, int], era_id: int
) -> Done:
    """Copy these rows into another era as new rows that wait for review; none is approved.

    A copy keeps origin, author, topic and lineage, names its row under `cloned_from` in its
    source, and stays held out where that row is. The rows themselves stay as they are.

    Raises:
        RuleBroken: the era is retired.
        BadInput: no rows, or too many.
    """
    era = _era(session, project_id, era_id)
    if era.retired:
        raise RuleBroken(f"The era {era.name} is retired. Clone into one that is in force.")

    def one(row: PairRow) -> int | None:
        key = f"{lineage.CLONE}{row.id}:{row.version}:{era_id}"
        known = select(PairRow.id).where(
            PairRow.project_id == project_id, PairRow.source_key == key
        )
        if row.era_id == era_id or session.scalar(known) is not None:
            return None
        author = people.get(session, row.author_id) if row.author_id is not None else None
        made = pairs.add(
            session, project_id, row.prompt, row.response, row.origin, author=author,
            era_id=era_id, topic=row.topic, held_out=row.held_out,
            source={**row.source, "cloned_from": row.id}, source_key=key,
        )  # fmt: skip
        events.record(
            session, actor, "clone", "pair", made.id, project_id=project_id, cloned_from=row.id,
            era=era_id, after=made.content_sha256,
        )  # fmt: skip
        return made.id

    return _each(session, actor, project_id, seen, one, "policy_clone")


def _each(
    session: Session,
    actor: User,
    project_id: int,
    seen: Mapping[int, int],
    one: Callable[[PairRow], int | None],
    verb: str,
) -> Done:
    """Do one thing to each row that nobody holds and that stands as it was shown."""
    if not 1 <= len(seen) <= MOST:
        raise BadInput(f"Choose 1 to {MOST:,} rows at a time; {len(seen):,} are chosen.")
    held = _held(session, list(seen))
    rows, changed, already = {}, [], []
    for pair_id, version in seen.items():
        row = pairs.row_of(session, pair_id)
        if row.project_id != project_id:
            raise RuleBroken(f"Pair {pair_id} belongs to another project.")
        if pair_id in held:
            continue
        if row.version != version:
            changed.append(pair_id)
            continue
        made = one(row)
        if made is None:
            already.append(pair_id)
        else:
            rows[made] = pairs.row_of(session, made).version
    events.record(
        session, actor, verb, "project", project_id, project_id=project_id,
        rows=[[i, version] for i, version in rows.items()], held=len(held),
        changed=len(changed), already=len(already),
    )  # fmt: skip
    return Done(tuple(rows), tuple(sorted(held)), tuple(changed), tuple(already))


def _held(session: Session, ids: list[int]) -> set[int]:
    wanted = set(ids)
    query = select(ClaimRow.pair_id).where(ClaimRow.lease_until > datetime.now(UTC))
    return {pair_id for pair_id in session.scalars(query) if pair_id in wanted}


def changes(session: Session, project_id: int, limit: int = 10) -> list[Change]:
    """The latest policy changes to rows, newest first."""
    query = (
        select(EventRow)
        .where(EventRow.project_id == project_id, EventRow.verb.in_([*_VERBS, _UNDO]))
        .order_by(EventRow.id.desc())
    )
    told, names = list(session.scalars(query)), people.names(session)
    undone = {row.detail["undone"] for row in told if row.verb == _UNDO}
    return [
        Change(
            event_id=row.id,
            at=datetime.fromisoformat(row.at),
            by=names.get(row.actor_id or 0, "someone"),
            words=_words(row.verb, row.detail, taken_back=row.id in undone),
            rows=tuple(pair_id for pair_id, _ in row.detail["rows"]),
            undoable=row.verb in ("policy_reject", "policy_clone")
            and bool(row.detail["rows"])
            and row.id not in undone,
        )
        for row in told[:limit]
    ]


def _words(verb: str, detail: Mapping[str, Any], *, taken_back: bool) -> str:
    n = len(detail["rows"])
    rows = f"{n} row" if n == 1 else f"{n} rows"
    said = f"{rows} {_VERBS.get(verb, 'taken back')}"
    left = {
        "in a reviewer's hand": detail["held"],
        "changed since they were shown": detail["changed"],
        "already there": detail["already"],
    }
    skipped = ", ".join(f"{count} {why}" for why, count in left.items() if count)
    return said + (f"; left alone: {skipped}" if skipped else "") + ("; undone" * taken_back)


@allowed(Role.LEAD)
def undo(session: Session, actor: User, event_id: int) -> Done:
    """Take a change back by new decisions: retired rows wait again, clones are rejected.

    Raises:
        RuleBroken: it was taken back already, or it withdrew approvals, which only people give.
    """
    row = session.get(EventRow, event_id)
    if row is None or row.verb not in _VERBS or row.project_id is None:
        raise NotFound(f"There is no policy change {event_id}.")
    if row.verb == "policy_send_back":
        raise RuleBroken("An approval is given by reading: approve these rows again on Review.")
    query = select(EventRow.detail).where(
        EventRow.project_id == row.project_id, EventRow.verb == _UNDO
    )
    if any(detail["undone"] == event_id for detail in session.scalars(query)):
        raise RuleBroken("This change was taken back already.")
    seen: dict[int, int] = dict(row.detail["rows"])
    return _take_back(session, actor, row, seen)


def _take_back(session: Session, actor: User, done: EventRow, seen: Mapping[int, int]) -> Done:
    held = _held(session, list(seen))
    rows, changed = [], []
    for pair_id, version in seen.items():
        row = pairs.row_of(session, pair_id)
        if pair_id in held:
            continue
        if row.version != version:
            changed.append(pair_id)
            continue
        if done.verb == "policy_reject":
            review.send_back(session, actor, row, _TAKEN_BACK)
        else:
            review.reject(session, actor, row, _CLONE_BACK)
        rows.append(pair_id)
    events.record(
        session, actor, _UNDO, "project", done.project_id or 0, project_id=done.project_id,
        undone=done.id, rows=[[i, 0] for i in rows], held=len(held), changed=len(changed),
        already=0,
    )  # fmt: skip
    return Done(tuple(rows), tuple(sorted(held)), tuple(changed), ())
