"""Personal data: take in what a scan found, keep what people said, put stand-ins in its place.

A row is clean only when its present text was scanned whole with the present settings and every
finding was decided. What the scanner does not catch is listed by `curation.personal.detect.limits`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.personal import findings, messages, pii, placeholders, redaction
from storage import events, pairs
from storage.access import allowed
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import ClaimRow, FindingRow, PairRow, ScanRow
from storage.types import FindingState, PairStatus, Role, User

_CHUNK = 500
"""Rows of a scan that are taken in with one look at what is known about them."""
_SCAN = (ScanRow.pair_id, ScanRow.content_sha256, ScanRow.config_sha256)


@dataclass(frozen=True, slots=True)
class Spread:
    """What became of a decision about the same words in all rows."""

    rows: int
    findings: int
    in_review: tuple[int, ...]
    """Pairs left alone because someone is reviewing them."""
    refused: tuple[int, ...]
    """Pairs left alone because a placeholder would break their JSON."""


def to_scan(session: Session, project_id: int) -> list[dict[str, Any]]:
    """What `personal.scanning` reads: the rows, and the system message as row 0."""
    rows = [
        {
            "pair_id": pair.id,
            "content_sha256": pair.content_sha256,
            "texts": findings.texts(pair),
        }
        for pair in findings.unscanned(session, project_id)
    ]
    return [*messages.to_scan(session, project_id), *rows]


def store(
    session: Session, actor: User, project_id: int, lines: Iterable[Mapping[str, Any]]
) -> int:
    """Take in what a scan found; results for a text that changed meanwhile are left out.

    Each line is `{"pair_id", "content_sha256", "config_sha256"}` with either `"quarantined"` (why)
    or `"findings"` of `{"field", "start", "end", "type", "score"}` and, in provenance, `"key"`.
    Returns how many rows counted; the system message (row 0) is none.
    """
    kept = 0
    waiting = iter(lines)
    while chunk := list(islice(waiting, _CHUNK)):
        for line in chunk:
            if int(line["pair_id"]) == 0:
                messages.store(session, project_id, line)
        kept += _keep(session, project_id, [one for one in chunk if int(one["pair_id"])])
    events.record(session, actor, "scan", "project", project_id, project_id=project_id, rows=kept)
    return kept


def _keep(session: Session, project_id: int, lines: Sequence[Mapping[str, Any]]) -> int:
    """Store the lines about texts that still stand and have no such scan; how many there were."""
    ids = [int(line["pair_id"]) for line in lines]
    known = {
        (row.id, row.content_sha256): row
        for row in session.scalars(
            select(PairRow).where(PairRow.project_id == project_id, PairRow.id.in_(ids))
        )
    }
    done = {tuple(scan) for scan in session.execute(select(*_SCAN).where(ScanRow.pair_id.in_(ids)))}
    fresh: list[tuple[PairRow, ScanRow, Mapping[str, Any]]] = []
    for line in lines:
        key = (int(line["pair_id"]), str(line["content_sha256"]))
        if key in known and (*key, line["config_sha256"]) not in done:
            done.add((*key, line["config_sha256"]))
            scan = ScanRow(
                pair_id=key[0],
                content_sha256=key[1],
                config_sha256=line["config_sha256"],
                quarantined=line.get("quarantined"),
            )
            fresh.append((known[key], scan, line))
    session.add_all(scan for _, scan, _ in fresh)
    session.flush()
    said = _said(session, ids)
    for row, scan, line in fresh:
        session.add_all(_findings(session, row, scan, line, said.get(row.id, [])))
    session.flush()
    return len(fresh)


def _findings(
    session: Session,
    row: PairRow,
    scan: ScanRow,
    line: Mapping[str, Any],
    said: Sequence[tuple[FindingRow, str]],
) -> Iterator[FindingRow]:
    """The findings of a line; those about words already settled in this row ask nobody again."""
    harmless, invented = _settled(session, row, said)
    texts = findings.texts(row)
    for found in line.get("findings", ()):
        one = FindingRow(
            scan_id=scan.id,
            pair_id=row.id,
            field=found["field"],
            key=found.get("key"),
            start=found["start"],
            end=found["end"],
            type=found["type"],
            score=found["score"],
            state=FindingState.OPEN,
        )
        words = texts[findings.place(one)][one.start : one.end]
        ours = any(words in made for made in invented)
        if ours or words in harmless:
            one.state, one.decided_by = FindingState.DISMISSED, harmless.get(words)
            one.settled = ours or None
        yield one


def _said(session: Session, ids: Sequence[int]) -> dict[int, list[tuple[FindingRow, str]]]:
    """Findings called harmless before, by pair, each with the hash of the text it was in."""
    query = (
        select(FindingRow, ScanRow.content_sha256)
        .join(ScanRow, ScanRow.id == FindingRow.scan_id)
        .where(FindingRow.pair_id.in_(ids), FindingRow.state == FindingState.DISMISSED)
    )
    said: dict[int, list[tuple[FindingRow, str]]] = {}
    for found, sha256 in session.execute(query):
        said.setdefault(found.pair_id, []).append((found, sha256))
    return said


def _settled(
    session: Session, row: PairRow, said: Sequence[tuple[FindingRow, str]]
) -> tuple[dict[str, int | None], set[str]]:
    """Words of this pair that someone called harmless, by whom, and those that we invented."""
    harmless: dict[str, int | None] = {}
    invented: set[str] = set()
    now = findings.texts(row) if said else {}
    for found, sha256 in said:
        texts = now | pairs.texts_by_hash(session, row.id, sha256)
        words = texts.get(findings.place(found), "")[found.start : found.end]
        if found.settled:
            invented.add(words)
        else:
            harmless[words] = found.decided_by
    return harmless, invented


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def decide(
    session: Session,
    actor: User,
    finding_id: int,
    state: FindingState,
    type_: str | None = None,
) -> bool:
    """Accept a finding (perhaps under another type), dismiss it, or open it again.

    When the last finding of a row is decided, stand-ins take the place of the accepted ones.
    Returns whether that happened.

    Raises:
        NotFound: there is no such finding.
        RuleBroken: the row's text changed since; scan it again.
        BadInput: the type is not one of `pii.TYPES`.
    """
    found, row = _of(session, finding_id)
    if type_ is not None and type_ not in pii.TYPES:
        raise BadInput(f"{type_!r} is not a type of personal data known here.")
    if _held(session, actor, row):
        raise RuleBroken(f"Someone is reviewing pair {row.id} now. Try again in a few minutes.")
    found.type = type_ or found.type
    _say(session, actor, row, found, state)
    session.flush()
    events.record(
        session,
        actor,
        f"finding_{state}",
        "finding",
        finding_id,
        project_id=row.project_id,
        pair=row.id,
        type=found.type,
    )
    return _settle(session, actor, row, findings.current(session, row.project_id, row.id))


@allowed(Role.EXPERT, Role.REVIEWER, Role.LEAD)
def everywhere(session: Session, actor: User, finding_id: int, state: FindingState) -> Spread:
    """Accept or dismiss the same words (but for case and spacing) of the same type in all rows.

    Only findings that nobody has decided yet. A row that someone is reviewing, or whose JSON would
    break, is left as it is and reported. What is done can be undone finding by finding, until the
    last one of its row is decided.

    Raises:
        NotFound: there is no such finding.
        RuleBroken: the row's text changed since; scan it again.
        BadInput: `state` is neither accepted nor dismissed.
    """
    if state is FindingState.OPEN:
        raise BadInput("Choose whether the words are personal data or not.")
    found, first = _of(session, finding_id)
    same = list(_same(session, first, found))
    done, held, refused = 0, [], []
    rows = 0
    for row, mine, every in same:
        if _held(session, actor, row):
            held.append(row.id)
            continue
        try:
            with session.begin_nested():
                for one in mine:
                    _say(session, actor, row, one, state)
                session.flush()
                _settle(session, actor, row, every)
        except RuleBroken:
            refused.append(row.id)
            continue
        rows, done = rows + 1, done + len(mine)
    events.record(
        session,
        actor,
        f"everywhere_{state}",
        "finding",
        finding_id,
        project_id=first.project_id,
        type=found.type,
        rows=rows,
        findings=done,
        held=len(held),
        refused=len(refused),
    )
    return Spread(rows, done, tuple(held), tuple(refused))


def _same(
    session: Session, first: PairRow, found: FindingRow
) -> Iterator[tuple[PairRow, list[FindingRow], list[FindingRow]]]:
    """Rows with open findings of the same words and type: those, and every finding of the row."""
    asked = _words(first, found)
    by_pair: dict[int, list[FindingRow]] = {}
    for one in findings.current(session, first.project_id):
        by_pair.setdefault(one.pair_id, []).append(one)
    for pair_id, every in by_pair.items():
        alike = [o for o in every if o.type == found.type and o.state is FindingState.OPEN]
        row = pairs.row_of(session, pair_id) if alike else first
        mine = [one for one in alike if _words(row, one) == asked]
        if mine and row.status is not PairStatus.REJECTED:
            yield row, mine, every


def _words(row: PairRow, found: FindingRow) -> str:
    text = findings.texts(row).get(findings.place(found), "")
    return placeholders.surface(text[found.start : found.end], structured=True)


def _of(session: Session, finding_id: int) -> tuple[FindingRow, PairRow]:
    found = session.get(FindingRow, finding_id)
    if found is None:
        raise NotFound(f"There is no finding {finding_id}.")
    row, scan = pairs.row_of(session, found.pair_id), session.get(ScanRow, found.scan_id)
    if scan is None or scan.content_sha256 != row.content_sha256 or found.settled:
        raise RuleBroken(f"The text of pair {row.id} changed since the scan. Scan it again.")
    return found, row


def _held(session: Session, actor: User, row: PairRow) -> bool:
    """A row in someone's review hand is not rewritten under their eyes."""
    holder = session.get(ClaimRow, row.id)
    return (
        holder is not None and holder.user_id != actor.id and holder.lease_until > datetime.now(UTC)
    )


def _say(
    session: Session, actor: User, row: PairRow, found: FindingRow, state: FindingState
) -> None:
    """Note a decision, also where a scan with other settings found the very same words."""
    twins = select(FindingRow).where(
        FindingRow.pair_id == row.id,
        FindingRow.field == found.field,
        FindingRow.key.is_not_distinct_from(found.key),
        FindingRow.start == found.start,
        FindingRow.end == found.end,
        FindingRow.scan_id.in_(
            select(ScanRow.id).where(
                ScanRow.pair_id == row.id, ScanRow.content_sha256 == row.content_sha256
            )
        ),
    )
    for one in session.scalars(twins):
        one.state, one.decided_by, one.decided_at = state, actor.id, datetime.now(UTC)


def _settle(session: Session, actor: User, row: PairRow, found: Sequence[FindingRow]) -> bool:
    """Put the stand-ins in once none of a row's findings is open."""
    if any(one.state is FindingState.OPEN for one in found):
        return False
    accepted = [one for one in found if one.state is FindingState.ACCEPTED]
    if not accepted:
        return False
    redaction.put(session, actor, row, accepted)
    return True
