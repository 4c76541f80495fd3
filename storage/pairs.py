"""Pairs: their present text, every earlier text, and where they stand."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage.errors import NotFound
from storage.tables import DecisionRow, PairMarkRow, PairRow, RevisionRow, ScanRow
from storage.types import Action, Decision, Origin, Outcome, Pair, PairSample, PairStatus, User
from storage.values import value_of

SHORT = 16
"""Characters of a hash of settings that a pair carries."""


def among(column: InstrumentedAttribute[Any], ids: Iterable[int]) -> ColumnElement[bool]:
    """That a column is one of these ids, however many: they travel as one parameter."""
    numbers = func.json_each(json.dumps(list(ids))).table_valued("value")
    return column.in_(select(numbers.c.value))


def content_sha256(prompt: str, response: str) -> str:
    """The name of a pair's text: sha256 of the canonical JSON of both fields."""
    canonical = json.dumps([prompt, response], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def row_of(session: Session, pair_id: int) -> PairRow:
    """The row itself, for verbs of `storage` and their callers' transaction.

    Raises:
        NotFound: there is no such pair.
    """
    row = session.get(PairRow, pair_id)
    if row is None:
        raise NotFound(f"There is no pair {pair_id}.")
    return row


def get(session: Session, pair_id: int) -> Pair:
    """One pair."""
    return value_of(Pair, row_of(session, pair_id))


def add(
    session: Session,
    project_id: int,
    prompt: str,
    response: str,
    origin: Origin,
    *,
    author: User | None = None,
    era_id: int | None = None,
    topic: str | None = None,
    held_out: bool = False,
    source: Mapping[str, str | int | None] | None = None,
    source_key: str | None = None,
) -> PairRow:
    """Store a new pair, waiting for a person. `source_key` makes a repeated import one row."""
    sha256 = content_sha256(prompt, response)
    row = PairRow(
        project_id=project_id,
        prompt=prompt,
        response=response,
        status=PairStatus.WAITING,
        origin=origin,
        version=1,
        content_sha256=sha256,
        author_id=author.id if author else None,
        era_id=era_id,
        topic=topic,
        held_out=held_out,
        source=dict(source or {}),
        source_key=source_key,
    )
    session.add(row)
    session.flush()
    _revise(session, row, author)
    return row


@dataclass(frozen=True, slots=True)
class NewPair:
    """A pair on its way into a project, waiting for a person."""

    id: int
    prompt: str
    response: str
    content_sha256: str
    origin: Origin
    author_id: int | None
    era_id: int | None
    topic: str | None
    held_out: bool
    source: Mapping[str, str | int | None]
    source_key: str


def next_id(session: Session) -> int:
    """The id that the next pair will have, of those that nobody sees yet too."""
    ids = PairRow.__table__.c.id
    return int(session.execute(select(func.coalesce(func.max(ids), 0))).scalar_one()) + 1


def add_all(session: Session, project_id: int, rows: Sequence[NewPair]) -> None:
    """Store new pairs, in two statements however many they are."""
    now = datetime.now(UTC)
    session.execute(
        insert(PairRow.__table__),  # type: ignore[arg-type]
        [
            {
                "id": row.id,
                "project_id": project_id,
                "prompt": row.prompt,
                "response": row.response,
                "status": PairStatus.WAITING,
                "origin": row.origin,
                "version": 1,
                "content_sha256": row.content_sha256,
                "author_id": row.author_id,
                "era_id": row.era_id,
                "held_out": row.held_out,
                "topic": row.topic,
                "source": dict(row.source),
                "source_key": row.source_key,
                "created_at": now,
            }
            for row in rows
        ],
    )
    session.execute(
        insert(RevisionRow.__table__),  # type: ignore[arg-type]
        [
            {
                "pair_id": row.id,
                "number": 1,
                "prompt": row.prompt,
                "response": row.response,
                "content_sha256": row.content_sha256,
                "user_id": row.author_id,
                "created_at": now,
            }
            for row in rows
        ],
    )


def rewrite(
    session: Session, row: PairRow, prompt: str, response: str, author: User | None
) -> None:
    """Give a pair a new text, or only a new version number where the text is the same."""
    session.execute(delete(PairMarkRow).where(PairMarkRow.pair_id == row.id))
    row.version += 1
    row.prompt, row.response = prompt, response
    row.content_sha256 = content_sha256(prompt, response)
    _scanned_before(session, row)
    _revise(session, row, author)


def scanned(row: PairRow, scan: ScanRow | None) -> None:
    """Note which scan counts for the present text of a pair."""
    row.scan_id = scan.id if scan else None
    row.scanned_with = scan.config_sha256[:SHORT] if scan else None


def _scanned_before(session: Session, row: PairRow) -> None:
    """A text that is back as it was before is scanned as it was."""
    query = (
        select(ScanRow)
        .where(ScanRow.pair_id == row.id, ScanRow.content_sha256 == row.content_sha256)
        .order_by(ScanRow.id.desc())
        .limit(1)
    )
    scanned(row, session.scalar(query))


def _revise(session: Session, row: PairRow, author: User | None) -> None:
    session.add(
        RevisionRow(
            pair_id=row.id,
            number=row.version,
            prompt=row.prompt,
            response=row.response,
            content_sha256=row.content_sha256,
            user_id=author.id if author else None,
        )
    )
    session.flush()


def text_at(session: Session, pair_id: int, number: int) -> tuple[str, str]:
    """Prompt and response as they were at a version number."""
    row = session.scalar(
        select(RevisionRow).where(RevisionRow.pair_id == pair_id, RevisionRow.number == number)
    )
    if row is None:
        raise NotFound(f"Pair {pair_id} has no version {number}.")
    return row.prompt, row.response


def first_texts(session: Session, pair_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """The texts pairs arrived with, by id; edits are shown against them."""
    query = select(RevisionRow).where(among(RevisionRow.pair_id, pair_ids), RevisionRow.number == 1)
    return {row.pair_id: (row.prompt, row.response) for row in session.scalars(query)}


class PairFilter(TypedDict, total=False):
    """What pairs are chosen by; None chooses all."""

    status: PairStatus | None
    held_out: bool | None
    flagged: bool | None
    origin: Origin | None


def _which(project_id: int, wanted: PairFilter) -> list[ColumnElement[bool]]:
    columns = PairRow.__table__.c
    chosen = [columns[name] == value for name, value in wanted.items() if value is not None]
    return [PairRow.project_id == project_id, *chosen]


def listing(
    session: Session,
    project_id: int,
    *,
    ids: Iterable[int] | None = None,
    after: int | None = None,
    limit: int | None = None,
    **wanted: Unpack[PairFilter],
) -> list[Pair]:
    """Pairs of a project by id, filtered: whole rows, so for a page of them set `limit`.

    `after` is the last id of the page before.
    """
    query = select(PairRow).where(*_which(project_id, wanted))
    if ids is not None:
        query = query.where(among(PairRow.id, ids))
    if after is not None:
        query = query.where(PairRow.id > after)
    rows = session.scalars(query.order_by(PairRow.id).limit(limit))
    return [value_of(Pair, row) for row in rows]


def page(
    session: Session, project_id: int, number: int, size: int, **wanted: Unpack[PairFilter]
) -> list[Pair]:
    """The pairs of one page, of so many each, of what `listing` lists; the first page is 1."""
    within = select(PairRow.id).where(*_which(project_id, wanted)).order_by(PairRow.id)
    on_page = within.offset((number - 1) * size).limit(size)
    rows = session.scalars(select(PairRow).where(PairRow.id.in_(on_page)).order_by(PairRow.id))
    return [value_of(Pair, row) for row in rows]


def ids(session: Session, project_id: int, **wanted: Unpack[PairFilter]) -> list[int]:
    """Only the ids of what `listing` lists."""
    query = select(PairRow.id).where(*_which(project_id, wanted)).order_by(PairRow.id)
    return list(session.scalars(query))


def count(session: Session, project_id: int, **wanted: Unpack[PairFilter]) -> int:
    """How many pairs `listing` would list."""
    query = select(func.count()).select_from(PairRow).where(*_which(project_id, wanted))
    return session.scalar(query) or 0


def sample(session: Session, which: Select[int]) -> PairSample:
    """How many ids a query finds, and the first of them; the query is in no order."""
    number = session.scalar(select(func.count()).select_from(which.subquery())) or 0
    if not number:
        return PairSample(0, ())
    first = which.order_by(which.selected_columns[0]).limit(PairSample.LIMIT)
    return PairSample(number, tuple(session.scalars(first)))


@dataclass(frozen=True, slots=True)
class PairCount:
    """How many pairs of a project stand alike."""

    status: PairStatus
    origin: Origin
    held_out: bool
    count: int


def tally(session: Session, project_id: int) -> list[PairCount]:
    """How many pairs there are of each status, origin and side of the split."""
    kinds = (PairRow.status, PairRow.origin, PairRow.held_out)
    query = select(*kinds, func.count()).where(PairRow.project_id == project_id).group_by(*kinds)
    return [PairCount(*row) for row in session.execute(query)]


def counts(session: Session, project_id: int) -> dict[PairStatus, int]:
    """How many pairs stand where; every status is present."""
    query = (
        select(PairRow.status, func.count())
        .where(PairRow.project_id == project_id)
        .group_by(PairRow.status)
    )
    by_status = {row[0]: row[1] for row in session.execute(query)}
    return {status: by_status.get(status, 0) for status in PairStatus}


def any_in(session: Session, project_id: int) -> bool:
    """Whether a project has pairs at all."""
    query = select(PairRow.id).where(PairRow.project_id == project_id).limit(1)
    return session.scalar(query) is not None


def decide(
    session: Session,
    actor: User,
    row: PairRow,
    action: Action,
    *,
    op: str,
    before_sha256: str,
    seen_version: int,
    fence: int = 0,
    outcome: Outcome = Outcome.APPLIED,
    prompt: str | None = None,
    response: str | None = None,
    reason: str | None = None,
    supersedes_id: int | None = None,
) -> DecisionRow:
    """Insert a decision about a pair whose row already has its new state."""
    decision = DecisionRow(
        op=op,
        pair_id=row.id,
        user_id=actor.id,
        action=action,
        outcome=outcome,
        seen_version=seen_version,
        fence=fence,
        before_sha256=before_sha256,
        after_sha256=row.content_sha256,
        prompt=prompt,
        response=response,
        reason=reason,
        supersedes_id=supersedes_id,
    )
    session.add(decision)
    session.flush()
    return decision


def history(session: Session, pair_id: int) -> list[Decision]:
    """Every decision about a pair, oldest first."""
    query = select(DecisionRow).where(DecisionRow.pair_id == pair_id).order_by(DecisionRow.id)
    return [value_of(Decision, row) for row in session.scalars(query)]


def approvers(session: Session, pair_ids: Iterable[int]) -> dict[int, int]:
    """Who gave the approval that counts, by pair."""
    query = (
        select(PairRow.id, DecisionRow.user_id)
        .join(DecisionRow, DecisionRow.id == PairRow.approval_id)
        .where(among(PairRow.id, pair_ids))
    )
    return {row.id: row.user_id for row in session.execute(query)}


def texts_by_hash(session: Session, pair_id: int, sha256: str) -> dict[str, str]:
    """The prompt and response that a pair had under a content hash."""
    row = session.scalar(
        select(RevisionRow)
        .where(RevisionRow.pair_id == pair_id, RevisionRow.content_sha256 == sha256)
        .limit(1)
    )
    if row is None:
        raise NotFound(f"Pair {pair_id} never had this text.")
    return {"prompt": row.prompt, "response": row.response}


def mark_swept(session: Session, compared: Sequence[tuple[int, str]]) -> None:
    """Say that these texts of pairs, by id and content hash, were compared with all others; a pair
    that changed meanwhile is left as it is.
    """
    if not compared:
        return
    columns = PairRow.__table__.c
    mark = (
        update(PairRow.__table__)  # type: ignore[arg-type]
        .where(columns.id == bindparam("of"), columns.content_sha256 == bindparam("text"))
        .values(swept_sha256=bindparam("text"))
    )
    session.connection().execute(mark, [{"of": of, "text": text} for of, text in compared])
    session.expire_all()
