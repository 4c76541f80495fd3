"""Personal-data findings as they stand: which pairs have them, and how they would read without.

Looked at are the input, the output, the topic and what else came with an imported pair. The names
of imported files and what Assay itself writes down about a pair are not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from curation.personal import detect, messages, placeholders, scan_settings
from curation.personal.stand_ins import StandIns
from storage import pairs
from storage.tables import FindingRow, PairRow, ScanRow
from storage.types import Finding, FindingState, Pair, PairStatus
from storage.values import value_of

INVENTED = "INVENTED"
"""The type of words that Assay put in itself; nobody is asked about them."""
FIELDS = ("prompt", "response", "topic", "source")
_OURS = frozenset({"file", "sha256", "line", "job", "model", "seed", "prompt_sha256"})
"""What Assay writes down about where a pair comes from."""
_LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class Marked:
    """A pair with the findings in its present text."""

    pair: Pair
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ScrubPreview:
    """A pair as it would read if every finding that nobody dismissed were accepted."""

    texts: Mapping[str, str]
    becomes: Mapping[int, str]
    """What stands in the place of each such finding, by its id."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far the pairs that count (not rejected) have been scanned and decided."""

    pairs: int
    unscanned: tuple[int, ...]
    """Pairs whose present text has no scan with the present settings."""
    quarantined: dict[int, str]
    """Why a pair could not be scanned whole."""
    open: tuple[int, ...]
    """Pairs with findings that nobody has decided."""
    stale: tuple[int, ...] = ()
    """Those of `unscanned` that were scanned with earlier settings."""
    message: messages.MessageState = messages.NOTHING_TO_SCAN
    """The same about the project's system message."""


def texts(pair: Pair | PairRow) -> dict[str, str]:
    """What is scanned of a pair, by place: "prompt", "response", "topic", "source:id" and so on."""
    by_place = {"prompt": pair.prompt, "response": pair.response}
    if pair.topic:
        by_place["topic"] = pair.topic
    for key, value in pair.source.items():
        if isinstance(value, str) and value and key not in _OURS and len(key) <= _LONGEST_KEY:
            by_place[f"source:{key}"] = value
    return by_place


def place(finding: Finding | FindingRow) -> str:
    """Which of `texts` a finding is in."""
    return finding.field if finding.key is None else f"{finding.field}:{finding.key}"


def excerpt(by_place: Mapping[str, str], finding: Finding | FindingRow) -> str:
    """The characters that a finding marks; empty where its text is gone."""
    return by_place.get(place(finding), "")[finding.start : finding.end]


def spans(findings: Iterable[Finding]) -> dict[str, list[detect.Span]]:
    """The findings as stretches of their texts, by place."""
    by_place: dict[str, list[detect.Span]] = {}
    for finding in findings:
        span = detect.Span(finding.start, finding.end, finding.type, finding.score)
        by_place.setdefault(place(finding), []).append(span)
    return by_place


def unscanned(
    session: Session,
    project_id: int,
    config_sha256: str | None = None,
    *,
    after: int = 0,
    limit: int | None = None,
) -> list[Pair]:
    """Pairs, not rejected, whose present text has no scan with these settings (or the present).

    They come by id: at most `limit` of those after a pair.
    """
    wanted = config_sha256 or scan_settings.current(session, project_id).config.sha256
    query = (
        select(PairRow)
        .where(PairRow.id > after, *_without_scan(project_id, wanted))
        .order_by(PairRow.id)
        .limit(limit)
    )
    return [value_of(Pair, row) for row in session.scalars(query)]


def count_unscanned(session: Session, project_id: int, config_sha256: str) -> int:
    """How many pairs, not rejected, have no scan of their present text with these settings."""
    query = select(func.count(PairRow.id)).where(*_without_scan(project_id, config_sha256))
    return session.scalar(query) or 0


def _without_scan(project_id: int, config_sha256: str) -> tuple[ColumnElement[bool], ...]:
    return (
        # Added to zero, or SQLite would read and sort all pairs of the project for a page of them.
        PairRow.project_id + 0 == project_id,
        PairRow.status != PairStatus.REJECTED,
        PairRow.scanned_with.is_distinct_from(config_sha256[: pairs.SHORT]),
    )


