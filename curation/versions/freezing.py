"""Freeze the approved pairs as a version: checked, split with groups kept whole, named, sealed."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from curation.overlap import compared, duplicates, leakage, ledger, overlaps
from curation.overlap.near import lineage
from curation.versions import archive, canonical, evidence
from curation.versions.split import SHARES, Item, split
from storage import events, pairs, projects, steps
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
_AT_ONCE = 5_000
"""Pairs read at once: about a fifth of a second."""
_READ, _CHECKED = 0.5, 0.75
"""What is done of a plan once its pairs are read, and once they are compared with test pairs."""
MINIMUM_PAIRS = 10
"""A split of fewer pairs would leave a part empty."""


@dataclass(frozen=True, slots=True)
class FreezePlan:
    """A version that is to be frozen; nothing of it is written yet."""

    project: Project
    rows: list[VersionRow]
    """By pair id."""
    number: int
    seed: int
    manifest: VersionManifest
    sha256: str
    root: str
    """Of the Merkle tree over the rows."""

    @property
    def tested(self) -> list[int]:
        """The pairs of the test part."""
        return [row.pair_id for row in self.rows if row.split is Split.TEST]


@allowed(Role.LEAD)
def freeze(
    session: Session, actor: User, project_id: int, seed: int = 7, note: str = ""
) -> Version:
    """Freeze all approved pairs as the next version, split by seed, stratum and group.

    Pairs that were test pairs once stay test pairs, here and in every later version.

    Raises:
        RuleBroken: too few pairs, unsearched pairs, a leak into the test set, or nothing new.
    """
    plan = planned(session, project_id, seed, note)
    row = add_version(session, actor, plan)
    add_members(session, row.id, plan.rows)
    proof = proven(session, row, plan)
    hold_out(session, plan.tested)
    seal(session, actor, row, proof)
    return archive.value(row)


def planned(
    session: Session, project_id: int, seed: int, note: str, step: steps.Step = steps.quiet
) -> FreezePlan:
    """What freezing now would write.

    Raises:
        RuleBroken: as `freeze`.
    """
    project = projects.get(session, project_id)
    count = pairs.count(session, project_id, status=PairStatus.APPROVED)
    approved = _approved(session, project_id, count, steps.part(step, 0, _READ, count))
    _freezable(session, project_id, approved, steps.part(step, _READ, _CHECKED, count))
    letters = sum(len(pair.prompt) + len(pair.response) for pair in approved)
    require_room(session, _ROOM * letters, "Freezing")
    groups = _groups(session, project_id, approved, steps.part(step, _CHECKED, 1, count))
    step(count, count)
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
    sha256, root = canonical.named(frozen)
    before = archive.listing(session, project.id)
    if before and before[0].sha256 == sha256:
        raise RuleBroken(f"Nothing changed since version {before[0].number}. There is no new one.")
    return FreezePlan(
        project=project,
        rows=frozen,
        number=(before[0].number if before else 0) + 1,
        seed=seed,
        manifest=_manifest(session, project, frozen, note),
        sha256=sha256,
        root=root,
    )


def _approved(session: Session, project_id: int, total: int, step: steps.Step) -> list[Pair]:
    approved: list[Pair] = []
    while len(approved) < total:
        step(len(approved), total)
        last = approved[-1].id if approved else None
        approved += pairs.listing(
            session, project_id, status=PairStatus.APPROVED, after=last, limit=_AT_ONCE
        )
    return approved


def _freezable(
    session: Session, project_id: int, approved: Sequence[Pair], step: steps.Step
) -> None:
    if len(approved) < MINIMUM_PAIRS:
        raise RuleBroken(
            f"{len(approved)} pairs are approved; a version needs at least {MINIMUM_PAIRS}. "
            "Review more."
        )
    require_compared(session, project_id)
    leaks = overlaps.current(session, project_id, [LinkKind.LEAK], state=None)
    ready = {pair.id for pair in approved}
    leaking = [link for link in leaks if link.a in ready and link.b in ready]
    if leaking:
        raise RuleBroken(
            f"{len(leaking)} pairs repeat held-out test pairs, the first are {leaking[0].a} "
            f"and {leaking[0].b}. Settle them on the Duplicates page, then freeze."
        )
    trained = [ledger.row(pair) for pair in approved if not pair.held_out]
    ledger.check(session, project_id, trained, "freeze", step)


def require_compared(session: Session, project_id: int) -> None:
    """Refuse while a pair was not compared with all others.

    Raises:
        RuleBroken: there is such a pair.
    """
    if overlaps.due(session, project_id):
        raise RuleBroken("Pairs changed since the last search for duplicates. Run it, then freeze.")


def _groups(
    session: Session, project_id: int, approved: Sequence[Pair], step: steps.Step
) -> dict[int, int]:
    """The group of each pair: near-duplicates that were kept, and pairs of one source document."""
    ids = {pair.id for pair in approved}
    edges = [
        duplicates.Near(link.a, link.b, link.similarity)
        for link in overlaps.current(session, project_id, state=None)
        if link.a in ids and link.b in ids
    ]
    look = compared.remembering(session, project_id)
    step(0, len(approved))
    related = leakage.families([ledger.row(pair) for pair in approved], look=look, step=step)
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


def add_version(
    session: Session, actor: User, plan: FreezePlan, version_id: int | None = None
) -> VersionRowTable:
    """Write the row of a version, under this id where it was set aside."""
    row = VersionRowTable(
        id=version_id,
        project_id=plan.project.id,
        number=plan.number,
        sha256=plan.sha256,
        seed=plan.seed,
        counts=archive.counts(plan.rows),
        manifest=msgspec.to_builtins(plan.manifest),
        created_by=actor.id,
    )
    session.add(row)
    session.flush()
    return row


def add_members(session: Session, version_id: int, rows: Sequence[VersionRow]) -> None:
    """Write rows of a version.

    Raises:
        RuleBroken: the database refuses one, as its text is not approved (any more).
    """
    values = [
        {
            "version_id": version_id,
            "pair_id": row.pair_id,
            "split": row.split,
            "prompt": row.prompt,
            "response": row.response,
            "content_sha256": row.content_sha256,
            "origin": row.origin,
            "group": row.group,
        }
        for row in rows
    ]
    try:
        session.execute(insert(MemberRow), values)
    except IntegrityError as error:
        raise RuleBroken(f"The database refused the version: {error.orig}.") from error


def proven(session: Session, row: VersionRowTable, plan: FreezePlan) -> VersionProofRow:
    """What holds now beside the pairs, with a hash over all of it; not stored yet."""
    facts = msgspec.to_builtins(evidence.gather(session, archive.value(row), plan.rows))
    seal = archive.seal(session, row.id, plan.rows, plan.root, json.dumps(facts))
    return VersionProofRow(version_id=row.id, merkle_root=plan.root, facts=facts, seal=seal)


def hold_out(session: Session, pair_ids: Sequence[int]) -> None:
    """Make test pairs of these."""
    which = (pairs.among(PairRow.id, pair_ids), PairRow.held_out.is_(False))
    session.execute(update(PairRow).where(*which).values(held_out=True))
    session.expire_all()


def seal(session: Session, actor: User, row: VersionRowTable, proof: VersionProofRow) -> None:
    """Store what proves a version, and tell of it in the log."""
    session.add(proof)
    session.flush()
    events.record(
        session,
        actor,
        "freeze",
        "version",
        row.id,
        project_id=row.project_id,
        sha256=row.sha256,
        seed=row.seed,
        seal=proof.seal,
        **row.counts,
    )


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
