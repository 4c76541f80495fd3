"""Freeze the approved pairs as a version: checked, split with groups kept whole, named, sealed."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from curation.overlap import duplicates, leakage, ledger, overlaps
from curation.overlap.near import lineage
from curation.versions import archive, canonical, evidence
from curation.versions.split import SHARES, Item, split
from storage import events, pairs, projects
from storage.access import allowed
from storage.blank import trim
from storage.engine import require_room
from storage.errors import RuleBroken
from storage.tables import MemberRow, PairRow, VersionProofRow, VersionRowTable
from storage.types import (
    LinkKind,
    Origin,
    Pair,
    PairStatus,
    Project,
    Role,
    Split,
    User,
    Version,
    VersionManifest,
    VersionRow,
)

_ROOM = 4
"""Bytes of disk for a letter of text: the frozen row, and the database's log before it."""
MINIMUM_PAIRS = 10
"""A split of fewer pairs would leave a part empty."""


@allowed(Role.LEAD)
def freeze(
    session: Session, actor: User, project_id: int, seed: int = 7, note: str = ""
) -> Version:
    """Freeze all approved pairs as the next version, split by seed, stratum and group.

    Pairs that were test pairs once stay test pairs, here and in every later version.

    Raises:
        RuleBroken: too few pairs, unsearched pairs, a leak into the test set, or nothing new.
    """
    project = projects.get(session, project_id)
    approved = pairs.listing(session, project_id, status=PairStatus.APPROVED)
    _freezable(session, project_id, approved)
    letters = sum(len(pair.prompt) + len(pair.response) for pair in approved)
    require_room(session, _ROOM * letters, "Freezing")
    groups = _groups(session, project_id, approved)
    tested = lineage.tested(session, project_id)
    parts = split(_items(project, approved, groups, tested), SHARES, seed)
    frozen = [
        VersionRow(
            pair_id=pair.id,
            split=parts[pair.id],
            prompt=pair.prompt,
            response=pair.response,
            content_sha256=pair.content_sha256,
            origin=pair.origin,
            group=groups[pair.id],
        )
        for pair in approved
    ]
    return _insert(session, actor, project, frozen, seed, note)


def _freezable(session: Session, project_id: int, approved: Sequence[Pair]) -> None:
    if len(approved) < MINIMUM_PAIRS:
        raise RuleBroken(
            f"{len(approved)} pairs are approved; a version needs at least {MINIMUM_PAIRS}. "
            "Review more."
        )
    if overlaps.due(session, project_id):
        raise RuleBroken("Pairs changed since the last search for duplicates. Run it, then freeze.")
    leaks = overlaps.current(session, project_id, [LinkKind.LEAK], state=None)
    ready = {pair.id for pair in approved}
    leaking = [link for link in leaks if link.a in ready and link.b in ready]
    if leaking:
        raise RuleBroken(
            f"{len(leaking)} pairs repeat held-out test pairs, the first are {leaking[0].a} "
            f"and {leaking[0].b}. Settle them on the Duplicates page, then freeze."
        )
    trained = [ledger.row(pair) for pair in approved if not pair.held_out]
    ledger.check(session, project_id, trained, "freeze")


def _groups(session: Session, project_id: int, approved: Sequence[Pair]) -> dict[int, int]:
    """The group of each pair: near-duplicates that were kept, and pairs of one source document."""
    ids = {pair.id for pair in approved}
    edges = [
        duplicates.Near(link.a, link.b, link.similarity)
        for link in overlaps.current(session, project_id, state=None)
        if link.a in ids and link.b in ids
    ]
    related = leakage.families([ledger.row(pair) for pair in approved])
    related += [sorted(family & ids) for family in lineage.families(session, project_id)]
    for members in related:
        edges += [duplicates.Near(members[0], member, 1.0) for member in members[1:]]
    groups = {pair.id: pair.id for pair in approved}
    for members in duplicates.groups(edges):
        groups.update(dict.fromkeys(members, min(members)))
    return groups


def _items(
    project: Project, approved: Sequence[Pair], groups: dict[int, int], tested: frozenset[int]
) -> list[Item]:
    return [
        Item(
            id=pair.id,
            group=str(groups[pair.id]),
            stratum=stratum(project, pair),
            pinned=Split.TEST if pair.held_out or pair.id in tested else None,
        )
        for pair in approved
    ]


def stratum(project: Project, pair: Pair) -> str:
    """What the split keeps in proportion: the label in a JSON output, else the topic."""
    return evidence.label(project, pair.response, pair.topic)


def _insert(
    session: Session,
    actor: User,
    project: Project,
    frozen: Sequence[VersionRow],
    seed: int,
    note: str,
) -> Version:
    sha256, root = canonical.named(frozen)
    before = archive.listing(session, project.id)
    if before and before[0].sha256 == sha256:
        raise RuleBroken(f"Nothing changed since version {before[0].number}. There is no new one.")
    counts = archive.counts(frozen)
    row = VersionRowTable(
        project_id=project.id,
        number=(before[0].number if before else 0) + 1,
        sha256=sha256,
        seed=seed,
        counts=counts,
        manifest=msgspec.to_builtins(_manifest(session, project, frozen, note)),
        created_by=actor.id,
    )
    session.add(row)
    session.flush()
    _members(session, row.id, frozen)
    seal = _seal(session, row, frozen, root)
    _hold_out(session, frozen)
    events.record(
        session,
        actor,
        "freeze",
        "version",
        row.id,
        project_id=project.id,
        sha256=sha256,
        seed=seed,
        seal=seal,
        **counts,
    )
    return archive.value(row)


def _seal(session: Session, row: VersionRowTable, frozen: Sequence[VersionRow], root: str) -> str:
    """Store what holds now beside the pairs, with a hash over all of it."""
    facts = msgspec.to_builtins(evidence.gather(session, archive.value(row), frozen))
    ordered = sorted(frozen, key=lambda member: member.pair_id)
    seal = archive.seal(session, row.id, ordered, root, json.dumps(facts))
    session.add(VersionProofRow(version_id=row.id, merkle_root=root, facts=facts, seal=seal))
    session.flush()
    return seal


def _members(session: Session, version_id: int, frozen: Sequence[VersionRow]) -> None:
    try:
        session.add_all(
            MemberRow(
                version_id=version_id,
                pair_id=row.pair_id,
                split=row.split,
                prompt=row.prompt,
                response=row.response,
                content_sha256=row.content_sha256,
                origin=row.origin,
                group=row.group,
            )
            for row in frozen
        )
        session.flush()
    except IntegrityError as error:
        raise RuleBroken(f"The database refused the version: {error.orig}.") from error


def _hold_out(session: Session, frozen: Sequence[VersionRow]) -> None:
    tested = [row.pair_id for row in frozen if row.split is Split.TEST]
    for row in session.scalars(select(PairRow).where(PairRow.id.in_(tested))):
        row.held_out = True
    session.flush()


def _manifest(
    session: Session, project: Project, frozen: Sequence[VersionRow], note: str
) -> VersionManifest:
    origins = Counter(row.origin for row in frozen)
    approvers = Counter(pairs.approvers(session, [row.pair_id for row in frozen]).values())
    return VersionManifest(
        note=trim(note),
        origins={origin.value: origins[origin] for origin in Origin if origins[origin]},
        approvals={str(user): approvers[user] for user in sorted(approvers)},
        system_message=project.system_message,
        system_message_sha256=hashlib.sha256(project.system_message.encode()).hexdigest(),
        output_schema=project.output_schema,
        label_field=project.label_field,
        shares=SHARES,
        groups=len({row.group for row in frozen}),
    )
