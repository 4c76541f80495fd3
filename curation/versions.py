"""Versions: frozen, content-addressed sets of approved rows, split with groups kept whole."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from curation import duplicates, leakage, ledger, overlaps, strict_json
from curation.split import SHARES, Item, split
from storage import events, pairs, projects
from storage.access import allowed
from storage.errors import AssayError, BadInput, NotFound, RuleBroken, Unavailable
from storage.tables import MemberRow, PairRow, VersionRowTable
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
    VersionRow,
)

LEAST = 10
"""A split of fewer rows would leave a part empty."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed between two versions, as pair ids."""

    added: tuple[int, ...]
    removed: tuple[int, ...]
    changed: tuple[int, ...]


def _version(row: VersionRowTable) -> Version:
    return Version(
        id=row.id,
        project_id=row.project_id,
        number=row.number,
        sha256=row.sha256,
        seed=row.seed,
        counts=row.counts,
        manifest=row.manifest,
        created_by=row.created_by,
        created_at=row.created_at,
    )


def canonical(rows: Sequence[VersionRow]) -> bytes:
    """The bytes a version is named by: JSON lines ordered by pair id, keys sorted, UTF-8."""
    lines = [
        json.dumps(
            {
                "content_sha256": row.content_sha256,
                "origin": row.origin.value,
                "pair_id": row.pair_id,
                "prompt": row.prompt,
                "response": row.response,
                "split": row.split.value,
            },
            ensure_ascii=False,
            sort_keys=True,
            separators=(",", ":"),
        )
        for row in sorted(rows, key=lambda row: row.pair_id)
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def get(session: Session, version_id: int) -> Version:
    """One version.

    Raises:
        NotFound: there is no such version.
    """
    row = session.get(VersionRowTable, version_id)
    if row is None:
        raise NotFound(f"There is no version {version_id}.")
    return _version(row)


def listing(session: Session, project_id: int) -> list[Version]:
    """The versions of a project, newest first."""
    query = (
        select(VersionRowTable)
        .where(VersionRowTable.project_id == project_id)
        .order_by(VersionRowTable.number.desc())
    )
    return [_version(row) for row in session.scalars(query)]


def rows(session: Session, version_id: int, part: Split | None = None) -> list[VersionRow]:
    """The rows of a version by pair id, all or of one split."""
    query = select(MemberRow).where(MemberRow.version_id == version_id).order_by(MemberRow.pair_id)
    if part is not None:
        query = query.where(MemberRow.split == part)
    return [
        VersionRow(
            pair_id=row.pair_id,
            split=row.split,
            prompt=row.prompt,
            response=row.response,
            content_sha256=row.content_sha256,
            origin=row.origin,
            group=row.group,
        )
        for row in session.scalars(query)
    ]


def verify(session: Session, version_id: int) -> Version:
    """The version, after recomputing its hash and that of every row.

    Raises:
        Unavailable: the stored rows are not the ones that were frozen.
    """
    version, frozen = get(session, version_id), rows(session, version_id)
    intact = all(
        pairs.content_sha256(row.prompt, row.response) == row.content_sha256 for row in frozen
    )
    if not intact or hashlib.sha256(canonical(frozen)).hexdigest() != version.sha256:
        raise Unavailable(
            f"Version {version.number} no longer has the rows it was frozen with. "
            "Do not use it; restore a backup and freeze a new version."
        )
    return version


@allowed(Role.LEAD)
def freeze(
    session: Session, actor: User, project_id: int, seed: int = 7, note: str = ""
) -> Version:
    """Freeze all approved rows as the next version, split by seed, stratum and group.

    Rows that were test rows once stay test rows, here and in every later version.

    Raises:
        RuleBroken: too few rows, unsearched rows, a leak into the test set, or nothing new.
    """
    project = projects.get(session, project_id)
    approved = pairs.listing(session, project_id, status=PairStatus.APPROVED)
    _freezable(session, project_id, approved)
    groups = _groups(session, project_id, approved)
    parts = split(_items(project, approved, groups), SHARES, seed)
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
    if len(approved) < LEAST:
        raise RuleBroken(
            f"{len(approved)} rows are approved; a version needs at least {LEAST}. Review more."
        )
    if overlaps.due(session, project_id):
        raise RuleBroken("Rows changed since the last search for duplicates. Run it, then freeze.")
    leaks = overlaps.current(session, project_id, [LinkKind.LEAK], state=None)
    ready = {pair.id for pair in approved}
    leaking = [link for link in leaks if link.a in ready and link.b in ready]
    if leaking:
        raise RuleBroken(
            f"{len(leaking)} rows repeat held-out test rows, the first are pairs {leaking[0].a} "
            f"and {leaking[0].b}. Settle them on the Duplicates page, then freeze."
        )
    trained = [ledger.row(pair) for pair in approved if not pair.held_out]
    ledger.check(session, project_id, trained, "freeze")


def _groups(session: Session, project_id: int, approved: Sequence[Pair]) -> dict[int, int]:
    """The group of each row: near-duplicates that were kept, and rows of one source document."""
    ids = {pair.id for pair in approved}
    edges = [
        duplicates.Near(link.a, link.b, link.similarity)
        for link in overlaps.current(session, project_id, state=None)
        if link.a in ids and link.b in ids
    ]
    for members in leakage.families([ledger.row(pair) for pair in approved]):
        edges += [duplicates.Near(members[0], member, 1.0) for member in members]
    groups = {pair.id: pair.id for pair in approved}
    for members in duplicates.groups(edges):
        groups.update(dict.fromkeys(members, min(members)))
    return groups


def _items(project: Project, approved: Sequence[Pair], groups: dict[int, int]) -> list[Item]:
    return [
        Item(
            id=pair.id,
            group=str(groups[pair.id]),
            stratum=stratum(project, pair),
            pinned=Split.TEST if pair.held_out else None,
        )
        for pair in approved
    ]


def stratum(project: Project, pair: Pair) -> str:
    """What the split keeps in proportion: the label in a JSON output, else the topic."""
    if project.label_field is not None:
        try:
            answer = strict_json.loads(pair.response)
        except AssayError:
            answer = None
        if isinstance(answer, dict):
            return str(answer.get(project.label_field, ""))
    return pair.topic or ""


def _insert(
    session: Session,
    actor: User,
    project: Project,
    frozen: Sequence[VersionRow],
    seed: int,
    note: str,
) -> Version:
    sha256 = hashlib.sha256(canonical(frozen)).hexdigest()
    before = listing(session, project.id)
    if before and before[0].sha256 == sha256:
        raise RuleBroken(f"Nothing changed since version {before[0].number}. There is no new one.")
    counts = {part.value: sum(row.split is part for row in frozen) for part in Split}
    row = VersionRowTable(
        project_id=project.id,
        number=(before[0].number if before else 0) + 1,
        sha256=sha256,
        seed=seed,
        counts=counts,
        manifest=_manifest(session, project, frozen, note),
        created_by=actor.id,
    )
    session.add(row)
    session.flush()
    _members(session, row.id, frozen)
    _hold_out(session, frozen)
    events.record(
        session, actor, "freeze", "version", row.id, project_id=project.id, sha256=sha256,
        seed=seed, **counts,
    )  # fmt: skip
    return _version(row)


def _members(session: Session, version_id: int, frozen: Sequence[VersionRow]) -> None:
    try:
        session.add_all(
            MemberRow(
                version_id=version_id, pair_id=row.pair_id, split=row.split, prompt=row.prompt,
                response=row.response, content_sha256=row.content_sha256, origin=row.origin,
                group=row.group,
            )
            for row in frozen
        )  # fmt: skip
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
) -> dict[str, object]:
    origins = {origin.value: sum(row.origin is origin for row in frozen) for origin in Origin}
    approvers = pairs.approvers(session, [row.pair_id for row in frozen])
    return {
        "note": note.strip(),
        "origins": {name: count for name, count in origins.items() if count},
        "approvals": {
            str(user): sum(one == user for one in approvers.values())
            for user in sorted(set(approvers.values()))
        },
        "system_message": project.system_message,
        "system_message_sha256": hashlib.sha256(project.system_message.encode()).hexdigest(),
        "output_schema": project.output_schema,
        "label_field": project.label_field,
        "shares": list(SHARES),
        "groups": len({row.group for row in frozen}),
    }


