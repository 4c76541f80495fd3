"""Draft pairs; watch, stop and resume runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from curation.overlap import overlaps
from curation.overlap.near import meanings
from storage import console, settings
from storage.types import JobKind, LinkKind
from training import asks, reconcile
from training.commands.following import wait
from training.draft import drafts
from training.records import specs
from training.work import jobs, memory_limit

app = console.app("Draft pairs; watch, stop and resume runs.")


@app.command()
def work(directory: Path) -> None:
    """Do the work of one job directory (started by the app, not by hand)."""
    from training import worker

    memory_limit.keep(lambda: worker.end_out_of_memory(directory))
    sys.exit(worker.work(directory))


@app.command("draft")
@console.plain
def draft_rows(
    topic: str,
    as_: console.As,
    count: int = 10,
    seed: int = 7,
    temperature: float = 0.8,
    endpoint: Annotated[
        str, typer.Option(help="A configured endpoint; else the local model.")
    ] = "",
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Draft pairs about a topic; they wait for people."""
    with console.acting() as session:
        wish = drafts.DraftPlan(topic, count, seed, temperature, endpoint or None)
        inside = console.project(session, project).id
        job = asks.draft(session, console.actor(session, as_), inside, wish)
    done = wait(job, quiet=as_json)
    console.show(done, as_json=as_json, message=done.message or "Done.")


@app.command("runs")
@console.plain
def list_runs(project: console.In = "", as_json: console.AsJson = False) -> None:
    """List the training runs, newest first."""
    with console.looking() as session:
        runs = jobs.listing(session, console.project(session, project).id, JobKind.TRAIN)
        short = [
            {
                "id": run.id,
                "name": run.spec["name"],
                "state": str(run.state),
                "message": run.message,
            }
            for run in runs
        ]
        console.show(runs if as_json else short, as_json=as_json)


@app.command()
@console.plain
def cancel(job: str, as_: console.As) -> None:
    """Ask a job to stop, and see it out."""
    place, engine = settings.current(), console.engine()
    with console.acting() as session:
        asks.cancel(session, console.actor(session, as_), job, place)
    reconcile.tick(engine, place)
    with console.looking() as session:
        console.show(None, as_json=False, message=f"The job is {jobs.get(session, job).state}.")


@app.command()
@console.plain
def stop(job: str, as_: console.As) -> None:
    """Ask a run to stop at its next step and keep what it learnt, and see it out."""
    place = settings.current()
    with console.acting() as session:
        asks.stop(session, console.actor(session, as_), job, place)
        stopping = jobs.get(session, job)
    done = wait(stopping)
    console.show(None, as_json=False, message=done.message or "Done.")


@app.command()
@console.plain
def resume(job: str, as_: console.As, as_json: console.AsJson = False) -> None:
    """Go on with a run that was lost, failed or stopped, from its newest verified checkpoint."""
    with console.acting() as session:
        run = asks.resume(session, console.actor(session, as_), job, settings.current())
    start = specs.train(run).resumed_from
    if not as_json and start is not None:
        lines = [f"Run {run.id} goes on from step {start.step} of run {job}."]
        lines += [f"Passed over: {passed.why}" for passed in start.refused]
        console.show(None, as_json=False, message="\n".join(lines))
    done = wait(run, quiet=as_json)
    console.show(done, as_json=as_json, message=done.message or "Done.")


@app.command("meanings")
@console.plain
def compare_meanings(
    as_: console.As,
    cosine: Annotated[float, typer.Option(help="Propose pairs from here on.")] = meanings.DEFAULT,
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Propose pairs that ask the same in other words, by the model that ASSAY_EMBEDDER names."""
    with console.acting() as session:
        inside = console.project(session, project).id
        actor = console.actor(session, as_)
        job = asks.compare_meanings(session, actor, inside, settings.current(), cosine)
    done = wait(job, quiet=as_json)
    with console.looking() as session:
        links = overlaps.current(session, inside, [LinkKind.NEAR])
    proposals = meanings.by_meaning(links)
    console.show(proposals, as_json=as_json, message=done.message or "Done.")
