"""Frozen versions as they are stored: read through one door, which proves them first.

Every use of a version's rows (training, evaluation, trials, export, pages) goes through `opened`.
It finds any change of the stored rows, of what was frozen beside them, and of their seal. It does
not find a forger who rewrites rows, hashes, seal and event log together: for that, keep the
sha256 or the head of the log somewhere else.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import msgspec
from sqlalchemy import Text, func, select, type_coerce
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from curation.versions import canonical, verify_version
from curation.versions.records import Inclusion, SealedFacts
from storage import pairs
from storage.errors import RESTORE, NotFound, Unavailable
from storage.tables import EventRow, MemberRow, PairRow, VersionProofRow, VersionRowTable
from storage.types import PairSample, PairStatus, Split, Version, VersionManifest, VersionRow
from storage.values import value_of

_proven: ContextVar[frozenset[str]] = ContextVar("proven", default=frozenset())
"""The sha256 of versions that this thread proved right before the present transaction."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A version whose rows were proven to be the frozen ones."""

    version: Version
    rows: tuple[VersionRow, ...]
    """By pair id."""
    merkle_root: str
    facts: SealedFacts | None
    """What held when it was frozen; None for versions frozen by Assay 0.1.0."""
    seal: str | None
    """sha256 over the version, its groups and its facts; None where there are no facts."""

    def part(self, *splits: Split) -> list[VersionRow]:
        """The rows of these splits."""
        return [row for row in self.rows if row.split in splits]


def value(row: VersionRowTable) -> Version:
    """The value of a version's row.

    Raises:
        Unavailable: its manifest is not what was frozen.
    """
    try:
        manifest = msgspec.convert(row.manifest, VersionManifest)
    except msgspec.ValidationError:
        raise _broken(row.number) from None
    return value_of(Version, row, manifest=manifest)


def get(session: Session, version_id: int) -> Version:
    """One version; its rows are not looked at.

    Raises:
        NotFound: there is no such version.
    """
    row = session.get(VersionRowTable, version_id)
    if row is None:
        raise NotFound(f"There is no version {version_id}.")
    return value(row)


def listing(session: Session, project_id: int) -> list[Version]:
    """The versions of a project, newest first."""
    query = (
        select(VersionRowTable)
        .where(VersionRowTable.project_id == project_id)
        .order_by(VersionRowTable.number.desc())
    )
    return [value(row) for row in session.scalars(query)]


def count(session: Session, project_id: int) -> int:
    """How many versions a project has."""
    query = select(func.count()).where(VersionRowTable.project_id == project_id)
    return session.scalar(query) or 0


def size(session: Session, version_id: int) -> int:
    """How many pairs a version has; 0 where there is no such version."""
    query = select(VersionRowTable.counts).where(VersionRowTable.id == version_id)
    return sum((session.scalar(query) or {}).values())


def opened(session: Session, version_id: int) -> Opened:
    """A version with its rows, after recomputing the hash of each row, the sha256 and the seal.

    Raises:
        NotFound: there is no such version.
        Unavailable: what is stored is not what was frozen.
    """
    try:
        version = get(session, version_id)
        rows = unproven(session, version_id)
        sha256, root = canonical.named(rows)
        if not _intact(version, rows, sha256):
            raise _broken(version.number)
        return _sealed(session, version, rows, root)
    except (DBAPIError, ValueError, LookupError, TypeError, msgspec.MsgspecError):
        # Damaged text cannot even be read: no UTF-8, no JSON, no date, no known word. The error
        # itself may quote the text, so it is not kept.
        raise _broken(version_id) from None


def _broken(number: int) -> Unavailable:
    return Unavailable(
        f"Version {number} no longer has the pairs it was frozen with. Do not use it. {RESTORE}"
    )


def unproven(
    session: Session, version_id: int, pair_ids: Collection[int] | None = None
) -> tuple[VersionRow, ...]:
    """The stored rows, all or these, as columns: entities could come from the session's memory.

    They are not proven: whoever uses them proves them first.
    """
    query = (
        select(
            MemberRow.pair_id,
            MemberRow.split,
            MemberRow.prompt,
            MemberRow.response,
            MemberRow.content_sha256,
            MemberRow.origin,
            MemberRow.group,
        )
        .where(MemberRow.version_id == version_id)
        .order_by(MemberRow.pair_id)
    )
    if pair_ids is not None:
        query = query.where(pairs.among(MemberRow.pair_id, pair_ids))
    return tuple(VersionRow(*row) for row in session.execute(query))


def stored(session: Session, version_id: int, pair_ids: Collection[int]) -> dict[int, VersionRow]:
    """The stored rows of these pairs, by pair, to look at: they are not proven."""
    return {row.pair_id: row for row in unproven(session, version_id, pair_ids)}


def _intact(version: Version, rows: Sequence[VersionRow], sha256: str) -> bool:
    if sha256 != version.sha256 or version.counts != counts(rows):
        return False
    return all(map(_own_hash, rows))


def _own_hash(row: VersionRow) -> bool:
    return pairs.content_sha256(row.prompt, row.response) == row.content_sha256


def counts(rows: Sequence[VersionRow]) -> dict[str, int]:
    """Rows per split; every split is present."""
    return {part.value: sum(row.split is part for row in rows) for part in Split}