def difference(session: Session, older: int, newer: int) -> Difference:
    """What a version added, removed and changed against an older one."""
    old = {row.pair_id: row.content_sha256 for row in rows(session, older)}
    new = {row.pair_id: row.content_sha256 for row in rows(session, newer)}
    return Difference(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(i for i in old.keys() & new.keys() if old[i] != new[i])),
    )


def withdrawn(session: Session, version_id: int) -> list[int]:
    """Rows of a version that are no longer approved with the text they were frozen with."""
    query = (
        select(MemberRow.pair_id)
        .join(PairRow, PairRow.id == MemberRow.pair_id)
        .where(
            MemberRow.version_id == version_id,
            (PairRow.status != PairStatus.APPROVED)
            | (PairRow.content_sha256 != MemberRow.content_sha256),
        )
        .order_by(MemberRow.pair_id)
    )
    return list(session.scalars(query))


def export(
    session: Session, version_id: int, folder: Path, part: Split | None = None
) -> tuple[Path, str]:
    """Write a verified version (or one split) as chat JSONL. Returns the file and its sha256.

    Raises:
        BadInput: the folder does not exist.
    """
    from curation import exports

    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}. Make it first, or name another.")
    version = verify(session, version_id)
    content = exports.to_chat_jsonl(
        rows(session, version_id, part), version.manifest["system_message"]
    )
    sha256 = hashlib.sha256(content).hexdigest()
    path = folder / export_name(version, sha256, part)
    path.write_bytes(content)
    return path, sha256


def export_name(version: Version, sha256: str, part: Split | None = None) -> str:
    """The name of an export. It holds the hash: Streamlit tells downloads apart by name."""
    return f"version-{version.number}-{part or 'all'}-{sha256[:16]}.jsonl"


def count(session: Session, project_id: int) -> int:
    """How many versions a project has."""
    query = select(func.count()).where(VersionRowTable.project_id == project_id)
    return session.scalar(query) or 0
