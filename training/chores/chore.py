"""What every chore has: the database, who asked for it, how far it is, and how it ends.

A chore's process opens the database itself, unlike other workers, and writes in short transactions
(`storage.chunks`). Its last one also stores the result in the job's row (`settle`): whatever
happens to the process after that, the job is finished; whatever happens before, nothing counts.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from storage import people
from storage.engine import open_engine, reading
from storage.settings import Settings
from storage.tables import JobRow
from storage.types import Job, JobState, User
from training.records import tasks
from training.records.record import JsonRecord, written
from training.records.results import Ended
from training.records.tasks import ChoreTask
from training.work import evidence, jobs
from training.work.evidence import Cancelled, Evidence

_ENVIRONMENT = ("ASSAY_ALLOW_OLD_SQLITE",)


@dataclass(frozen=True, slots=True)
class Chore:
    """A chore that is being done."""

    engine: Engine
    job: Job
    actor: User
    """Who asked for it: its verbs check this person's roles again."""
    settings: Settings
    directory: Path
    hold: Evidence

    def step(self, done: int, total: int) -> None:
        """Show how far it is; to be called between two chunks, while nothing is written.

        Raises:
            Cancelled: someone asked it to stop.
        """
        if self.hold.cancel_requested():
            raise Cancelled
        self.hold.progress(done, total)

    def settle(self, session: Session, message: str, result: JsonRecord) -> None:
        """Store how it ended, in the transaction that makes it whole."""
        row = session.get(JobRow, self.job.id)
        if row is not None:
            row.result = _ended(message, result)
            session.flush()

    def finish(self, message: str, result: JsonRecord) -> None:
        """Say in the job's folder what `settle` stored."""
        self.hold.finish("finished", message, written(result))


def _ended(message: str, result: JsonRecord) -> dict[str, object]:
    at = evidence.now()
    return {**written(result), "state": JobState.FINISHED.value, "message": message, "at": at}


def prepare(session: Session, job: Job, directory: Path, settings: Settings) -> ChoreTask:  # noqa: ARG001 - one shape for all kinds
    """Tell the process where the database is; what it is to do stands in the job's row."""
    return ChoreTask(data_dir=str(settings.data), job_id=job.id)


def ingest(session: Session, actor: User, job: Job, directory: Path, result: Ended) -> None:
    """Nothing is left to do: the process has written it."""


def environment() -> Mapping[str, str]:
    """What the process needs of the server's environment to open the database."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


@contextmanager
def opened(directory: Path, hold: Evidence) -> Iterator[Chore]:
    """The chore of a job's folder."""
    task = tasks.read(ChoreTask, directory)
    settings = Settings(data=Path(task.data_dir))
    engine = open_engine(settings.database)
    try:
        with reading(engine) as session:
            job = jobs.get(session, task.job_id)
            actor = people.get(session, job.requested_by)
        yield Chore(engine, job, actor, settings, directory, hold)
    finally:
        engine.dispose()
