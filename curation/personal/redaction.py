"""Put stand-ins in the place of accepted personal data: in a pair's texts and what came with it.

A verb of `scrub` has checked who asks and that every finding is decided. Earlier texts of
a pair stay in its history; what came along with it (topic, ids) is kept nowhere.
"""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.personal import findings, placeholders, scan_settings
from curation.personal.stand_ins import TEXTS, StandIns
from storage import events, pairs
from storage.tables import FindingRow, PairRow, ScanRow
from storage.types import Action, Finding, FindingState, PairStatus, User
from storage.values import value_of


def put(session: Session, actor: User, row: PairRow, accepted: Sequence[FindingRow]) -> None:
    """Replace the accepted findings of a pair; nothing of it may be open any more.

    Raises:
        RuleBroken: a stand-in would break the JSON of a field.
    """
    settings = scan_settings.current(session, row.project_id)
    stand_ins = StandIns(session, row.project_id, settings.replacement)
    texts, spans = findings.texts(row), findings.spans(value_of(Finding, each) for each in accepted)
    labels = placeholders.labels(texts, spans, stand_ins.stand_in)
    replaced = placeholders.replace(texts, spans, stand_ins.stand_in)
    stand_ins.keep()
    _redact(session, actor, row, accepted, replaced)
    if all(replaced[field] == texts[field] for field in TEXTS):
        return
    scan = session.get_one(ScanRow, accepted[0].scan_id)
    _rewrite(session, actor, row, replaced, scan.config_sha256)
    inventions = {label for field in TEXTS for label in labels[field] if stand_ins.invented(label)}
    _remember(session, actor, row, scan.config_sha256, sorted(inventions))


def _redact(
    session: Session,
    actor: User,
    row: PairRow,
    accepted: Sequence[FindingRow],
    replaced: Mapping[str, str],
) -> None:
    """Take words out of what came along with a pair; nothing keeps what they were."""
    outside = [finding for finding in accepted if finding.field not in TEXTS]
    if not outside:
        return
    row.topic = replaced.get("topic", row.topic)
    row.source = {key: replaced.get(f"source:{key}", value) for key, value in row.source.items()}
    for finding in outside:
        finding.settled, finding.surface = True, None
    session.flush()
    events.record(
        session, actor, "redact", "pair", row.id, project_id=row.project_id, values=len(outside)
    )


def _rewrite(
    session: Session, actor: User, row: PairRow, texts: Mapping[str, str], config_sha256: str
) -> None:
    before, seen_version = row.content_sha256, row.version
    pairs.rewrite(session, row, texts["prompt"], texts["response"], actor)
    # The old text was scanned whole and every finding decided: the new one is it with stand-ins.
    scan = ScanRow(pair_id=row.id, content_sha256=row.content_sha256, config_sha256=config_sha256)
    session.add(scan)
    session.flush()
    pairs.scanned(row, scan)
    decision = pairs.decide(
        session,
        actor,
        row,
        Action.SCRUB,
        op=f"scrub-{row.id}-{row.version}",
        before_sha256=before,
        seen_version=seen_version,
    )
    if row.status is PairStatus.APPROVED:
        row.approval_id = decision.id
    session.flush()
    events.record(
        session,
        actor,
        "scrub",
        "pair",
        row.id,
        project_id=row.project_id,
        decision=decision.id,
        before=before,
        after=row.content_sha256,
    )


def _remember(
    session: Session, actor: User, row: PairRow, config_sha256: str, inventions: Iterable[str]
) -> None:
    """Note where inventions stand now, so that no later scan asks about them."""
    scan_id = session.scalar(
        select(ScanRow.id).where(
            ScanRow.pair_id == row.id,
            ScanRow.content_sha256 == row.content_sha256,
            ScanRow.config_sha256 == config_sha256,
        )
    )
    texts = findings.texts(row)
    session.add_all(
        FindingRow(
            scan_id=scan_id,
            pair_id=row.id,
            field=field,
            start=start,
            end=start + len(invention),
            type=findings.INVENTED,
            score=1.0,
            state=FindingState.DISMISSED,
            decided_by=actor.id,
            settled=True,
        )
        for field in TEXTS
        for invention in inventions
        if (start := texts[field].find(invention)) >= 0
    )
    session.flush()
