"""Commands for policy eras: add, retire and reinstate them, and deal with the pairs they affect."""

from datetime import date
from typing import Annotated

import typer

from curation.policy import era_rows, era_search, eras
from storage import console, projects
from storage.errors import BadInput

app = console.app("Commands for policy eras.")
Phrases = Annotated[list[str] | None, typer.Option("--phrase", help="A phrase; may be repeated.")]


@app.command("eras")
@console.plain
def list_eras(
    project: console.In = "",
    add: Annotated[str, typer.Option(help="Add an era of this name.")] = "",
    starts: Annotated[str, typer.Option(help="Its first day, as 2026-01-31.")] = "",
    ends: Annotated[str, typer.Option(help="Its last day, if it has one.")] = "",
    document: Annotated[str, typer.Option(help="Title of the policy.")] = "",
    url: Annotated[str, typer.Option(help="Where the policy can be read.")] = "",
    phrase: Phrases = None,
    retire: Annotated[str, typer.Option(help="Retire the era of this name.")] = "",
    reinstate: Annotated[str, typer.Option(help="Take a retirement back.")] = "",
    as_: Annotated[str, typer.Option("--as", help="Name of the profile that acts.")] = "",
    as_json: console.AsJson = False,
) -> None:
    """List the policy eras, after adding, retiring or reinstating one."""
    with console.acting() as session:
        inside = console.project(session, project).id
        if add:
            eras.add(
                session,
                console.actor(session, as_),
                inside,
                add,
                _day(starts, "--starts"),
                ends_on=_day(ends, "--ends") if ends else None,
                document=document,
                url=url,
                phrases=phrase or (),
            )
        for name, verb in ((retire, eras.retire), (reinstate, eras.reinstate)):
            if name:
                era = eras.named(session, inside, name)
                verb(session, console.actor(session, as_), era.id)
        existing = projects.eras(session, inside)
    until = projects.last_days(existing)
    short = [
        {
            "era": era.name,
            "from": str(era.starts_on),
            "to": str(until[era.id] or "open"),
            "state": "retired" if era.retired else "in force",
            "document": " ".join(filter(None, (era.document, era.url))),
        }
        for era in existing
    ]
    console.show(existing if as_json else short, as_json=as_json)


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"Give {name} as a day, such as 2026-01-31.") from error


@app.command()
@console.plain
def affected(
    project: console.In = "",
    era: Annotated[str, typer.Option(help="Pairs tagged with this era.")] = "",
    phrase: Phrases = None,
    topic: Annotated[str, typer.Option(help="Pairs of this topic.")] = "",
    label: Annotated[str, typer.Option(help="Pairs with this label.")] = "",
    send_back: Annotated[str, typer.Option(help="Send them to review, for this reason.")] = "",
    reject: Annotated[bool, typer.Option("--reject", help="Retire them.")] = False,
    clone: Annotated[str, typer.Option(help="Copy them into this era, to be edited.")] = "",
    as_: Annotated[str, typer.Option("--as", help="Name of the profile that acts.")] = "",
    as_json: console.AsJson = False,
) -> None:
    """Find the pairs that a policy change concerns; with one more option, deal with all of them."""
    if sum((bool(send_back), reject, bool(clone))) > 1:
        raise BadInput("Choose one of --send-back, --reject and --clone.")
    with console.acting() as session:
        inside = console.project(session, project).id
        search = era_search.Search(
            eras.named(session, inside, era).id if era else None,
            tuple(phrase or ()),
            topic or None,
            label or None,
        )
        matches = era_search.affected(session, inside, search)
        ids = [pair.id for pair in matches.pairs]
        if not (send_back or reject or clone):
            listing = {
                "rows": ids,
                "held": sorted(matches.claimed),
                "rejected": matches.rejected,
                "counts": dict(matches.counts),
            }
            counts = "".join(f"{count} {name}\n" for name, count in matches.counts.items())
            text = f"{counts}Pairs: {len(ids)}; rejected ones not listed: {matches.rejected}."
            console.show(listing, as_json=as_json, message=f"{text}\n{' '.join(map(str, ids))}")
            return
        actor = console.actor(session, as_)
        versions = {pair.id: pair.version for pair in matches.pairs}
        if send_back:
            done = era_rows.send_back(session, actor, inside, versions, send_back)
        elif reject:
            done = era_rows.reject(session, actor, inside, versions)
        else:
            into = eras.named(session, inside, clone).id
            done = era_rows.clone(session, actor, inside, versions, into)
        text = (
            f"Pairs: {len(done.rows)}; left alone: {len(done.claimed)} in a reviewer's hand, "
            f"{len(done.changed)} changed, {len(done.already)} already there."
        )
        console.show(done, as_json=as_json, message=text)
