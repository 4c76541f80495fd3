"""The personal-data scan as a job: it reads pairs and takes in findings as it goes."""

from pathlib import Path

from sqlalchemy.orm import Session

from curation import statistics
from curation.personal import scan_run, scan_settings, scans
from curation.personal.scan_run import ScanRun
from storage.engine import writing
from storage.errors import RuleBroken
from storage.settings import Settings
from storage.types import Job
from training.chores import chore
from training.records import tasks
from training.records.results import PersonalScanResult
from training.records.specs import ScanSpec
from training.records.tasks import ScanTask
from training.work.evidence import Cancelled, Evidence


def request(session: Session, project_id: int) -> ScanSpec:
    """The spec of a scan of all rows whose text has none with the project's present settings.

    Raises:
        RuleBroken: every row has been scanned.
    """
    if not scans.left(session, project_id):
        raise RuleBroken("Every pair has been scanned. There is nothing to do.")
    return ScanSpec()


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> ScanTask:  # noqa: ARG001 - one shape for all kinds
    """The settings are those in force when the job begins."""
    config = scan_settings.current(session, job.project_id).config
    return ScanTask(data_dir=str(settings.data), job_id=job.id, config=config)


def main(directory: Path, hold: Evidence) -> None:
    """Scan what waits for it. What was scanned counts, however the job ends."""
    config = tasks.read(ScanTask, directory).config
    with chore.opened(directory, hold) as going:
        hold.say("Loading the language model.")
        project_id = going.job.project_id
        try:
            run = scan_run.scan(going.engine, going.actor, project_id, config, step=going.step)
        except Cancelled:
            hold.finish(
                "cancelled",
                "Cancelled. What was scanned before counts; the next scan goes on with the rest.",
            )
            return
        with writing(going.engine) as session:
            going.settle(session, _message(run), _result(run))
        going.finish(_message(run), _result(run))


def _message(run: ScanRun) -> str:
    pairs = statistics.count(run.stored, "pair")
    return f"Scanned {pairs}; {run.quarantined} could not be scanned whole."


def _result(run: ScanRun) -> PersonalScanResult:
    return PersonalScanResult(rows=run.stored, quarantined=run.quarantined)
