"""Answer the held-out pairs, judge blind, close a trial."""

from typing import Annotated

import typer

from storage import console
from storage.errors import BadInput
from training import asks
from training.commands.following import Number, version_numbered, wait
from training.lifecycle import adapter_cards
from training.models import adapters
from training.proving import blind, comparisons
from training.records.parts import BaseModel

app = console.app("Answer the held-out pairs, judge blind, close a trial.")


@app.command()
@console.plain
def evaluate(
    as_: console.As,
    adapter: Annotated[
        str, typer.Option(help="adapter@3, 3, or its name; the base alone if left out.")
    ] = "",
    best_prompt: Annotated[
        bool, typer.Option("--best-prompt", help="Show the base as many examples as help it.")
    ] = False,
    version: Number = 0,
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Answer the held-out pairs with the base, and with an adapter, and score the answers."""
    with console.acting() as session:
        inside = console.project(session, project).id
        frozen = version_numbered(session, inside, version)
        tuned = adapters.named(session, inside, adapter).id if adapter else None
        job = asks.evaluate(
            session,
            console.actor(session, as_),
            frozen.id,
            BaseModel("packaged"),
            tuned,
            best_prompt=best_prompt,
        )
    wait(job, quiet=as_json)
    with console.looking() as session:
        newest = comparisons.listing(session, inside)[0]
        blind.opened(session, newest.id)  # refuses while these answers are judged blind
        console.show(adapter_cards.scored(newest.summary), as_json=as_json)


@app.command("trial")
@console.plain
def plan_trial(
    comparison: int,
    planned: int,
    as_: console.As,
    question: str = blind.QUESTION,
    as_json: console.AsJson = False,
) -> None:
    """Register and open a blind trial on the frozen answers of a comparison."""
    with console.acting() as session:
        actor = console.actor(session, as_)
        trial = blind.plan(session, actor, comparison, planned, question)
        console.show(trial, as_json=as_json, message=f"Trial {trial.id} is open.")


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

    from curation.review.ops import BallotOp
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
            console.show(None, as_json=as_json, message="You have voted on every item.")
            return
        ballot = waiting[0]
        console.show(
            ballot,
            as_json=as_json,
            message=f"Item {ballot.item}\n\n{ballot.prompt}\n\n"
            f"LEFT\n{ballot.left}\n\nRIGHT\n{ballot.right}",
        )


@app.command("close")
@console.plain
def close_trial(trial: int, as_: console.As, as_json: console.AsJson = False) -> None:
    """Close a trial and show its verdict."""
    with console.acting() as session:
        verdict = blind.close(session, console.actor(session, as_), trial)
        console.show(verdict, as_json=as_json, message=f"{verdict.verdict}: {verdict.why}")