COUNTED = and_(FindingRow.pair_id == PairRow.id, FindingRow.scan_id == PairRow.scan_id)
"""That a finding is in the present text of a pair, by the scan that counts for it."""


def current(session: Session, project_id: int, pair_id: int | None = None) -> list[FindingRow]:
    """The findings in the present texts (of one pair, or of all) that are not yet settled."""
    query = (
        select(FindingRow)
        .join(PairRow, COUNTED)
        .where(PairRow.project_id == project_id, FindingRow.settled.is_not(True))
        .order_by(FindingRow.pair_id, FindingRow.field, FindingRow.key, FindingRow.start)
    )
    if pair_id is not None:
        query = query.where(FindingRow.pair_id == pair_id)
    return list(session.scalars(query))


def marked(
    session: Session, project_id: int, state: FindingState | None = FindingState.OPEN
) -> list[Marked]:
    """Pairs, not rejected, with findings in this state (all of the pair's findings come along)."""
    by_pair: dict[int, list[Finding]] = {}
    for row in current(session, project_id):
        by_pair.setdefault(row.pair_id, []).append(value_of(Finding, row))
    wanted = {
        pair_id
        for pair_id, findings in by_pair.items()
        if state is None
        or any(finding.state is state for finding in findings)
        or (state is FindingState.OPEN and any(map(_undecided, findings)))
    }
    if not wanted:
        return []
    query = (
        select(PairRow)
        .where(PairRow.status != PairStatus.REJECTED, pairs.among(PairRow.id, wanted))
        .order_by(PairRow.id)
    )
    return [Marked(value_of(Pair, row), tuple(by_pair[row.id])) for row in session.scalars(query)]


def _undecided(finding: Finding | FindingRow) -> bool:
    """Open; or accepted in a text that is back as it was before stand-ins were put in."""
    return finding.state is not FindingState.DISMISSED


def preview(session: Session, pair_marked: Marked) -> ScrubPreview:
    """The pair with stand-ins for its accepted and its open findings.

    Raises:
        RuleBroken: one of them would break the JSON of a field.
    """
    pair = pair_marked.pair
    replaced = sorted(filter(_undecided, pair_marked.findings), key=lambda finding: finding.start)
    settings = scan_settings.current(session, pair.project_id)
    stand_in = StandIns(session, pair.project_id, settings.replacement).stand_in
    fields, accepted = texts(pair), spans(replaced)
    labels = placeholders.labels(fields, accepted, stand_in)
    becomes = {
        finding.id: label
        for field, in_order in labels.items()
        for finding, label in zip(
            (finding for finding in replaced if place(finding) == field), in_order, strict=True
        )
    }
    return ScrubPreview(placeholders.replace(fields, accepted, stand_in), becomes)


def coverage(session: Session, project_id: int, ids: Iterable[int] | None = None) -> Coverage:
    """How far the pairs (all not rejected, or `ids`) are scanned and decided."""
    query = select(PairRow.id).where(
        PairRow.project_id == project_id, PairRow.status != PairStatus.REJECTED
    )
    alive = set(session.scalars(query))
    if ids is not None:
        alive &= set(ids)
    remaining = [pair.id for pair in unscanned(session, project_id) if pair.id in alive]
    scans = session.execute(
        select(PairRow.id, ScanRow.quarantined)
        .join(ScanRow, ScanRow.id == PairRow.scan_id)
        .where(PairRow.project_id == project_id)
    )
    scanned = {pair_id: reason for pair_id, reason in scans if pair_id in alive}
    opened = {row.pair_id for row in current(session, project_id) if _undecided(row)}
    return Coverage(
        pairs=len(alive),
        unscanned=tuple(remaining),
        quarantined={pair_id: reason for pair_id, reason in scanned.items() if reason is not None},
        open=tuple(sorted(opened & alive)),
        stale=tuple(pair_id for pair_id in remaining if pair_id in scanned),
        message=messages.state(session, project_id) if alive else messages.NOTHING_TO_SCAN,
    )
