"""`python -m curation`: every step from gold pairs to a frozen version, as commands."""

import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from curation import (
    audit,
    decision,
    exchange,
    files,
    intake,
    overlaps,
    readiness,
    review,
    sample,
    scanning,
    scrub,
    versions,
    writing,
)
from curation.ops import Op, Submission
from storage import console, pairs, projects
from storage.errors import BadInput, RuleBroken
from storage.types import Action, FindingState, Split

app = console.app("Curate a project: write, import, review, scrub, compare, audit, freeze, export.")


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
        console.show(None, as_json=False, words=f"Opened {project.name} (project {project.id}).")


@app.command()
@console.plain
def write(
    prompt: str,
    response: str,
    as_: console.As,
    topic: str = "",
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Write one gold pair; it waits for review."""
    with console.acting() as session:
        words = Submission(str(uuid.uuid4()), prompt, response, topic or None)
        inside = console.project(session, project).id
        pair = writing.gold(session, console.actor(session, as_), inside, words)
        console.show(pair, as_json=as_json, words=f"Saved as pair {pair.id}.")


@app.command("import")
@console.plain
def import_file(
    file: Path,
    as_: console.As,
    project: console.In = "",
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Test rows: reviewed, never trained on.")
    ] = False,
    prompt_column: str = "",
    response_column: str = "",
    as_json: console.AsJson = False,
) -> None:
    """Import a CSV, JSONL, Parquet, XLSX file or a saved dataset folder: all rows or none."""
    with console.looking() as session:
        inside = console.project(session, project)
    table = files.read(file, file.name)
    mapping = _mapping(exchange.suggest(table), prompt_column, response_column)
    try:
        rows = exchange.apply(table, mapping, inside.system_message).take(file.name)
    except files.Refused as refused:
        for one in refused.refusals:
            console.err.print(f"line {one.line}: {one.why}", markup=False)
        raise
    with console.acting() as session:
        taken = intake.take(
            session, console.actor(session, as_), inside.id, rows,
            name=file.name, sha256=table.sha256, held_out=held_out,
        )  # fmt: skip
    console.show(
        taken, as_json=as_json,
        words=f"Added {len(taken.added)} rows; {taken.known} were there already; "
        f"{taken.invalid} do not fit the schema and wait for repair.",
    )  # fmt: skip


def _mapping(guess: exchange.Mapping, prompt: str, response: str) -> exchange.Mapping:
    import dataclasses

    named = {"prompt": prompt, "response": response}
    chosen = {key: value for key, value in named.items() if value}
    return dataclasses.replace(guess, messages=None, **chosen) if chosen else guess


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


@app.command("review")
@console.plain
def review_one(
    as_: console.As,
    project: console.In = "",
    approve: Annotated[bool, typer.Option("--approve", help="Approve the card shown.")] = False,
    reject: Annotated[str, typer.Option(help="Reject the card shown, with this reason.")] = "",
    pair: Annotated[int, typer.Option(help="The pair you mean, as it was shown.")] = 0,
    as_json: console.AsJson = False,
) -> None:
    """Show the next card; with --pair N and --approve or --reject, decide it."""
    with console.acting() as session:
        actor = console.actor(session, as_)
        cards = review.lease(session, actor, console.project(session, project).id, limit=1)
        if not cards:
            console.show(None, as_json=as_json, words="Nothing is waiting for you.")
            return
        card = cards[0]
        if not approve and not reject:
            console.show(
                card, as_json=as_json,
                words=f"Pair {card.pair.id}\n\n{card.pair.prompt}\n\n{card.pair.response}",
            )  # fmt: skip
            return
        if pair != card.pair.id:
            raise BadInput(f"Name the card that you decide: --pair {card.pair.id}.")
        action = Action.APPROVE if approve else Action.REJECT
        op = Op(
            str(uuid.uuid4()), pair, card.pair.version, card.fence, action, None, None,
            reject or None, None,
        )  # fmt: skip
        console.show(review.decide(session, actor, op), as_json=as_json)


@app.command("scan")
@console.plain
def scan_rows(as_: console.As, project: console.In = "", as_json: console.AsJson = False) -> None:
    """Scan every row whose text has no scan for personal data."""
    with console.looking() as session:
        inside = console.project(session, project).id
        rows = scrub.to_scan(session, inside)
        allow = scrub.vocabulary(session, inside)
    batches = -(-len(rows) // scanning.BATCH)
    steps = track(
        scanning.results(rows, allow) if rows else (), "Scanning", total=batches,
        console=console.err, disable=as_json,
    )  # fmt: skip
    found = [line for batch in steps for line in batch]
    with console.acting() as session:
        kept = scrub.store(session, console.actor(session, as_), inside, found)
        state = scrub.coverage(session, inside)
    console.show(
        {"scanned": kept, "open": state.open, "quarantined": state.quarantined},
        as_json=as_json,
        words=f"Scanned {kept} rows. Rows with open findings: {len(state.open)}; "
        f"quarantined: {len(state.quarantined)}.",
    )


@app.command()
@console.plain
def findings(
    project: console.In = "",
    accept: Annotated[int, typer.Option(help="Accept this finding.")] = 0,
    dismiss: Annotated[int, typer.Option(help="Say that this finding is harmless.")] = 0,
    as_: Annotated[str, typer.Option("--as", help="Name of the profile that acts.")] = "",
    as_json: console.AsJson = False,
) -> None:
    """List the open findings, or decide one."""
    with console.acting() as session:
        inside = console.project(session, project).id
        if accept or dismiss:
            state = FindingState.ACCEPTED if accept else FindingState.DISMISSED
            scrub.decide(session, console.actor(session, as_), accept or dismiss, state)
        marked = scrub.marked(session, inside)
        console.show([one for m in marked for one in m.findings], as_json=as_json)


@app.command()
@console.plain
def duplicates(as_: console.As, project: console.In = "", as_json: console.AsJson = False) -> None:
    """Compare all rows and list what repeats, contradicts or leaks."""
    with console.acting() as session:
        inside = console.project(session, project).id
        overlaps.sweep(session, console.actor(session, as_), inside)
        console.show(overlaps.current(session, inside), as_json=as_json)


@app.command()
@console.plain
def keep(
    pair: int,
    others: list[int],
    as_: console.As,
    reason: str = "Duplicate",
) -> None:
    """Keep one row and reject the others."""
    with console.acting() as session:
        seen = {i: pairs.get(session, i).version for i in others}
        overlaps.keep(session, console.actor(session, as_), pair, seen, reason)


@app.command("audit")
@console.plain
def audit_rows(
    as_: console.As,
    project: console.In = "",
    draw: Annotated[int | None, typer.Option(help="Draw a new audit with this seed.")] = None,
    good: Annotated[int, typer.Option(help="Judge this pair good.")] = 0,
    bad: Annotated[int, typer.Option(help="Judge this pair bad; it goes back to review.")] = 0,
    as_json: console.AsJson = False,
) -> None:
    """Draw an audit, judge a row, or show the next row and the result so far."""
    with console.acting() as session:
        actor, inside = console.actor(session, as_), console.project(session, project).id
        if draw is not None:
            audit.draw(session, actor, inside, draw)
        if good or bad:
            version = pairs.get(session, good or bad).version
            audit.judge(session, actor, good or bad, version, good=bool(good))
        row = audit.next_row(session, actor, inside)
        found = {"result": audit.latest(session, inside), "next": row}
        words = f"{found['result']}"
        if row is not None:
            words += f"\n\nNext: pair {row.id}\n\n{row.prompt}\n\n{row.response}"
        console.show(found, as_json=as_json, words=words)


@app.command()
@console.plain
def ready(project: console.In = "", as_json: console.AsJson = False) -> None:
    """Show every line of the readiness gate; exit status 1 while a line blocks."""
    with console.looking() as session:
        signals = readiness.report(session, console.project(session, project).id)
    if as_json:
        console.show(signals, as_json=True)
    else:
        rows = [
            {
                "line": s.name,
                "state": "met" if s.met else "waived" if s.waiver else "NOT MET",
                "measured": s.measured,
                "asked": s.asked,
            }
            for s in signals
        ]
        console.show(rows, as_json=False)
    if readiness.unmet(signals):
        raise typer.Exit(1)


@app.command()
@console.plain
def waive(
    signal: str, reason: str, as_: console.As, days: int = 30, project: console.In = ""
) -> None:
    """Set one readiness line aside for some days, with a reason."""
    with console.acting() as session:
        inside = console.project(session, project).id
        until = date.today() + timedelta(days=days)  # noqa: DTZ011 - a calendar day of the person's
        readiness.waive(session, console.actor(session, as_), inside, signal, reason, until)


@app.command("record")
@console.plain
def write_record(
    file: Annotated[Path, typer.Argument(help="JSON: answers, facts_change, iterations.")],
    as_: console.As,
    project: console.In = "",
) -> None:
    """Write the decision record from a JSON file."""
    from curation import strict_json

    given = strict_json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(given, dict) or not isinstance(given.get("answers"), dict):
        raise BadInput(f"{file.name} needs the keys answers, facts_change and iterations.")
    with console.acting() as session:
        decision.write(
            session, console.actor(session, as_), console.project(session, project).id,
            given["answers"], str(given.get("facts_change")), int(given.get("iterations", 0)),
        )  # fmt: skip


@app.command()
@console.plain
def sign(part: str, as_: console.As, project: console.In = "") -> None:
    """Sign the decision record as the business or the technical owner."""
    with console.acting() as session:
        inside = console.project(session, project).id
        decision.sign(session, console.actor(session, as_), inside, part)


@app.command()
@console.plain
def freeze(
    as_: console.As,
    project: console.In = "",
    seed: int = 7,
    note: str = "",
    as_json: console.AsJson = False,
) -> None:
    """Freeze the approved rows as the next version."""
    with console.acting() as session:
        inside = console.project(session, project).id
        made = versions.freeze(session, console.actor(session, as_), inside, seed, note)
        console.show(
            made, as_json=as_json, words=f"Version {made.number}: {made.counts}, {made.sha256}"
        )


@app.command("versions")
@console.plain
def list_versions(project: console.In = "", as_json: console.AsJson = False) -> None:
    """List the versions, newest first."""
    with console.looking() as session:
        found = versions.listing(session, console.project(session, project).id)
        short = [{"number": v.number, "sha256": v.sha256, "rows": v.counts} for v in found]
        console.show(found if as_json else short, as_json=as_json)


@app.command()
@console.plain
def export(
    folder: Path,
    version: Annotated[
        int, typer.Option(help="Number of the version; the newest if left out.")
    ] = 0,
    split: Annotated[Split | None, typer.Option(help="Only this part.")] = None,
    project: console.In = "",
) -> None:
    """Write a version as chat JSONL, after verifying it."""
    with console.looking() as session:
        known = versions.listing(session, console.project(session, project).id)
        chosen = [v for v in known if not version or v.number == version]
        if not chosen:
            raise RuleBroken("There is no such version. See: python -m curation versions")
        path, sha256 = versions.export(session, chosen[0].id, folder, split)
        console.show(None, as_json=False, words=f"{path} sha256 {sha256}")


@app.command()
@console.plain
def guidelines(project: console.In = "") -> None:
    """Print the project's guidelines."""
    with console.looking() as session:
        inside = projects.get(session, console.project(session, project).id)
        console.show(None, as_json=False, words=inside.guidelines)


if __name__ == "__main__":
    app()
