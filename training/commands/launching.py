"""Launch a run: from options, or from a recipe that the Launch page saved."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer
from sqlalchemy.orm import Session

from curation.versions import archive
from storage import console
from storage.errors import BadInput
from training import asks
from training.commands.following import Number, version_numbered, wait
from training.launch import estimates, preflight, preflight_checks, recipe, runs
from training.records.parts import Consent
from training.records.record import read, written
from training.records.results import ProbeResult
from training.settings import Local, Provider

app = console.app("Launch runs.")

Name = Annotated[str, typer.Option(help="Name of the run.")]
BaseName = Annotated[
    str, typer.Option("--base", help="packaged, a folder, or a hub id such as org/name@revision.")
]
MethodName = Annotated[str, typer.Option("--method", help="lora, qlora, full, preference ...")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting; may be given often."),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", help="A file saved on the Launch page, instead of options."),
]


@app.command()
@console.plain
def launch(
    as_: console.As,
    name: Name = "",
    version: Number = 0,
    base: BaseName = "packaged",
    method: MethodName = "lora",
    sets: Sets = None,
    recipe_file: RecipeFile = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    max_steps: int | None = None,
    seed: int | None = None,
    send_pairs: Annotated[
        int | None,
        typer.Option(
            "--send-pairs",
            "--send-rows",
            help="For a provider: how many pairs you agree to send to its endpoint.",
        ),
    ] = None,
    wait_: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the run, or queue it and return.")
    ] = True,
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Launch a run on a version that is ready, and follow it."""
    short = {"epochs": epochs, "learning_rate": learning_rate, "max_steps": max_steps, "seed": seed}
    overrides = {key: value for key, value in short.items() if value is not None}
    with console.acting() as session:
        inside = console.project(session, project).id
        if recipe_file is not None:
            _refuse_both(bool(name or version or sets or overrides), base, method)
            wish = _from_file(session, inside, recipe_file)
        else:
            wish = from_options(session, inside, name, version, base, method, sets, overrides)
        wish = _agreeing(session, wish, send_pairs)
        job = asks.launch(session, console.actor(session, as_), wish)
    done = wait(job, quiet=as_json) if wait_ else job
    console.show(done, as_json=as_json, message=done.message or f"Run {done.id} is {done.state}.")


@app.command("preflight")
@console.plain
def look_before(
    name: Name = "",
    version: Number = 0,
    base: BaseName = "packaged",
    method: MethodName = "lora",
    sets: Sets = None,
    recipe_file: RecipeFile = None,
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Look at a run before it is launched: what would stop or spoil it. Exit status 1 on errors."""
    with console.looking() as session:
        wish = _wished(session, project, name, version, base, method, sets, recipe_file)
        lines = preflight.look(session, wish)
    wrong = preflight_checks.errors(lines)
    console.show(preflight_checks.as_dicts(lines), as_json=as_json)
    if wrong:
        raise typer.Exit(1)


@app.command()
@console.plain
def probe(
    as_: console.As,
    version: Number = 0,
    base: BaseName = "packaged",
    method: MethodName = "lora",
    sets: Sets = None,
    recipe_file: RecipeFile = None,
    project: console.In = "",
    as_json: console.AsJson = False,
) -> None:
    """Try a few real steps of a run and throw them away: how long it will take, and how much
    memory.
    """
    with console.acting() as session:
        wish = _wished(session, project, "", version, base, method, sets, recipe_file)
        job = asks.probe(session, console.actor(session, as_), wish)
    done = wait(job, quiet=as_json)
    estimate = estimates.of(read(ProbeResult, done.result), cast("Local", wish.settings))
    low, high = estimate.interval()
    sentence = (
        f"About {estimate.seconds():,.0f} s ({low:,.0f} to {high:,.0f}): {estimate.steps} steps of "
        f"{estimate.step:.2g} s. Memory {estimate.memory_mb:,.0f} MB at its highest."
    )
    console.show(written(estimate), as_json=as_json, message=sentence)


def _wished(
    session: Session,
    project: str,
    name: str,
    version: int,
    base: str,
    method: str,
    sets: list[str] | None,
    path: Path | None,
) -> runs.RunPlan:
    """What options or a file ask for."""
    inside = console.project(session, project).id
    if path is None:
        return from_options(session, inside, name, version, base, method, sets)
    _refuse_both(bool(name or version or sets), base, method)
    return _from_file(session, inside, path)


def from_options(
    session: Session,
    project_id: int,
    name: str,
    version: int,
    base: str,
    method: str,
    sets: list[str] | None,
    overrides: dict[str, float | int] | None = None,
) -> runs.RunPlan:
    """What options ask for."""
    chosen = recipe.read_base(base)
    settings = recipe.chosen(
        method, chosen, recipe.read_sets(method, sets or []) | (overrides or {})
    )
    return runs.RunPlan(version_numbered(session, project_id, version).id, name, chosen, settings)


def _agreeing(session: Session, wish: runs.RunPlan, rows: int | None) -> runs.RunPlan:
    """The wish with the consent that so many rows leave the house; the verb says how many do."""
    if rows is None or not isinstance(wish.settings, Provider):
        return wish
    sha256 = archive.get(session, wish.version_id).sha256
    return replace(wish, consent=Consent(wish.settings.endpoint, rows, sha256))


def _refuse_both(options: bool, base: str, method: str) -> None:
    """A recipe says everything; an option beside it would silently lose."""
    if options or (base, method) != ("packaged", "lora"):
        raise BadInput("Give a recipe or options, not both. Change the recipe's file instead.")


def _from_file(session: Session, project_id: int, path: Path) -> runs.RunPlan:
    try:
        if path.stat().st_size > recipe.LARGEST:
            raise BadInput(f"A recipe has at most {recipe.LARGEST >> 10} KB; {path} is larger.")
        content = path.read_bytes()
    except OSError:
        raise BadInput(f"The file {path} cannot be read. Give the path of a recipe.") from None
    return recipe.wish(session, project_id, recipe.from_yaml(content))
