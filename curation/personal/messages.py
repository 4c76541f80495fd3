"""Personal data in a project's system message: every trained pair begins with it; a lead decides.

The message is scanned along with the pairs. A new wording is scanned anew.
"""

import hashlib
from dataclasses import dataclass

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from curation.personal import scan_settings
from curation.personal.scan_lines import ScanInput, ScannedPair
from storage import events, projects
from storage.access import allowed
from storage.errors import NotFound
from storage.tables import MessageScanRow
from storage.types import Role, User

FIELD = "system_message"
"""The place of the message among scanned texts."""


@dataclass(frozen=True, slots=True)
class MessageFinding:
    """Characters of the message that may be personal data. Offsets, end exclusive."""

    number: int
    start: int
    end: int
    type: str
    dismissed: bool


@dataclass(frozen=True, slots=True)
class MessageState:
    """What the scan says of the present message."""

    scanned: bool
    findings: tuple[MessageFinding, ...] = ()
    quarantined: str | None = None

    @property
    def open(self) -> int:
        """Findings that nobody has decided."""
        return sum(not finding.dismissed for finding in self.findings)


NOTHING_TO_SCAN = MessageState(scanned=True)
"""Of a project without pairs."""


def state(session: Session, project_id: int) -> MessageState:
    """What the scan with the present settings says of the present message."""
    row = _row(session, project_id)
    if row is None:
        return MessageState(scanned=False)
    findings = tuple(
        MessageFinding(n, span["start"], span["end"], span["type"], n in row.dismissed)
        for n, span in enumerate(row.found)
    )
    return MessageState(True, findings, row.quarantined)


def to_scan(session: Session, project_id: int) -> list[ScanInput]:
    """The message as pair 0 of a scan; nothing where it has been scanned."""
    if _row(session, project_id) is not None:
        return []
    text = projects.get(session, project_id).system_message
    return [ScanInput(0, _sha256(text), {FIELD: text})]


def store(session: Session, project_id: int, result: ScannedPair) -> bool:
    """Take in a result; whether it counted: not if the message changed, or was scanned before."""
    text = projects.get(session, project_id).system_message
    if result.content_sha256 != _sha256(text):
        return False
    if _row(session, project_id, result.config_sha256) is not None:
        return False
    findings = result.findings or ()
    settled = _settled(session, project_id, text)
    session.add(
        MessageScanRow(
            project_id=project_id,
            text_sha256=result.content_sha256,
            config_sha256=result.config_sha256,
            quarantined=result.quarantined,
            found=[msgspec.to_builtins(finding) for finding in findings],
            dismissed=[n for n, f in enumerate(findings) if text[f.start : f.end] in settled],
        )
    )
    session.flush()
    return True


def _settled(session: Session, project_id: int, text: str) -> set[str]:
    """Words of this very message that were called harmless under other settings."""
    query = select(MessageScanRow).where(
        MessageScanRow.project_id == project_id, MessageScanRow.text_sha256 == _sha256(text)
    )
    return {
        text[row.found[n]["start"] : row.found[n]["end"]]
        for row in session.scalars(query)
        for n in row.dismissed
    }


@allowed(Role.LEAD)
def dismiss(session: Session, actor: User, project_id: int, number: int) -> None:
    """Say that words of the system message are no personal data.

    Raises:
        NotFound: there is no such finding in the present message.
    """
    row = _row(session, project_id)
    if row is None or not 0 <= number < len(row.found):
        raise NotFound("There is no such finding in the system message. Scan it again.")
    row.dismissed = sorted({*row.dismissed, number})
    session.flush()
    events.record(
        session,
        actor,
        "finding_dismissed",
        "message_scan",
        row.id,
        project_id=project_id,
        number=number,
        type=row.found[number]["type"],
    )


def _row(
    session: Session, project_id: int, config_sha256: str | None = None
) -> MessageScanRow | None:
    text = projects.get(session, project_id).system_message
    wanted = config_sha256 or scan_settings.current(session, project_id).config.sha256
    return session.scalar(
        select(MessageScanRow).where(
            MessageScanRow.project_id == project_id,
            MessageScanRow.text_sha256 == _sha256(text),
            MessageScanRow.config_sha256 == wanted,
        )
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
