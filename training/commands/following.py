"""What the commands share: a job followed to its end, a version by its number."""

from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from sqlalchemy.orm import Session

from curation.versions import archive
from storage import console, settings
from storage.errors import RuleBroken, Unavailable
from storage.types import Job, JobState, Version
from training import reconcile
from training.work import evidence, jobs

Number = Annotated[
    int, typer.Option("--version", help="Number of the version; newest if left out.")
]


def wait(job: Job, *, quiet: bool = False) -> Job:
    """Follow a job with a progress bar until it has ended.

    Raises:
        Unavailable: it did not finish.
    """
    place = settings.current()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    offset = 0
    with Progress(*columns, console=console.err, disable=quiet) as bar:
        task = bar.add_task(f"{job.kind} {job.id[:8]}", total=1)
        for latest in reconcile.finish_all(console.engine(), place, job.id):
            job = latest
            events, offset = evidence.read_events(jobs.folder(place, job.id), offset)
            for event in events:
                bar.update(task, completed=event.step, total=max(1, event.total))
    if job.state is not JobState.FINISHED:
        raise Unavailable(f"The {job.kind} job ended {job.state}: {job.message}")
    return job


def version_numbered(session: Session, project_id: int, number: int) -> Version:
    versions = archive.listing(session, project_id)
    chosen = [v for v in versions if not number or v.number == number]
    if not chosen:
        raise RuleBroken("There is no such version. See: python -m curation versions")
    return chosen[0]
