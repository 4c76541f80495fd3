"""`python -m training`: draft, launch, watch, evaluate, judge blind, hand on; and the demo."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from sqlalchemy.orm import Session

from curation import versions
from storage import console, settings
from storage.errors import BadInput, RuleBroken, Unavailable
from storage.types import Job, JobKind, JobState, Version
from training import adapters, base_models, blind, drafts, evaluations, evidence, jobs, runs
from training.settings import SMALL_BASE, Lora

app = console.app("Tune and prove: draft rows, launch runs, compare, judge blind, export adapters.")


@app.command()
def work(directory: Path) -> None:
    """Do the work of one job directory (started by the app, not by hand)."""
    from training import worker

    sys.exit(worker.work(directory))


def wait(job: Job, *, quiet: bool = False) -> Job:
    """Follow a job with a progress bar until it has ended.

    Raises:
        Unavailable: it did not finish.
    """
    here = settings.current()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f} of "
               "{task.total:.0f}"), TimeElapsedColumn(), TimeRemainingColumn())  # fmt: skip
    offset = 0
    with Progress(*columns, console=console.err, disable=quiet) as bar:
        task = bar.add_task(f"{job.kind} {job.id[:8]}", total=1)
        for latest in jobs.finish_all(console.engine(), here, job.id):
            job = latest
            seen, offset = evidence.read_events(jobs.folder(here, job.id), offset)
            for event in seen:
                bar.update(task, completed=event["step"], total=max(1, event["total"]))
    if job.state is not JobState.FINISHED:
        raise Unavailable(f"The {job.kind} job ended {job.state}: {job.message}")
    return job


def _version(session: Session, project_id: int, number: int) -> Version:
    known = versions.listing(session, project_id)
    chosen = [v for v in known if not number or v.number == number]
    if not chosen:
        raise RuleBroken("There is no such version. See: python -m curation versions")
    return chosen[0]


Number = Annotated[
    int, typer.Option("--version", help="Number of the version; newest if left out.")
]


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
    """Draft rows about a topic; they wait for people."""
    with console.acting() as session:
        wish = drafts.Wish(topic, count, seed, temperature, endpoint or None)
        inside = console.project(session, project).id
        job = jobs.draft(session, console.actor(session, as_), inside, wish)
    done = wait(job, quiet=as_json)
    console.show(done, as_json=as_json, words=done.message or "Done.")


@app.command()
@console.plain
def launch(
    as_: console.As,
    name: str = "",
    version: Number = 0,
    base: Annotated[str, typer.Option(help="packaged, a folder, or a hub id.")] = "packaged",
    epochs: int | None = None,
    learning_rate: float | None = None,
    max_steps: int | None = None,
    seed: int | None = None,
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Launch a run on a version that is ready, and follow it."""
    given = {"epochs": epochs, "learning_rate": learning_rate, "max_steps": max_steps, "seed": seed}
    usual = (SMALL_BASE if base == "packaged" else Lora()).to_dict()
    chosen = Lora.from_dict(usual | {k: value for k, value in given.items() if value is not None})
    with console.acting() as session:
        frozen = _version(session, console.project(session, project).id, version)
        wish = runs.Wish(frozen.id, name, _base(base), chosen)
        job = jobs.launch(session, console.actor(session, as_), wish)
    done = wait(job, quiet=as_json)
    console.show(done, as_json=as_json, words=done.message or "Done.")


def _base(text: str) -> base_models.Base:
    if text == "packaged":
        return base_models.Base("packaged")
    if Path(text).is_dir():
        return base_models.Base("folder", str(Path(text).resolve()))
    if text.count("/") == 1:
        return base_models.Base("hub", text)
    raise BadInput(f"{text!r} is no folder here and no hub id such as org/name.")


@app.command("runs")
@console.plain
def list_runs(project: console.In = "", as_json: console.AsJson = False) -> None:
    """List the training runs, newest first."""
    with console.looking() as session:
        found = jobs.listing(session, console.project(session, project).id, JobKind.TRAIN)
        short = [
            {"id": j.id, "name": j.spec["name"], "state": str(j.state), "message": j.message}
            for j in found
        ]
        console.show(found if as_json else short, as_json=as_json)


@app.command()
@console.plain
def cancel(job: str, as_: console.As) -> None:
    """Ask a job to stop, and see it out."""
    here, engine = settings.current(), console.engine()
    with console.acting() as session:
        jobs.cancel(session, console.actor(session, as_), job, here)
    jobs.tick(engine, here)
    with console.looking() as session:
        console.show(None, as_json=False, words=f"The job is {jobs.get(session, job).state}.")


@app.command()
@console.plain
def stop(job: str, as_: console.As) -> None:
    """Ask a run to stop at its next step and keep what it learnt, and see it out."""
    here = settings.current()
    with console.acting() as session:
        jobs.stop(session, console.actor(session, as_), job, here)
        asked = jobs.get(session, job)
    done = wait(asked)
    console.show(None, as_json=False, words=done.message or "Done.")


