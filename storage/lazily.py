"""A command line whose parts are imported only when used, so that a small command starts fast."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from storage.errors import AssayError


def commands(help: str, where: Mapping[str, Sequence[str]]) -> typer.Typer:
    """The command line made of the `app` of several modules: module names with their commands."""
    places = {name: module for module, names in where.items() for name in names}

    class Lazily(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - typer's vendored context
            """Every command, in the order given."""
            return list(places)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - as above
            """The command, from its module."""
            if cmd_name not in places:
                return super().get_command(ctx, cmd_name)
            group = typer.main.get_group(import_module(places[cmd_name]).app)
            return group.commands[cmd_name]

    app = typer.Typer(
        cls=Lazily,
        help=help,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)
    return app


def part() -> typer.Typer:
    """The `app` of a module whose commands start fast."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    return app


@contextmanager
def refusing() -> Iterator[None]:
    """Turn a refusal into one sentence on stderr and exit status 1."""
    try:
        yield
    except AssayError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
