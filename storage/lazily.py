"""A command line whose parts are imported only when used, so that a small command starts fast."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


def commands(words: str, where: Mapping[str, Sequence[str]]) -> typer.Typer:
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
        cls=Lazily, help=words, no_args_is_help=True, add_completion=False,
        pretty_exceptions_enable=False,
    )  # fmt: skip
    app.callback()(lambda: None)
    return app
