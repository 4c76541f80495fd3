"""Rows that repeat, contradict or leak: found over the whole set, settled by people.

Near-duplicates share at least 0.8 of their shingles (exact Jaccard). What says the same in other
words is not found. A row is compared with all others whenever its text changes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from curation.overlap import duplicates, sweeping
from curation.overlap.near import live_rows
from curation.review import decisions
from storage import events, pairs, projects
from storage.access import allowed
from storage.blank import trim
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import LinkRow, PairRow
from storage.types import Link, LinkKind, LinkState, Origin, Pair, PairStatus, Role, User
from storage.values import value_of

_RANK = {Origin.GOLD: 0, Origin.PRODUCTION: 1, Origin.IMPORT: 2, Origin.DRAFT: 3}


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that (nearly) repeat each other, the best first."""

    pairs: tuple[Pair, ...]
    links: tuple[Link, ...]


def due(session: Session, project_id: int) -> int:
    """How many rows, not rejected, have not been compared since their text changed."""
    query = (
        select(func.count())
        .select_from(PairRow)
        .where(
            PairRow.project_id == project_id,
            PairRow.status != PairStatus.REJECTED,
            func.coalesce(PairRow.swept_sha256, "") != PairRow.content_sha256,
        )
    )
    return session.scalar(query) or 0


@allowed(*sweeping.ROLES)
def sweep(session: Session, actor: User, project_id: int) -> int:
    """Compare every row, not rejected, with every other. Returns how many new links were found."""
    sweep = sweeping.look(session, project_id)
    sweeping.link(session, project_id, sweep.links)
    pairs.mark_swept(session, sweep.due)
    sweeping.record(session, actor, sweep)
    return len(sweep.links)


def current(
    session: Session,
    project_id: int,
    kinds: Iterable[LinkKind] = tuple(LinkKind),
    state: LinkState | None = LinkState.OPEN,
) -> list[Link]:
    """Links that still hold: both texts as they were compared, neither row rejected."""
    query = _holding(select(LinkRow), project_id, state)
    rows = session.scalars(query.where(LinkRow.kind.in_(list(kinds))).order_by(LinkRow.id))
    return [value_of(Link, row) for row in rows]


def _holding(
    query: Select[*tuple[Any, ...]], project_id: int, state: LinkState | None
) -> Select[*tuple[Any, ...]]:
    """Only links that still hold."""
    a, b = aliased(PairRow), aliased(PairRow)
    holding = (
        query.join(a, a.id == LinkRow.a)
        .join(b, b.id == LinkRow.b)
        .where(
            LinkRow.project_id == project_id,
            LinkRow.a_sha256 == a.content_sha256,
            LinkRow.b_sha256 == b.content_sha256,
            a.status != PairStatus.REJECTED,
            b.status != PairStatus.REJECTED,
        )
    )
    return holding if state is None else holding.where(LinkRow.state == state)


def count(session: Session, project_id: int) -> int:
    """How many open links `current` lists."""
    query = _holding(select(func.count(LinkRow.id)), project_id, LinkState.OPEN)
    return session.scalar(query) or 0


@dataclass(frozen=True, slots=True)
class OpenGroups:
    """The groups that are left to settle."""

    count: int
    first: tuple[Group, ...]
    """As many as were asked for, in the order of their oldest pairs."""


def open_groups(
    session: Session, project_id: int, kinds: Iterable[LinkKind], limit: int | None = None
) -> OpenGroups:
    """Open links of these kinds as connected groups, the best row of each first.

    Best: held-out rows (they cannot leave the test set), then approved ones, then gold before
    production, import and draft, then the oldest.
    """
    # One value for all links: a tenth of the time of so many rows.
    ends = func.json_group_array(func.json_array(LinkRow.id, LinkRow.a, LinkRow.b))
    query = select(ends).where(LinkRow.kind.in_(list(kinds)))
    links = json.loads(session.scalar(_holding(query, project_id, LinkState.OPEN)) or "[]")
    members = duplicates.groups(duplicates.Near(a, b, 1.0) for _, a, b in links)
    groups = members[:limit]
    group_of = {row: number for number, group in enumerate(groups) for row in group}
    link_ids = [link_id for link_id, a, _ in links if a in group_of]
    rows = {pair.id: pair for pair in pairs.listing(session, project_id, ids=group_of)}
    inside: list[list[Link]] = [[] for _ in groups]
    drawn = select(LinkRow).where(pairs.among(LinkRow.id, link_ids)).order_by(LinkRow.id)
    for row in session.scalars(drawn):
        inside[group_of[row.a]].append(value_of(Link, row))
    first = (
        Group(tuple(sorted((rows[row] for row in group), key=_quality)), tuple(of_group))
        for group, of_group in zip(groups, inside, strict=True)
    )
    return OpenGroups(len(members), tuple(first))


def grouped(session: Session, project_id: int, kinds: Iterable[LinkKind]) -> list[Group]:
    """All groups of `open_groups`."""
    return list(open_groups(session, project_id, kinds).first)


