"""Commands for the gate and the versions: ready, waive, record, sign, freeze, export, verify."""

import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from curation.gate import decision, readiness
from curation.versions import (
    archive,
    cards,
    changes,
    long_freezing,
    packages,
    tags,
    verification,
    verify_version,
)
from curation.versions.layouts import LAYOUTS
from curation.versions.long_freezing import FreezeOrder
from storage import console
from storage.errors import BadInput, Unavailable
from storage.types import Split, Version

Named = Annotated[
    str, typer.Option("--version", help="Number or tag of the version; the newest if left out.")
]
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
                "asked": s.required,
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
    """Waive one readiness line for some days, with a reason."""
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

    record = strict_json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(record, dict) or not isinstance(record.get("answers"), dict):
        raise BadInput(f"{file.name} needs the keys answers, facts_change and iterations.")
    with console.acting() as session:
        decision.write(
            session,
            console.actor(session, as_),
            console.project(session, project).id,
            record["answers"],
            str(record.get("facts_change")),
            int(record.get("iterations", 0)),
        )


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
    """Freeze the approved pairs as the next version."""
    with console.looking() as session:
        inside, actor = console.project(session, project).id, console.actor(session, as_)
    order = FreezeOrder(inside, seed, note)
    with console.progress("Freezing") as step:
        frozen = long_freezing.freeze_in_chunks(console.engine(), actor, order, step=step)
    text = f"Version {frozen.number}: {frozen.counts}, {frozen.sha256}"
    console.show(frozen, as_json=as_json, message=text)


@app.command("versions")
@console.plain
def list_versions(project: console.In = "", as_json: console.AsJson = False) -> None:
    """List the versions, newest first."""
    with console.looking() as session:
        versions = archive.listing(session, console.project(session, project).id)
        short = [
            {
                "number": v.number,
                "tags": ", ".join(tags.of(session, v)),
                "sha256": v.sha256,
                "rows": v.counts,
            }
            for v in versions
        ]
        console.show(versions if as_json else short, as_json=as_json)


@app.command()
@console.plain
def export(
    folder: Annotated[Path, typer.Argument(help="Where to write it.")],
    version: Named = "",
    format_: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(LAYOUTS)}.")
    ] = "chat",
    split: Annotated[
        list[Split] | None,
        typer.Option(help="Give it once for each; train and validation if left out."),
    ] = None,
    as_zip: Annotated[bool, typer.Option("--zip", help="One zip instead of a folder.")] = False,
    project: console.In = "",
) -> None:
    """Write a version with its card, a manifest and a script that checks it, once it is proven."""
    with console.looking() as session:
        chosen = _find(session, project, version)
        package = packages.build(session, chosen.id, format_, split or packages.TO_TRAIN)
        later = archive.held_out_since(session, chosen.id)
    path = packages.write(package, folder, zipped=as_zip)
    if package.left_out:
        console.err.print(package.left_out, markup=False)
    if later:
        console.err.print(
            f"Test pairs in a later version: {len(later)} training pairs of this one."
        )
    console.show(
        None,
        as_json=False,
        message=f"{path}: {package.rows} pairs of version {chosen.number}, sha256 {chosen.sha256}",
    )


@app.command()
@console.plain
def diff(
    older: Annotated[str, typer.Argument(help="Number or tag.")],
    newer: Annotated[str, typer.Argument(help="Number or tag; the newest if left out.")] = "",
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Show which pairs two versions do not share, and why."""
    with console.looking() as session:
        before, after = (_find(session, project, name) for name in (older, newer))
        difference = changes.difference(session, before.id, after.id)
    rows = [
        {
            "pair": change.pair_id,
            "what": changes.kind(change),
            "split": " -> ".join(
                "none" if side is None else side.split.value
                for side in (change.before, change.after)
            ),
            "why": change.why,
        }
        for change in difference.rows
    ]
    console.show(rows, as_json=as_json)


@app.command()
@console.plain
def tag(name: str, as_: console.As, version: Named = "", project: console.In = "") -> None:
    """Give a version a name; the name leaves the version it was on before."""
    with console.acting() as session:
        chosen = _find(session, project, version)
        tags.tag(session, console.actor(session, as_), chosen.id, name)
        console.show(None, as_json=False, message=f"{name.strip()} is version {chosen.number} now.")


@app.command()
@console.plain
def card(version: Named = "", project: console.In = "", as_json: console.AsJson = False) -> None:
    """Print the card of a version: Markdown, or JSON."""
    with console.looking() as session:
        built = cards.build(session, _find(session, project, version).id)
    sys.stdout.write((cards.to_json(built) if as_json else cards.to_markdown(built)).decode())


@app.command()
@console.plain
def inclusion(pair: int, version: Named = "", project: console.In = "") -> None:
    """Print the proof that one pair was in a version; `verify` checks it without the others."""
    with console.looking() as session:
        proof = archive.inclusion(session, _find(session, project, version).id, pair)
    sys.stdout.write(cards.to_json(proof).decode())


@app.command()
@console.plain
def verify(
    export: Annotated[
        Path | None, typer.Argument(help="An export (folder or zip) or a proof; else the database.")
    ] = None,
    sha256: Annotated[str, typer.Option(help="The version's sha256 that you were given.")] = "",
    root: Annotated[str, typer.Option(help="The Merkle root that you were given.")] = "",
    as_json: console.AsJson = False,
) -> None:
    """Prove every version and the event log of the database, or one export; exit status 1 if not.

    Whoever can rewrite pairs, hashes and log together is only found by a sha256 or a head of the
    log that was kept elsewhere.
    """
    if export is not None:
        try:
            done = verify_version.verify(export, sha256 or None, root or None)
        except verify_version.DamagedError as damage:
            raise Unavailable(f"{export} is not intact: {damage}.") from None
        console.show(done, as_json=as_json, message="\n".join([*done, "Intact."]))
        return
    with console.looking() as session:
        report = verification.everything(session)
    summary = (
        f"{report.versions} versions with {report.rows} pairs and {report.events} events: "
        f"{'intact' if not report.problems else 'NOT INTACT'}.\nHead of the log: {report.head}"
    )
    console.show(report, as_json=as_json, message="\n".join([*report.problems, summary]))
    if report.problems:
        raise typer.Exit(1)


def _find(session: Session, project: str, version: str) -> Version:
    return tags.find(session, console.project(session, project).id, version)
