"""The comparison of all pairs of a project: what links it makes, and how they are written.

Computed on one look at the database and written afterwards, in one transaction or in many short
ones. A pair that changed meanwhile stays due; links are written before the pairs count as compared,
so that whatever ends the work leaves pairs that are due, and nothing wrong.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import product

import numpy as np
from sqlalchemy import Engine, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from curation.overlap import compared, duplicates, leakage
from curation.overlap.compared import Compared
from curation.overlap.duplicates import Near
from curation.overlap.near.candidates import Places
from curation.overlap.near.relations import Relations
from storage import chunks, events, pairs, projects, steps
from storage.access import require
from storage.engine import reading, writing
from storage.tables import LinkRow
from storage.types import LinkKind, LinkState, Role, User

_COMPARED = 0.8
"""What is done of a first comparison of many pairs once its result is to be written."""
ROLES = (Role.EXPERT, Role.REVIEWER, Role.LEAD)
"""Who may compare pairs."""
Ends = tuple[int, int, LinkKind]
"""The two rows of a link, the smaller id first, and its kind."""


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link that is not stored yet."""

    a: int
    b: int
    a_sha256: str
    b_sha256: str
    kind: LinkKind
    similarity: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a comparison found; nothing of it is written yet."""

    project_id: int
    rows: int
    """How many pairs were compared."""
    links: list[NewLink]
    due: list[tuple[int, str]]
    """The pairs that were due, each with the hash of the text that was compared."""


def look(session: Session, project_id: int, step: steps.Step = steps.quiet) -> Sweep:
    """Compare every pair, not rejected, with every other."""
    schema = projects.get(session, project_id).output_schema
    look = compared.look(session, project_id, step)
    stands = {stand.id: stand for stand in look.stands}
    linked = {
        (a, b, kind)
        for a, b, kind, *hashes in _linked(session, project_id)
        if hashes == [stands[end].content_sha256 if end in stands else "" for end in (a, b)]
    }
    links = [
        NewLink(a, b, stands[a].content_sha256, stands[b].content_sha256, kind, similarity)
        for (a, b, kind), similarity in _search(session, look, schema, linked).items()
        if (a, b, kind) not in linked
    ]
    due = [
        (stand.id, stand.content_sha256)
        for stand in look.stands
        if stand.swept_sha256 != stand.content_sha256
    ]
    return Sweep(project_id, len(look.stands), links, due)


def _linked(session: Session, project_id: int) -> Iterator[tuple[int, int, LinkKind, str, str]]:
    query = select(LinkRow.a, LinkRow.b, LinkRow.kind, LinkRow.a_sha256, LinkRow.b_sha256)
    for row in session.execute(query.where(LinkRow.project_id == project_id)):
        yield row[0], row[1], row[2], row[3], row[4]


def link(session: Session, project_id: int, links: Sequence[NewLink]) -> None:
    """Store links; one that another comparison stored meanwhile is left as it is."""
    if links:
        values = [
            {
                "project_id": project_id,
                "a": new.a,
                "b": new.b,
                "a_sha256": new.a_sha256,
                "b_sha256": new.b_sha256,
                "kind": new.kind,
                "similarity": new.similarity,
                "state": LinkState.OPEN,
            }
            for new in links
        ]
        session.execute(insert(LinkRow).on_conflict_do_nothing(), values)


def record(session: Session, actor: User, sweep: Sweep) -> None:
    """Tell of a comparison in the log, once all of it is written."""
    events.record(
        session,
        actor,
        "sweep",
        "project",
        sweep.project_id,
        project_id=sweep.project_id,
        rows=sweep.rows,
        new=len(sweep.links),
    )


def sweep_in_chunks(
    engine: Engine,
    actor: User,
    project_id: int,
    *,
    step: steps.Step = steps.quiet,
    settle: Callable[[Session, Sweep], None] = lambda _session, _sweep: None,
) -> Sweep:
    """As `overlaps.sweep`, computed outside of any write and written in many short transactions.

    `settle` is called in the last of them. Whatever ends the work before that leaves links that
    hold, and pairs that are due.

    Raises:
        NotAllowed: the person may not compare pairs.
    """
    with reading(engine) as session:
        require(session, actor, ROLES, "sweep")
        count = pairs.count(session, project_id)
        sweep = look(session, project_id, steps.part(step, 0, _COMPARED, count))
    tell = steps.part(step, _COMPARED, 1, count)
    total = len(sweep.links) + len(sweep.due)
    chunks.write(
        engine,
        sweep.links,
        lambda session, links: link(session, project_id, links),
        lambda done, _: tell(done, total),
    )
    chunks.write(
        engine, sweep.due, pairs.mark_swept, lambda done, _: tell(len(sweep.links) + done, total)
    )
    with writing(engine) as session:
        require(session, actor, ROLES, "sweep")
        record(session, actor, sweep)
        settle(session, sweep)
    return sweep


def _search(
    session: Session, look: Compared, schema: duplicates.Schema, linked: Set[Ends]
) -> dict[Ends, float]:
    """Links by their ends, with their similarity; contradictions are not duplicates too.

    Of those that are `linked` already some may be left out.
    """
    content = {stand.id: stand.content_sha256 for stand in look.stands}
    similarities: dict[Ends, float] = {}
    clashing = set()
    for near in _contradictions(session, look, schema):
        clashing.add((near.a, near.b))
        similarities[near.a, near.b, LinkKind.CONTRADICTION] = near.similarity
    for near in _repeats(look):
        if (near.a, near.b) not in clashing:
            kind = LinkKind.EXACT if content[near.a] == content[near.b] else LinkKind.NEAR
            similarities[near.a, near.b, kind] = near.similarity
    for near in _leaks(look):
        similarities.setdefault((near.a, near.b, LinkKind.LEAK), near.similarity)
    shared = [
        (a, b)
        for a, b in _of_one_source(look)
        if (a, b, LinkKind.LEAK) not in similarities and (a, b, LinkKind.LEAK) not in linked
    ]
    words = compared.texts(session, sorted({end for ends in shared for end in ends}))
    for a, b in shared:
        alike = duplicates.similarity(words[a][0], words[b][0])
        similarities[a, b, LinkKind.LEAK] = alike
    return similarities


def _groups(look: Compared, places: Places, wanted: Relations) -> dict[int, list[int]]:
    """The pairs that have a text, by its place: of texts that several have, or that are alike."""
    count = np.bincount(places, minlength=len(wanted.keys))
    several = count > 1
    several[wanted.edges.ravel()] = True
    groups: dict[int, list[int]] = defaultdict(list)
    for at in np.flatnonzero(several[places]).tolist():
        groups[int(places[at])].append(look.stands[at].id)
    return groups


def _by_runs(wanted: Relations) -> Iterator[Near]:
    """Places of texts that share enough of their runs."""
    near = np.flatnonzero(wanted.runs > 0)
    for (a, b), alike in zip(wanted.edges[near].tolist(), wanted.runs[near].tolist(), strict=True):
        yield Near(a, b, alike)


def _contradictions(session: Session, look: Compared, schema: duplicates.Schema) -> list[Near]:
    groups = _groups(look, look.inputs, look.of_inputs)
    near = [Near(place, place, 1.0) for place, ids in groups.items() if len(ids) > 1]
    near += _by_runs(look.of_inputs)
    asked = sorted(
        {pair_id for one in near for place in (one.a, one.b) for pair_id in groups[place]}
    )
    answers = {
        pair_id: duplicates.canonical(response, schema)
        for pair_id, (_, response) in compared.texts(session, asked).items()
    }
    return duplicates.clashes(near, groups, answers)


def _repeats(look: Compared) -> Iterator[Near]:
    groups = _groups(look, look.wholes, look.of_wholes)
    for ids in groups.values():
        yield from (Near(a, b, 1.0) for a, b in duplicates.couples(ids))
    for near in _by_runs(look.of_wholes):
        ends = duplicates.across(groups[near.a], groups[near.b])
        yield from (Near(a, b, near.similarity) for a, b in ends)


def _leaks(look: Compared) -> Iterator[Near]:
    """Pairs of a training and a test row of one input, then of inputs that are nearly the same."""
    groups = _groups(look, look.inputs, look.of_inputs)
    tested = {stand.id for stand in look.stands if stand.held_out}
    alike = [Near(place, place, 1.0) for place in groups]
    alike += _by_runs(look.of_inputs)
    alike += leakage.without_templates(
        _by_edits(look.of_inputs),
        len(set(look.inputs.tolist())),
        lambda places: look.read_inputs(np.array(places, np.int64)),
    )
    for near in alike:
        for a, b in _crossing(groups[near.a], groups[near.b], tested):
            yield Near(a, b, near.similarity)


def _by_edits(wanted: Relations) -> list[Near]:
    near = np.flatnonzero(wanted.edits > 0)
    edges = zip(wanted.edges[near].tolist(), wanted.edits[near].tolist(), strict=True)
    return [Near(a, b, alike) for (a, b), alike in edges]


def _crossing(
    left: Sequence[int], right: Sequence[int], tested: Set[int]
) -> Iterator[tuple[int, int]]:
    """Pairs of which one row is tested and the other is not, the lower id first."""
    for one, other in ((left, right), (right, left)):
        training = [row for row in one if row not in tested]
        for a, b in product(training, [row for row in other if row in tested]):
            yield min(a, b), max(a, b)


def _of_one_source(look: Compared) -> Iterator[tuple[int, int]]:
    """Pairs of a training and a test row that name one document."""
    named: dict[str, list[int]] = defaultdict(list)
    for stand in look.stands:
        if stand.held_out and stand.source:
            named[stand.source].append(stand.id)
    for stand in look.stands:
        if not stand.held_out and stand.source in named:
            for test in named[stand.source]:
                yield min(test, stand.id), max(test, stand.id)