def _sealed(session: Session, version: Version, rows: tuple[VersionRow, ...], root: str) -> Opened:
    proof = session.execute(
        select(
            VersionProofRow.merkle_root,
            VersionProofRow.seal,
            type_coerce(VersionProofRow.facts, Text),
        ).where(VersionProofRow.version_id == version.id)
    ).one_or_none()
    if proof is None:
        if _was_sealed(session, version.id):
            raise _broken(version.number)
        return Opened(version, rows, root, None, None)
    if proof[0] != root or proof[1] != seal(session, version.id, rows, root, proof[2]):
        raise _broken(version.number)
    return Opened(version, rows, root, msgspec.json.decode(proof[2], type=SealedFacts), proof[1])


def _was_sealed(session: Session, version_id: int) -> bool:
    """Whether the log of the freezing tells of a seal."""
    query = select(EventRow.detail).where(
        EventRow.noun == "version", EventRow.verb == "freeze", EventRow.noun_id == str(version_id)
    )
    return any("seal" in detail for detail in session.scalars(query))


def seal(
    session: Session, version_id: int, rows: Sequence[VersionRow], root: str, facts: str
) -> str:
    """The hash over everything stored about a version. `facts` is the stored JSON text.

    Dates and JSON are taken as the characters that are stored, so that two spellings of the same
    value do not have one hash.
    """
    v = VersionRowTable
    columns = {
        "project_id": v.project_id,
        "number": v.number,
        "sha256": v.sha256,
        "seed": v.seed,
        "created_by": v.created_by,
        "counts": type_coerce(v.counts, Text),
        "manifest": type_coerce(v.manifest, Text),
        "created_at": type_coerce(v.created_at, Text),
    }
    stored = session.execute(select(*columns.values()).where(v.id == version_id)).one()
    groups = [[row.pair_id, row.group] for row in rows]
    body = {
        **dict(zip(columns, stored, strict=True)),
        "version_id": version_id,
        "groups": groups,
        "merkle_root": root,
        "facts": facts,
    }
    return hashlib.sha256(verify_version.compact(body).encode()).hexdigest()


def rows(session: Session, version_id: int, part: Split | None = None) -> list[VersionRow]:
    """The proven rows of a version by pair id, all or of one split."""
    proven = opened(session, version_id)
    return list(proven.rows) if part is None else proven.part(part)


def texts(session: Session, version_id: int, pair_ids: Collection[int]) -> dict[int, VersionRow]:
    """Some rows by pair id, each proven by its own hash only: for what is shown again and again.

    Raises:
        Unavailable: one of them is not what was frozen, or is not there.
    """
    try:
        rows = {row.pair_id: row for row in unproven(session, version_id, pair_ids)}
    except (DBAPIError, ValueError, LookupError, TypeError):
        raise _broken(version_id) from None
    if set(rows) != set(pair_ids) or not all(map(_own_hash, rows.values())):
        raise _broken(get(session, version_id).number)
    return rows


def verify(session: Session, version_id: int) -> Version:
    """The version, after proving its rows, unless that was done right before (`trusting`).

    Raises:
        Unavailable: the stored rows are not the ones that were frozen.
    """
    version = get(session, version_id)
    return version if version.sha256 in _proven.get() else opened(session, version_id).version


def prove(session: Session, version_ids: Iterable[int]) -> frozenset[str]:
    """Prove versions before a transaction that would otherwise hold the write lock meanwhile: for
    `trusting`.

    Raises:
        Unavailable: the stored rows are not the ones that were frozen.
    """
    return frozenset(opened(session, version_id).version.sha256 for version_id in version_ids)


@contextmanager
def trusting(proven: frozenset[str]) -> Iterator[None]:
    """Inside, `verify` takes these versions as proven."""
    token = _proven.set(proven)
    try:
        yield
    finally:
        _proven.reset(token)


def withdrawn(session: Session, version_id: int) -> PairSample:
    """Rows of a version that are no longer approved with the text they were frozen with."""
    query = (
        select(MemberRow.pair_id)
        .join(PairRow, PairRow.id == MemberRow.pair_id)
        .where(
            MemberRow.version_id == version_id,
            (PairRow.status != PairStatus.APPROVED)
            | (PairRow.content_sha256 != MemberRow.content_sha256),
        )
    )
    return pairs.sample(session, query)


def held_out_since(session: Session, version_id: int) -> list[int]:
    """Rows that train in a version and were held out for testing by a later one."""
    query = (
        select(MemberRow.pair_id)
        .join(PairRow, PairRow.id == MemberRow.pair_id)
        .where(
            MemberRow.version_id == version_id,
            MemberRow.split != Split.TEST,
            PairRow.held_out.is_(True),
        )
        .order_by(MemberRow.pair_id)
    )
    return list(session.scalars(query))


def tested_later(session: Session, version_id: int, splits: Collection[Split]) -> int:
    """How many rows of these splits train in a version and were held out by a later one."""
    query = (
        select(func.count())
        .select_from(MemberRow)
        .join(PairRow, PairRow.id == MemberRow.pair_id)
        .where(
            MemberRow.version_id == version_id,
            MemberRow.split.in_([split for split in splits if split is not Split.TEST]),
            PairRow.held_out.is_(True),
        )
    )
    return session.scalar(query) or 0


def inclusion(session: Session, version_id: int, pair_id: int) -> Inclusion:
    """The proof that one row was in a version, which `verify.py` checks without the other rows.

    Raises:
        NotFound: the row is not in the version.
    """
    proven = opened(session, version_id)
    if pair_id not in {row.pair_id for row in proven.rows}:
        raise NotFound(f"Pair {pair_id} is not in version {proven.version.number}.")
    return canonical.inclusion(proven.rows, pair_id)
