"""Commands for pairs: write, import, list and review them."""

import dataclasses
import uuid
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from sqlalchemy import Engine

from curation.exchange import columns, files, incoming, intake, source
from curation.exchange.incoming import Incoming
from curation.exchange.intake import Imported, Intake
from curation.exchange.source import Refused
from curation.project import sample
from curation.review import claims, decisions, writing
from curation.review.ops import Op, Submission
from curation.versions.layout import ColumnMapping
from storage import console, engine as database, pairs, projects
from storage.errors import BadInput
from storage.types import Action

app = console.app("Commands for pairs.")


@app.command("sample")
@console.plain
def open_sample(
    as_: console.As,
    reviewed: Annotated[
        bool, typer.Option(help="Also import the sample files, reviewed by its fictional people.")
    ] = False,
) -> None:
    """Open the sample project."""
    with console.acting() as session:
        project = sample.begin(session, console.actor(session, as_), reviewed=reviewed)
        console.show(None, as_json=False, message=f"Opened {project.name} (project {project.id}).")


@app.command()
@console.plain
def guidelines(project: console.In = "") -> None:
    """Print the project's guidelines."""
    with console.looking() as session:
        inside = projects.get(session, console.project(session, project).id)
        console.show(None, as_json=False, message=inside.guidelines)


@app.command()
@console.plain
def write(
    prompt: Annotated[str, typer.Argument(metavar="INPUT")],
    response: Annotated[str, typer.Argument(metavar="OUTPUT")],
    as_: console.As,
    topic: str = "",
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Write one gold pair; it waits for review."""
    with console.acting() as session:
        submission = Submission(str(uuid.uuid4()), prompt, response, topic or None)
        inside = console.project(session, project).id
        pair = writing.gold(session, console.actor(session, as_), inside, submission)
        console.show(pair, as_json=as_json, message=f"Saved as pair {pair.id}.")


@app.command("import")
@console.plain
def import_file(
    file: Path,
    as_: console.As,
    project: console.In = "",
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Test pairs: reviewed, never trained on.")
    ] = False,
    prompt_column: Annotated[str, typer.Option("--input-column", "--prompt-column")] = "",
    response_column: Annotated[str, typer.Option("--output-column", "--response-column")] = "",
    as_json: console.AsJson = False,
) -> None:
    """Import a CSV, JSONL, Parquet, XLSX file or a saved dataset folder: all rows or none."""
    with console.looking() as session:
        inside = console.project(session, project)
    table = files.read(file, file.name)
    for note in table.notes:
        console.err.print(note, markup=False)
    mapping = _mapping(columns.suggest(table), prompt_column, response_column)
    try:
        rows = incoming.apply(table, mapping, inside.system_message).take(file.name)
    except Refused as refused:
        for refusal in refused.refusals:
            console.err.print(f"line {refusal.line}: {refusal.why}", markup=False)
        raise
    going = Intake(inside.id, source.display_name(file.name), table.sha256, held_out)
    imported = _take(console.engine(), as_, going, rows)
    for leak in imported.repeating:
        text = f"line {leak.line}: repeats test pair {leak.test_id} ({leak.how}); it never trains"
        console.err.print(text, markup=False)
    console.show(
        msgspec.to_builtins(imported),
        as_json=as_json,
        message=f"Added {len(imported.added)} pairs; {imported.existing} were there already; "
        f"{imported.invalid} do not fit the schema and wait for repair.",
    )


def _take(engine: Engine, name: str, going: Intake, rows: tuple[Incoming, ...]) -> Imported:
    """Take the rows at once, or a large file in chunks, with a bar that shows how far it is."""
    with database.reading(engine) as session:
        actor = console.actor(session, name)
    if len(rows) <= intake.LARGE:
        with database.writing(engine) as session:
            return intake.take(
                session,
                actor,
                going.project_id,
                rows,
                name=going.name,
                sha256=going.sha256,
                held_out=going.held_out,
            )
    with console.progress("Importing") as step:
        return intake.take_in_chunks(engine, actor, going, rows, step=step)


def _mapping(guess: ColumnMapping, prompt: str, response: str) -> ColumnMapping:
    if not prompt and not response:
        return guess
    return dataclasses.replace(
        guess, messages=None, prompt=prompt or guess.prompt, response=response or guess.response
    )


@app.command("pairs")
@console.plain
def list_pairs(project: console.In = "", as_json: console.AsJson = False) -> None:
    """Count the pairs by where they stand; with --json, every pair."""
    with console.looking() as session:
        inside = console.project(session, project).id
        if as_json:
            console.show(pairs.listing(session, inside), as_json=True)
        else:
            counts = pairs.counts(session, inside)
            console.show({str(k): v for k, v in counts.items()}, as_json=False)


_REJECT = f"Reject the next card: {', '.join(decisions.Reason)}, or a reason of your own."


@app.command("review")
@console.plain
def review_next(
    as_: console.As,
    project: console.In = "",
    approve: Annotated[bool, typer.Option("--approve", help="Approve the next card.")] = False,
    reject: Annotated[str, typer.Option(help=_REJECT)] = "",
    pair: Annotated[int, typer.Option(help="The pair you mean, as listed.")] = 0,
    as_json: console.AsJson = False,
) -> None:
    """Show the next card; with --pair N and --approve or --reject, decide it."""
    with console.acting() as session:
        actor = console.actor(session, as_)
        cards = claims.lease(session, actor, console.project(session, project).id, limit=1)
        if not cards:
            console.show(None, as_json=as_json, message="Nothing is waiting for you.")
            return
        card = cards[0]
        if not approve and not reject:
            console.show(
                card,
                as_json=as_json,
                message=f"Pair {card.pair.id}\n\n{card.pair.prompt}\n\n{card.pair.response}",
            )
            return
        if pair != card.pair.id:
            raise BadInput(f"Name the card that you decide: --pair {card.pair.id}.")
        action = Action.APPROVE if approve else Action.REJECT
        op = Op(
            str(uuid.uuid4()),
            pair,
            card.pair.version,
            card.fence,
            action,
            None,
            None,
            reject or None,
            None,
        )
        console.show(decisions.decide(session, actor, op), as_json=as_json)
