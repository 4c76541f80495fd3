"""The personal-data scan as a job: rows in, offsets out; the text stays in the job's own folder."""

from pathlib import Path

from sqlalchemy.orm import Session

from curation.personal import scan_lines, scan_settings, scanning, scans
from curation.personal.scan_lines import ScanInput, ScannedPair
from storage.errors import RuleBroken
from storage.settings import Settings
from storage.types import Job, User
from training.records import tasks
from training.records.record import written
from training.records.results import PersonalScanResult
from training.records.specs import ScanSpec
from training.records.tasks import ScanTask
from training.work import evidence
from training.work.evidence import Evidence


def request(session: Session, project_id: int) -> ScanSpec:
    """The spec of a scan of all rows whose text has none with the project's present settings.

    Raises:
        RuleBroken: every row has been scanned.
    """
    if not scans.to_scan(session, project_id):
        raise RuleBroken("Every pair has been scanned. There is nothing to do.")
    return ScanSpec()


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> ScanTask:  # noqa: ARG001 - one shape for all kinds
    """Write the rows to scan; the settings are those in force when the job begins."""
    lines = scans.to_scan(session, job.project_id)
    config = scan_settings.current(session, job.project_id).config
    evidence.write_bytes(directory / "rows.jsonl", scan_lines.written(lines, ascii_only=False))
    return ScanTask(config=config)


def ingest(
    session: Session, actor: User, job: Job, directory: Path, result: PersonalScanResult
) -> None:
    """Store what the scan found."""
    del result
    results = scan_lines.read(directory / "findings.jsonl", ScannedPair)
    scans.store(session, actor, job.project_id, results)


def main(directory: Path, hold: Evidence) -> None:
    """Scan the rows of a job directory; nothing counts unless all of them were looked at."""
    task = tasks.read(ScanTask, directory)
    rows = scan_lines.read(directory / "rows.jsonl", ScanInput)
    hold.say("Loading the language model.")
    results: list[ScannedPair] = []
    for batch in scanning.results(rows, task.config, lambda: hold.progress(0, len(rows))):
        results += batch
        hold.progress(len(results), len(rows))
        if hold.cancel_requested():
            hold.finish("cancelled", "Cancelled; no pair of this scan counts.")
            return
    evidence.write_bytes(directory / "findings.jsonl", scan_lines.written(results))
    quarantined = sum(result.quarantined is not None for result in results)
    pairs = sum(row.pair_id != 0 for row in rows)  # 0 is the system message
    hold.finish(
        "finished",
        f"Scanned {pairs} pairs; {quarantined} could not be scanned whole.",
        written(PersonalScanResult(rows=pairs, quarantined=quarantined)),
    )
