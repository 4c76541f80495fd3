"""The freezing of many pairs as a job."""

from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from curation import statistics
from curation.versions import long_freezing
from curation.versions.long_freezing import FreezeOrder
from storage import freezings
from storage.engine import reading
from storage.settings import Settings
from storage.types import Job, Version
from training.chores import chore
from training.records import specs
from training.records.results import FreezeResult
from training.work.evidence import Evidence


def main(directory: Path, hold: Evidence) -> None:
    """Freeze the approved pairs of the job's project."""
    with chore.opened(directory, hold) as going:
        hold.say("Checking and sharing out the pairs.")
        spec = specs.freezing(going.job)

        def settle(session: Session, version: Version) -> None:
            going.settle(session, _message(version), _result(version))

        version = long_freezing.freeze_in_chunks(
            going.engine,
            going.actor,
            FreezeOrder(going.job.project_id, spec.seed, spec.note),
            step=going.step,
            job_id=going.job.id,
            settle=settle,
        )
        going.finish(_message(version), _result(version))


def _message(version: Version) -> str:
    rows = statistics.count(sum(version.counts.values()), "pair")
    return f"Version {version.number} is frozen: {rows}."


def _result(version: Version) -> FreezeResult:
    return FreezeResult(version_id=version.id, number=version.number)


def tidy(engine: Engine, settings: Settings, job: Job) -> None:  # noqa: ARG001 - one shape for all kinds
    """Make good what a freezing left that is over."""
    with reading(engine) as session:
        cut_off = [going for going in freezings.unfinished(session) if going.job_id == job.id]
    for going in cut_off:
        freezings.sweep(engine, going)
    long_freezing.clear(engine, job.project_id)
