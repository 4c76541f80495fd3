"""Check adapters, promote them, roll back, retire."""

from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from storage import console, settings
from storage.errors import BadInput
from storage.types import Adapter, Stage
from training import asks
from training.commands.following import wait
from training.lifecycle import check_prompts, checks, gate, registry
from training.models import adapters

app = console.app("Check adapters, promote them, roll back, retire.")

Which = Annotated[str, typer.Argument(help="adapter@3, 3, or its name.", metavar="ADAPTER")]
Why = Annotated[str, typer.Option(help="Why, in a few words.")]
Phrases = Annotated[list[str] | None, typer.Option(help="May be given several times.")]


def _find(session: Session, project: str, adapter: str) -> Adapter:
    return adapters.named(session, console.project(session, project).id, adapter)


@app.command("check")
@console.plain
def run_checks(
    adapter: Which, as_: console.As, project: console.In = "", as_json: console.AsJson = False
) -> None:
    """Ask base and tuned model the general tasks and red-team prompts of the gate."""
    with console.acting() as session:
        target = _find(session, project, adapter)
        job = asks.check(session, console.actor(session, as_), target.id)
    wait(job, quiet=as_json)
    with console.looking() as session:
        lines = checks.opened(session, target, settings.current())
        summary = checks.summary(session, target)
    wrong = [line for line in lines if line["arm"] == "tuned" and not line["passed"]]
    short = [{"task": line["id"], "kind": line["kind"], "why": line["why"]} for line in wrong]
    console.show(summary if as_json else short, as_json=as_json)


@app.command("gate")
@console.plain
def show_gate(adapter: Which, project: console.In = "", as_json: console.AsJson = False) -> None:
    """Show the lines that an adapter must meet before promotion; exit status 1 if one blocks."""
    with console.looking() as session:
        lines = gate.report(session, _find(session, project, adapter).id, settings.current())
    short = [
        {
            "key": line.key,
            "line": line.name,
            "met": "met" if line.met else f"waived by {line.waiver}" if line.waiver else "not met",
            "measured": line.measured,
            "asked": line.required,
            "to do": "" if line.met else line.fix,
        }
        for line in lines
    ]
    console.show(lines if as_json else short, as_json=as_json)
    if gate.unmet(lines):
        raise typer.Exit(1)


@app.command()
@console.plain
def waive(
    adapter: Which,
    line: Annotated[str, typer.Argument(help="Key of the line, as `gate` lists it.")],
    as_: console.As,
    why: Why,
    until: Annotated[datetime, typer.Option(help="Day on which it ends.", formats=["%Y-%m-%d"])],
    project: console.In = "",
) -> None:
    """Waive one line of the gate for one adapter, under your name, until a day."""
    with console.acting() as session:
        target = _find(session, project, adapter)
        gate.waive(session, console.actor(session, as_), target.id, line, why, until.date())
    console.show(None, as_json=False, message=f"Waived for adapter@{target.number}: {line}.")


@app.command()
@console.plain
def promote(
    adapter: Which,
    as_: console.As,
    to: Annotated[str, typer.Option(help="approved or production")] = Stage.APPROVED.value,
    why: Why = "",
    project: console.In = "",
) -> None:
    """Approve an adapter, or put an approved one into production, once the gate lets it."""
    if to not in set(Stage):
        raise BadInput("Promote to approved or to production.")
    place = settings.current()
    with console.looking() as session:  # large models are read before the database is locked
        gate.report(session, _find(session, project, adapter).id, place)
    with console.acting() as session:
        target = _find(session, project, adapter)
        registry.promote(session, console.actor(session, as_), target.id, Stage(to), place, why)
    console.show(
        None, as_json=False, message=f"adapter@{target.number} is {registry.STAGES[Stage(to)]}."
    )


@app.command()
@console.plain
def retire(adapter: Which, as_: console.As, why: Why, project: console.In = "") -> None:
    """Retire an adapter; it stays on the shelf, with a mark in its card."""
    with console.acting() as session:
        target = _find(session, project, adapter)
        registry.retire(session, console.actor(session, as_), target.id, why)
    console.show(None, as_json=False, message=f"adapter@{target.number} is retired.")


@app.command()
@console.plain
def rollback(as_: console.As, why: Why, project: console.In = "") -> None:
    """Put the adapter back into production that was there before."""
    with console.acting() as session:
        inside = console.project(session, project).id
        actor = console.actor(session, as_)
        target = registry.rollback(session, actor, inside, settings.current(), why)
    console.show(None, as_json=False, message=f"adapter@{target.number} is in production again.")


@app.command("red-team")
@console.plain
def red_team(
    add: Annotated[str, typer.Option(help="A prompt to add to the project's own.")] = "",
    must: Phrases = None,
    must_not: Phrases = None,
    drop: Annotated[int, typer.Option(help="Id of a prompt to take out.")] = 0,
    as_: Annotated[str, typer.Option("--as", help="Name of the profile that acts.")] = "",
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """List the project's own red-team prompts; add one or take one out."""
    with console.acting() as session:
        inside = console.project(session, project).id
        if add:
            actor = console.actor(session, as_)
            check_prompts.add(session, actor, inside, add, must or (), must_not or ())
        if drop:
            check_prompts.drop(session, console.actor(session, as_), drop)
        prompts = check_prompts.listing(session, inside)
    console.show(prompts, as_json=as_json)