def _quality(pair: Pair) -> tuple[bool, bool, int, int]:
    return (
        not pair.held_out,
        pair.status is not PairStatus.APPROVED,
        _RANK[pair.origin],
        pair.id,
    )


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def keep(
    session: Session,
    actor: User,
    keep_id: int,
    others: Mapping[int, int],
    reason: str,
    seen_version: int | None = None,
) -> None:
    """Keep one row and reject the others (ids with the version that was on the screen).

    `seen_version` is the version in which the kept row itself was on the screen, where it was.

    Raises:
        BadInput: no reason was given.
        RuleBroken: one of them changed since it was shown, or is held out for testing.
    """
    if not trim(reason):
        raise BadInput("Say in a few words why the other pairs go.")
    _, remaining = _unchanged(session, keep_id, others, seen_version)
    for row in remaining:
        decisions.reject(session, actor, row, f"{trim(reason)} (pair {keep_id} kept)")


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def merge(
    session: Session,
    actor: User,
    keep_id: int,
    others: Mapping[int, int],
    prompt: str,
    response: str,
    seen_version: int | None = None,
) -> None:
    """Give one row the words of several and reject the others; it waits for review again.

    Raises:
        BadInput: the words are those that the row has already.
        RuleBroken: one of the rows changed since it was shown or is held out for testing, a side
            is empty, or the output does not fit the schema.
    """
    best, remaining = _unchanged(session, keep_id, others, seen_version)
    tested = next((row.id for row in (best, *remaining) if row.held_out), None)
    if tested is not None:
        raise RuleBroken(f"Pair {tested} is held out for testing and stays as it is.")
    if (prompt, response) == (best.prompt, best.response):
        raise BadInput(f"These are the words of pair {keep_id}: change them, or keep that pair.")
    if not trim(prompt) or not trim(response):
        raise RuleBroken("The merged pair needs an input and an output. Fill in the empty one.")
    wrong = decisions.problems(projects.get(session, best.project_id), response)
    if wrong:
        raise RuleBroken(f"The merged output does not fit the schema: {wrong[0]}")
    before = best.content_sha256
    pairs.rewrite(session, best, prompt, response, actor)
    decisions.send_back(session, actor, best, "Merged from several pairs")
    for row in remaining:
        decisions.reject(session, actor, row, f"Merged into pair {keep_id}")
    events.record(
        session,
        actor,
        "merge",
        "pair",
        keep_id,
        project_id=best.project_id,
        others=sorted(others),
        before=before,
        after=best.content_sha256,
    )


def _unchanged(
    session: Session, keep_id: int, others: Mapping[int, int], seen_version: int | None
) -> tuple[PairRow, list[PairRow]]:
    """The row to keep and the others, if all are as they were on the screen."""
    best = pairs.row_of(session, keep_id)
    if best.status is PairStatus.REJECTED:
        raise RuleBroken(f"Pair {keep_id} was rejected meanwhile. Look at the group again.")
    if seen_version not in (None, best.version):
        raise RuleBroken(f"Pair {keep_id} changed since it was shown. Look at it again.")
    remaining = []
    for pair_id, version in others.items():
        row = pairs.row_of(session, pair_id)
        if row.version != version:
            raise RuleBroken(f"Pair {pair_id} changed since it was shown. Look at it again.")
        if row.held_out and not best.held_out:
            raise RuleBroken(f"Pair {pair_id} is held out for testing. Reject pair {keep_id}.")
        remaining.append(row)
    return best, remaining


@allowed(Role.EXPERT, Role.LEAD)
def both_right(session: Session, actor: User, link_id: int, reason: str) -> None:
    """Say that two rows are both right as they are, and why. A leak cannot be excused.

    Raises:
        BadInput: no reason was given.
        RuleBroken: the link is a leak into the test set.
    """
    link = session.get(LinkRow, link_id)
    if link is None:
        raise NotFound(f"There is no link {link_id}.")
    if not trim(reason):
        raise BadInput("Say in a few words why both pairs are right.")
    if link.kind is LinkKind.LEAK:
        raise RuleBroken("A pair that repeats a test pair cannot train. Reject it.")
    link.state, link.reason, link.decided_by = LinkState.BOTH_RIGHT, trim(reason), actor.id
    session.flush()
    events.record(
        session,
        actor,
        "both_right",
        "link",
        link_id,
        project_id=link.project_id,
        a=link.a,
        b=link.b,
        reason_sha256=hashlib.sha256(reason.encode()).hexdigest(),
    )


def nearest(session: Session, project_id: int, prompt: str, minimum: float = 0.6) -> Link | None:
    """The stored row, not rejected, whose input is most like this one, if any is alike enough."""
    near = live_rows.alike(session, project_id, prompt, minimum)
    if near is None:
        return None
    return Link(0, 0, near.b, LinkKind.NEAR, near.similarity, LinkState.OPEN, None)
