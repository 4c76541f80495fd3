"""Commands for the gate and the versions: ready, waive, record, sign, freeze, export."""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from curation import (
    decision,
    readiness,
    versions,
)
from storage import console
from storage.errors import BadInput, RuleBroken
from storage.types import Split

app = console.app("Commands for the gate and the versions.")


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
