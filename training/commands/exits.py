"""Hand an adapter on to other programs, serve it, take one in."""

from pathlib import Path
from typing import Annotated

import typer

from storage import console, settings
from training import adapters, exports, jobs
from training.exits.recipe import numbered
from training.exits.registry import EXITS, MERGED
from training.following import wait

app = console.app("Hand an adapter on to other programs, serve it, take one in.")
Which = Annotated[str, typer.Argument(metavar="adapter@N", help="The adapter, such as adapter@3.")]


@app.command()
@console.plain
def export(
    adapter: Which,
    to: Annotated[Path, typer.Option(help="A new folder to write to.")],
    exit_: Annotated[
        list[str] | None,
        typer.Option("--exit", help=f"One of {', '.join(EXITS)}; may be repeated."),
    ] = None,
    with_base: Annotated[bool, typer.Option(help="Copy the base model there too.")] = False,
    as_: Annotated[
        str, typer.Option("--as", help="Who merges, where that is still to do.", metavar="NAME")
    ] = "",
) -> None:
    """Write an adapter for other programs; merges it first where that is asked for."""
    chosen, here = numbered(adapter), settings.current()
    names = exit_ or [name for name in EXITS if name != MERGED]
    if MERGED in names:
        _merge(chosen, as_)
    with console.looking() as session:
        made = exports.build(session, chosen, here, names, base=with_base)
    exports.write(made, to.resolve())
    told = [f"Saved {', '.join(made.exits)} in {to}."]
    told += [f"Not {EXITS[name].title}: {why}" for name, why in made.left_out.items()]
    console.show(None, as_json=False, words="\n".join(told))


def _merge(chosen: int, as_: str) -> None:
    here = settings.current()
    with console.acting() as session:
        known = adapters.get(session, chosen)
        if exports.merged(session, known, here) is not None:
            return
        job = jobs.merge(session, console.actor(session, as_), chosen, here)
    console.show(None, as_json=False, words=wait(job).message or "Merged.")