@app.command()
@console.plain
def resume(job: str, as_: console.As, as_json: console.AsJson = False) -> None:
    """Go on with a run that was lost, failed or stopped, from its newest verified checkpoint."""
    with console.acting() as session:
        made = jobs.resume(session, console.actor(session, as_), job, settings.current())
    used = made.spec["resumed_from"]
    told = [f"Run {made.id} goes on from step {used['step']} of run {job}."]
    told += [f"Passed over: {one['why']}" for one in used["refused"]]
    if not as_json:
        console.show(None, as_json=False, words="\n".join(told))
    done = wait(made, quiet=as_json)
    console.show(done, as_json=as_json, words=done.message or "Done.")


@app.command()
@console.plain
def evaluate(
    as_: console.As,
    adapter: Annotated[
        int, typer.Option(help="Id of the adapter; the base alone if left out.")
    ] = 0,
    version: Number = 0,
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Answer the held-out rows with the base, and with an adapter, and score the answers."""
    with console.acting() as session:
        inside = console.project(session, project).id
        frozen = _version(session, inside, version)
        job = jobs.evaluate(
            session, console.actor(session, as_), frozen.id,
            base_models.Base("packaged").to_dict(), adapter or None,
        )  # fmt: skip
    wait(job, quiet=as_json)
    with console.looking() as session:
        newest = evaluations.listing(session, inside)[0]
        blind.opened(session, newest.id)  # refuses while these answers are judged blind
        console.show(adapters.scored(newest.summary), as_json=as_json)


@app.command("adapters")
@console.plain
def list_adapters(project: console.In = "", as_json: console.AsJson = False) -> None:
    """List the adapters, newest first."""
    with console.looking() as session:
        found = adapters.listing(session, console.project(session, project).id)
        short = [{"id": a.id, "name": a.name, "sha256": a.sha256} for a in found]
        console.show(found if as_json else short, as_json=as_json)


@app.command()
@console.plain
def card(adapter: int, as_json: console.AsJson = False) -> None:
    """Show an adapter's card."""
    with console.looking() as session:
        whole = adapters.card(session, adapter)
        console.show(whole, as_json=as_json, words=adapters.markdown(whole))


@app.command()
@console.plain
def package(adapter: int, to: Path) -> None:
    """Write an adapter as a zip: the PEFT folder and its card."""
    if to.exists():
        raise BadInput(f"{to} exists. Name a new file.")
    with console.looking() as session:
        to.write_bytes(adapters.package(session, adapter, settings.current()))
    console.show(None, as_json=False, words=f"Saved {to}.")


@app.command("trial")
@console.plain
def plan_trial(
    evaluation: int,
    planned: int,
    as_: console.As,
    question: str = blind.QUESTION,
    as_json: console.AsJson = False,
) -> None:
    """Register and open a blind trial on the frozen answers of an evaluation."""
    with console.acting() as session:
        actor = console.actor(session, as_)
        trial = blind.plan(session, actor, evaluation, planned, question)
        console.show(trial, as_json=as_json, words=f"Trial {trial.id} is open.")


@app.command("ballot")
@console.plain
def cast(
    trial: int,
    as_: console.As,
    item: str = "",
    choice: Annotated[str, typer.Option(help="left, right, tie or both_bad")] = "",
    as_json: console.AsJson = False,
) -> None:
    """Show the next item of a trial; with --item and --choice, vote on it."""
    import uuid

    from curation.ops import BallotOp
    from storage.types import Choice

    with console.acting() as session:
        actor = console.actor(session, as_)
        if item:
            if choice not in set(Choice) - {Choice.WITHDRAWN}:
                raise BadInput("Choose left, right, tie or both_bad.")
            op = BallotOp(str(uuid.uuid4()), item, Choice(choice), None)
            blind.vote(session, actor, trial, op)
        waiting = blind.ballots(session, actor, trial, limit=1)
        if not waiting:
            console.show(None, as_json=as_json, words="You have voted on every item.")
            return
        one = waiting[0]
        console.show(
            one, as_json=as_json,
            words=f"Item {one.item}\n\n{one.prompt}\n\nLEFT\n{one.left}\n\nRIGHT\n{one.right}",
        )  # fmt: skip


@app.command("close")
@console.plain
def close_trial(trial: int, as_: console.As, as_json: console.AsJson = False) -> None:
    """Close a trial and show its verdict."""
    with console.acting() as session:
        found = blind.close(session, console.actor(session, as_), trial)
        console.show(found, as_json=as_json, words=f"{found.verdict}: {found.why}")


@app.command("demo")
@console.plain
def run_demo() -> None:
    """Take the sample project through the whole loop, headless, in ASSAY_DATA."""
    from training import demo

    demo.run(settings.current())


if __name__ == "__main__":
    app()
