"""Personal data: take in what a scan found, keep what people said, put stand-ins in its place.

A row is clean only when its present text was scanned whole with the present settings and every
finding was decided. What the scanner does not catch is listed by `curation.detect.limits`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation import detect, findings, messages, pii, scan_settings
from curation.findings import Coverage, Marked, Preview, coverage, marked, preview, unscanned
from curation.stand_ins import TEXTS, StandIns
from storage import events, pairs
from storage.access import allowed
from storage.errors import BadInput, NotFound, RuleBroken
from storage.tables import ClaimRow, FindingRow, PairRow, ScanRow
from storage.types import Action, FindingState, PairStatus, Role, User

__all__ = [
    "Coverage", "Marked", "Preview", "Spread", "coverage", "decide", "everywhere", "marked",
    "preview", "store", "to_scan", "unscanned",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spread:
    """What became of a decision about the same words in all rows."""

    rows: int
    findings: int
    held: tuple[int, ...]
    """Pairs left alone because someone is reviewing them."""
    refused: tuple[int, ...]
    """Pairs left alone because a placeholder would break their JSON."""


def to_scan(session: Session, project_id: int) -> list[dict[str, Any]]:
    """What a scan reads, as `curation.scanning` wants it: rows, and the system message as row 0."""
    rows = [
        {
            "pair_id": pair.id,
            "content_sha256": pair.content_sha256,
            "texts": findings.texts(pair),
        }
        for pair in unscanned(session, project_id)
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
    for line in lines:
        if int(line["pair_id"]) == 0:
            messages.store(session, project_id, line)
            continue
        row = session.get(PairRow, int(line["pair_id"]))
        if row is None or row.project_id != project_id:
            continue
        if row.content_sha256 == line["content_sha256"] and not _scanned(session, row, line):
            _keep(session, row, line)
            kept += 1
    events.record(session, actor, "scan", "project", project_id, project_id=project_id, rows=kept)
    return kept


def _scanned(session: Session, row: PairRow, line: Mapping[str, Any]) -> bool:
    query = select(ScanRow.id).where(
        ScanRow.pair_id == row.id,
        ScanRow.content_sha256 == row.content_sha256,
        ScanRow.config_sha256 == line["config_sha256"],
    )
    return session.scalar(query) is not None


def _keep(session: Session, row: PairRow, line: Mapping[str, Any]) -> None:
    harmless, invented = _dismissed(session, row)
    scan = ScanRow(
        pair_id=row.id,
        content_sha256=row.content_sha256,
        config_sha256=line["config_sha256"],
        quarantined=line.get("quarantined"),
    )
    session.add(scan)
    session.flush()
    texts = findings.texts(row)
    for found in line.get("findings", ()):
        one = FindingRow(
            scan_id=scan.id, pair_id=row.id, field=found["field"], key=found.get("key"),
            start=found["start"], end=found["end"], type=found["type"], score=found["score"],
            state=FindingState.OPEN,
        )  # fmt: skip
        words = texts[findings.place(one)][one.start : one.end]
        ours = any(words in made for made in invented)
        if ours or words in harmless:
            one.state, one.decided_by = FindingState.DISMISSED, harmless.get(words)
            one.settled = ours or None
        session.add(one)
    session.flush()


def _dismissed(session: Session, row: PairRow) -> tuple[dict[str, int | None], set[str]]:
    """Words of this pair that someone called harmless, by whom, and those that we invented.

    A rescan does not ask about them again.
    """
    query = (
        select(FindingRow, ScanRow.content_sha256)
        .join(ScanRow, ScanRow.id == FindingRow.scan_id)
        .where(FindingRow.pair_id == row.id, FindingRow.state == FindingState.DISMISSED)
    )
    harmless: dict[str, int | None] = {}
    invented: set[str] = set()
    now = findings.texts(row)
    for found, sha256 in session.execute(query):
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
        session, actor, f"finding_{state}", "finding", finding_id, project_id=row.project_id,
        pair=row.id, type=found.type,
    )  # fmt: skip
    return _settle(session, actor, row)


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
    for row, mine in same:
        if _held(session, actor, row):
            held.append(row.id)
            continue
        try:
            with session.begin_nested():
                for one in mine:
                    _say(session, actor, row, one, state)
                session.flush()
                _settle(session, actor, row)
        except RuleBroken:
            refused.append(row.id)
            continue
        rows, done = rows + 1, done + len(mine)
    events.record(
        session, actor, f"everywhere_{state}", "finding", finding_id,
        project_id=first.project_id, type=found.type, rows=rows, findings=done, held=len(held),
        refused=len(refused),
    )  # fmt: skip
    return Spread(rows, done, tuple(held), tuple(refused))


def _same(
    session: Session, first: PairRow, found: FindingRow
) -> Iterator[tuple[PairRow, list[FindingRow]]]:
    """Rows with open findings of the same words and type, in the order of their numbers."""
    asked = _words(first, found)
    by_pair: dict[int, list[FindingRow]] = {}
    for one in findings.current(session, first.project_id):
        if one.type == found.type and one.state is FindingState.OPEN:
            by_pair.setdefault(one.pair_id, []).append(one)
    for pair_id, candidates in by_pair.items():
        row = pairs.row_of(session, pair_id)
        mine = [one for one in candidates if _words(row, one) == asked]
        if mine and row.status is not PairStatus.REJECTED:
            yield row, mine


def _words(row: PairRow, found: FindingRow) -> str:
    text = findings.texts(row).get(findings.place(found), "")
    return detect.surface(text[found.start : found.end], structured=True)


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


def _settle(session: Session, actor: User, row: PairRow) -> bool:
    """Put the stand-ins in once nothing of the row is open."""
    found = findings.current(session, row.project_id, row.id)
    if any(one.state is FindingState.OPEN for one in found):
        return False
    accepted = [one for one in found if one.state is FindingState.ACCEPTED]
    if not accepted:
        return False
    _replace(session, actor, row, accepted)
    return True


def _replace(session: Session, actor: User, row: PairRow, accepted: Sequence[FindingRow]) -> None:
    settings = scan_settings.current(session, row.project_id)
    stand_ins = StandIns(session, row.project_id, settings.replacement)
    texts, spans = findings.texts(row), findings.spans(map(findings.finding, accepted))
    named = detect.labels(texts, spans, stand_ins.given)
    done = detect.replace(texts, spans, stand_ins.given)
    stand_ins.keep()
    _redact(session, actor, row, accepted, done)
    if all(done[field] == texts[field] for field in TEXTS):
        return
    scan = session.get_one(ScanRow, accepted[0].scan_id)
    _rewrite(session, actor, row, done, scan.config_sha256)
    made = {label for field in TEXTS for label in named[field] if stand_ins.invented(label)}
    _remember(session, actor, row, scan.config_sha256, made)


def _redact(
    session: Session,
    actor: User,
    row: PairRow,
    accepted: Sequence[FindingRow],
    done: Mapping[str, str],
) -> None:
    """Take words out of what came along with a row; nothing keeps what they were."""
    outside = [one for one in accepted if one.field not in TEXTS]
    if not outside:
        return
    row.topic = done.get("topic", row.topic)
    row.source = {key: done.get(f"source:{key}", value) for key, value in row.source.items()}
    for one in outside:
        one.settled = True
    session.flush()
    events.record(
        session, actor, "redact", "pair", row.id, project_id=row.project_id, values=len(outside)
    )


def _rewrite(
    session: Session, actor: User, row: PairRow, texts: Mapping[str, str], config_sha256: str
) -> None:
    before, seen = row.content_sha256, row.version
    pairs.rewrite(session, row, texts["prompt"], texts["response"], actor)
    # The old text was scanned whole and every finding decided: the new one is it with stand-ins.
    session.add(
        ScanRow(pair_id=row.id, content_sha256=row.content_sha256, config_sha256=config_sha256)
    )
    made = pairs.decide(
        session, actor, row, Action.SCRUB, op=f"scrub-{row.id}-{row.version}",
        before_sha256=before, seen_version=seen,
    )  # fmt: skip
    if row.status is PairStatus.APPROVED:
        row.approval_id = made.id
    session.flush()
    events.record(
        session, actor, "scrub", "pair", row.id, project_id=row.project_id, decision=made.id,
        before=before, after=row.content_sha256,
    )  # fmt: skip


def _remember(
    session: Session, actor: User, row: PairRow, config_sha256: str, made: set[str]
) -> None:
    """Note where invented words stand now, so that no later scan asks about them."""
    scan_id = session.scalar(
        select(ScanRow.id).where(
            ScanRow.pair_id == row.id,
            ScanRow.content_sha256 == row.content_sha256,
            ScanRow.config_sha256 == config_sha256,
        )
    )
    for field in TEXTS:
        text = findings.texts(row)[field]
        for words in sorted(made):
            start = text.find(words)
            if start >= 0:
                session.add(
                    FindingRow(
                        scan_id=scan_id, pair_id=row.id, field=field, start=start,
                        end=start + len(words), type=findings.INVENTED, score=1.0,
                        state=FindingState.DISMISSED, decided_by=actor.id, settled=True,
                    )
                )  # fmt: skip
    session.flush()
