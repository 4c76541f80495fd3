"""What the command lines share: the database, who asks, output for people or machines."""

import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from storage import folder, migrate, people, private, projects, settings, troubles
from storage.engine import open_engine, reading, writing
from storage.errors import AssayError, NotFound
from storage.tables import UserRow
from storage.types import Project, User

P = ParamSpec("P")
As = Annotated[str, typer.Option("--as", help="Name of the profile that acts.", metavar="NAME")]
In = Annotated[str, typer.Option("--project", "-p", help="Project; may be left out if only one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def app(help: str) -> typer.Typer:
    """A command line whose help reads well and that never prints a traceback with values."""
    return typer.Typer(
        help=help, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )


def plain(verb: Callable[P, None]) -> Callable[P, None]:
    """Turn a refusal, of a rule, the database or the disk, into one sentence on stderr and exit
    status 1.
    """

    @wraps(verb)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        try:
            with troubles.spoken(settings.current().data):
                verb(*args, **kwargs)
        except AssayError as error:
            err.print(str(error), markup=False)
            raise typer.Exit(1) from error

    return guarded


def engine(*, upgrade: bool = False) -> Engine:
    """The database of `ASSAY_DATA`, brought up to date if asked, else refused where it is not."""
    place = settings.current()
    if sentence := private.close(place.data):
        err.print(sentence, markup=False)
    folder.refuse_network(place.data)
    opened = open_engine(place.database)
    if upgrade:
        migrate.upgrade(opened)
    migrate.check(opened)
    return opened


@contextmanager
def looking() -> Iterator[Session]:
    """A session to read with."""
    with reading(engine()) as session:
        yield session


@contextmanager
def acting() -> Iterator[Session]:
    """A session for one verb."""
    with writing(engine()) as session:
        yield session


@contextmanager
def progress(doing: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr for long work, with the time left; call it with what is done, and of how
    many. Nothing is drawn where stderr is no terminal.
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    ) as bar:
        work = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(work, completed=done, total=total)


def actor(session: Session, name: str) -> User:
    """The profile of this name.

    Raises:
        NotFound: nobody has it.
    """
    row = session.scalar(select(UserRow).where(UserRow.name == name))
    if row is None:
        raise NotFound(f"There is no profile named {name!r}. See: python -m storage people")
    return people.get(session, row.id)


def project(session: Session, name: str) -> Project:
    """The project of this name, or the only one.

    Raises:
        NotFound: there is none of this name, or the name is needed to tell several apart.
    """
    listed = projects.everything(session)
    if not name and len(listed) == 1:
        return listed[0]
    for candidate in listed:
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in listed) or "none yet"
    raise NotFound(f"Name the project with --project. There are: {names}.")


def show(value: object, *, as_json: bool, message: str | None = None) -> None:
    """Print a result: JSON for machines, else `message` or the value as a small table."""
    if as_json:
        sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")
    elif message is not None:
        out.print(message, markup=False)
    else:
        _print(value)


def _plain(value: object) -> Any:  # noqa: ANN401 - the default of json.dumps
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, frozenset | set | tuple):
        return sorted(value)
    return str(value) if isinstance(value, Path) else vars(value)


def _print(value: object) -> None:
    rows: list[Any] = value if isinstance(value, list) else [value]
    records = [_plain(row) if dataclasses.is_dataclass(row) else row for row in rows]
    if not records:
        out.print("Nothing.", markup=False)
        return
    table = Table(show_edge=False, pad_edge=False)
    for name in records[0]:
        table.add_column(str(name))
    for record in records:
        table.add_row(*(_cell(cell) for cell in record.values()))
    out.print(table)


def _cell(value: object) -> str:
    text = ", ".join(sorted(map(str, value))) if isinstance(value, frozenset | set) else str(value)
    return text.replace("[", r"\[")
