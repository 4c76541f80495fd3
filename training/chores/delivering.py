"""The export of a large version as a job: one zip in the job's folder, to be fetched from there."""

from pathlib import Path

from sqlalchemy.orm import Session

from curation import statistics
from curation.versions import packages
from storage import synced
from storage.engine import reading
from storage.errors import NotFound
from storage.settings import Settings
from storage.types import Job, JobKind, Split
from training.chores import chore
from training.records import results, specs
from training.records.results import DeliveryResult
from training.work import jobs
from training.work.evidence import Cancelled, Evidence

_FILE = "export.zip"
_STEPS = 3


def main(directory: Path, hold: Evidence) -> None:
    """Prove the version and write the zip; earlier ones of the project make room for it."""
    with chore.opened(directory, hold) as going:
        spec = specs.delivery(going.job)
        hold.say("Proving the version and writing its files.")
        going.step(0, _STEPS)
        with reading(going.engine) as session:
            splits = tuple(Split(split) for split in spec.splits)
            package = packages.build(session, spec.version_id, spec.layout, splits)
            earlier = jobs.listing(session, going.job.project_id, JobKind.LAYOUT)
        going.step(1, _STEPS)
        content = package.zipped()
        going.step(2, _STEPS)
        for job in earlier:
            (jobs.folder(going.settings, job.id) / _FILE).unlink(missing_ok=True)
        synced.write(directory / _FILE, content)
        if hold.cancel_requested():
            (directory / _FILE).unlink()
            raise Cancelled
        pairs = statistics.count(package.rows, "pair")
        going.finish(
            f"{pairs} in {package.name}.zip. {package.left_out}".strip(),
            DeliveryResult(name=f"{package.name}.zip", pairs=package.rows, size=len(content)),
        )


def file(session: Session, settings: Settings, job_id: str) -> tuple[Path, str]:
    """The zip of a job, and what it is called.

    Raises:
        NotFound: it was not made, or made room for a later one.
    """
    job = jobs.get(session, job_id)
    path = jobs.folder(settings, job.id) / _FILE
    made = results.delivery(job) if job.kind is JobKind.LAYOUT else None
    if made is None or not path.is_file():
        raise NotFound("This export is no longer here. Prepare it again on the Versions page.")
    return path, made.name


def is_ready(settings: Settings, job: Job) -> bool:
    """Whether the zip of a job can be fetched."""
    return (jobs.folder(settings, job.id) / _FILE).is_file()
