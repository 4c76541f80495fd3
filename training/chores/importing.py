"""The import of a large file as a job: its rows wait in the job's folder, and go once taken."""

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from curation import statistics
from curation.exchange import intake
from curation.exchange.incoming import Incoming
from curation.exchange.intake import Imported, Intake
from storage import imports, synced
from storage.engine import reading
from storage.settings import Settings
from storage.types import Job
from training.chores import chore
from training.records import specs
from training.records.results import IntakeResult, RepeatedTest
from training.work import evidence, jobs
from training.work.evidence import Evidence

_ROWS = "incoming.jsonl"
_ORPHAN_SECONDS = 3600.0
_LISTED = 100
"""Repeated test pairs that a result lists; all are counted, and all are links."""


def stage(settings: Settings, rows: Sequence[Incoming]) -> str:
    """Write the rows into the folder of a job that is yet to be asked for; returns its id.

    Outside any transaction: this takes as long as the file is large.
    """
    job_id = str(uuid.uuid4())
    directory = jobs.folder(settings, job_id)
    directory.mkdir(parents=True)
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    synced.write(directory / _ROWS, lines)
    return job_id


def unstage(settings: Settings, job_id: str) -> None:
    """Forget rows whose import was refused."""
    shutil.rmtree(jobs.folder(settings, job_id), ignore_errors=True)


def forget_orphans(engine: Engine, settings: Settings) -> None:
    """Forget rows that nobody asked to import: the server was stopped between the two steps."""
    with reading(engine) as session:
        for rows in settings.jobs.glob(f"*/{_ROWS}"):
            job_id = rows.parent.name
            if evidence.age(rows) > _ORPHAN_SECONDS and not jobs.exists(session, job_id):
                unstage(settings, job_id)


def main(directory: Path, hold: Evidence) -> None:
    """Import the rows of a job's folder."""
    with chore.opened(directory, hold) as going:
        hold.say("Checking the pairs.")
        rows = _rows(directory)
        spec = specs.intake(going.job)

        def settle(session: Session, imported: Imported) -> None:
            going.settle(session, _message(imported), result(imported))

        imported = intake.take_in_chunks(
            going.engine,
            going.actor,
            Intake(going.job.project_id, spec.file, spec.sha256, spec.held_out),
            rows,
            step=going.step,
            job_id=going.job.id,
            settle=settle,
        )
        going.finish(_message(imported), result(imported))


def _rows(directory: Path) -> list[Incoming]:
    with (directory / _ROWS).open("rb") as file:
        decoder = msgspec.json.Decoder(Incoming)
        return [decoder.decode(line) for line in file]


def _message(imported: Imported) -> str:
    return f"{statistics.count(len(imported.added), 'pair was', 'pairs were')} imported."


def result(imported: Imported) -> IntakeResult:
    """What an import did, as a page draws it and a job's row stores it."""
    repeats = (
        RepeatedTest(
            line=repeat.line,
            pair_id=repeat.pair_id,
            test_id=repeat.test_id,
            how=repeat.how,
            similarity=repeat.similarity,
        )
        for repeat in imported.repeating[:_LISTED]
    )
    return IntakeResult(
        added=len(imported.added),
        existing=imported.existing,
        invalid=imported.invalid,
        repeating=len({repeat.line for repeat in imported.repeating}),
        repeats=tuple(repeats),
    )


def tidy(engine: Engine, settings: Settings, job: Job) -> None:
    """Remove what an import left that is over: the rows of the file, and pairs where it was cut
    off.
    """
    with reading(engine) as session:
        cut_off = [going for going in imports.unfinished(session) if going.job_id == job.id]
    for going in cut_off:
        imports.sweep(engine, going)
    (jobs.folder(settings, job.id) / _ROWS).unlink(missing_ok=True)
