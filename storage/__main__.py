"""`python -m storage`: the database, its people and its log."""

from pathlib import Path
from typing import Annotated

import typer

from storage import console, events, people, projects, settings
from storage.backups import copying, restoring, schedule, staging, whole
from storage.errors import RESTORE, BadInput, Unavailable
from storage.types import Role

app = console.app("The database of Assay: upgrade it, list people and projects, check the log.")


@app.command()
@console.plain
def upgrade() -> None:
    """Bring the database in ASSAY_DATA to the present schema."""
    console.engine(upgrade=True)
    console.show(None, as_json=False, message="The database is up to date.")


@app.command("people")
@console.plain
def list_people(as_json: console.AsJson = False) -> None:
    """List the profiles."""
    with console.looking() as session:
        console.show(people.everyone(session), as_json=as_json)


@app.command()
@console.plain
def join(
    name: str,
    role: Annotated[list[Role], typer.Option(help="Repeat for several roles.")],
    as_json: console.AsJson = False,
) -> None:
    """Make a profile."""
    with console.acting() as session:
        console.show(people.join(session, name, frozenset(role)), as_json=as_json)


@app.command("projects")
@console.plain
def list_projects(as_json: console.AsJson = False) -> None:
    """List the projects."""
    with console.looking() as session:
        listed = projects.everything(session)
        short = [{"id": p.id, "name": p.name, "task": p.task} for p in listed]
        console.show(listed if as_json else short, as_json=as_json)


@app.command()
@console.plain
def log(limit: int = 20, as_json: console.AsJson = False) -> None:
    """Show the newest events: who did what to what."""
    with console.looking() as session:
        console.show(events.latest(session, limit=limit), as_json=as_json)


@app.command()
@console.plain
def verify(as_json: console.AsJson = False) -> None:
    """Recompute the hash chain of the log; exit status 1 where it is broken."""
    with console.looking() as session:
        links, broken = events.verify(session)
        if broken is not None:
            raise Unavailable(
                f"Event {broken} or one before it was changed outside Assay. {RESTORE}"
            )
        chain = {"events": links, "head": events.head(session)}
        console.show(chain, as_json=as_json, message=f"{links} events, head {chain['head']}")


@app.command()
@console.plain
def backup(
    to: Annotated[
        Path | None, typer.Argument(help="A folder of backups, or a new FILE.db.")
    ] = None,
    scheduled: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Make a backup, also while the app runs: the database, and the files of jobs and adapters.

    It becomes a new folder inside TO (inside ASSAY_BACKUPS by default). With the name of a file
    that ends in .db, only the database is copied. To copy the file by hand is not enough: most of
    the newest work stands in the log beside it.
    """
    config = settings.current()
    if scheduled:
        schedule.run(console.engine(), config)
    elif to is not None and to.suffix in (".db", ".sqlite"):
        if to.exists():
            raise BadInput(f"{to} exists. Name a new file, so that no backup is overwritten.")
        copying.database(console.engine(), to)
        console.show(None, as_json=False, message=f"Saved {to}, without the files of adapters.")
    else:
        copy = whole.make(console.engine(), config, to or config.backups, "asked")
        console.show(None, as_json=False, message=f"Saved and verified {copy.path}.")


@app.command("backups")
@console.plain
def list_backups(as_json: console.AsJson = False) -> None:
    """List the backups, newest first, each with the path that restores it."""
    config = settings.current()
    paths = [str(path) for path in staging.choices(config)]
    listing = "\n".join(paths) or f"There is no backup in {config.backups}."
    console.show(paths, as_json=as_json, message=listing)


@app.command("check-backup")
@console.plain
def check_backup(backup: Path) -> None:
    """Prove a whole backup: each file by its hash, its database by all that can be checked."""
    listed = whole.verify(backup)
    message = f"{backup} holds: {len(listed.files):,} files, {listed.events:,} events."
    console.show(None, as_json=False, message=message)


@app.command()
@console.plain
def restore(
    file: Annotated[Path | None, typer.Argument(help="A backup: a folder, or a file.")] = None,
    files_only: Annotated[
        bool, typer.Option(help="Bring back missing and changed files; the database stays.")
    ] = False,
) -> None:
    """Put a backup in the place of the database, which is set aside and never deleted.

    Without a file: go on with a restore that was interrupted.
    """
    config = settings.current()
    if file is not None and files_only:
        lines = restoring.bring_back(config, file) or ("No file was missing or changed.",)
        console.show(None, as_json=False, message="\n".join(lines))
        return
    if file is None:
        done = restoring.resume(config)
        message = "The interrupted restore is done." if done else "No restore was interrupted."
        console.show(None, as_json=False, message=message)
        return
    restored = restoring.restore(config, file)
    console.show(restored, as_json=False, message="\n".join(restoring.report(restored)))


if __name__ == "__main__":
    app()
