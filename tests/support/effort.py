"""What a piece of work asks of the database: statements, and steps of SQLite's virtual machine.

Steps are the same on every machine and at every load, so a test can hold them; seconds are not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event

_STRIDE = 10
"""Steps between two calls of the counter."""


@dataclass(slots=True)
class Effort:
    """What was asked of the database so far, but for what opens a transaction."""

    statements: int = 0
    steps: int = 0


@contextmanager
def effort() -> Iterator[Effort]:
    """Count what all engines of this process do meanwhile, on connections taken from now on."""
    counted = Effort()

    def step() -> int:
        counted.steps += _STRIDE
        return 0

    def begun(connection: Any, _cursor: object, statement: str, *_more: object) -> None:  # noqa: ANN401 - SQLAlchemy's event passes a Connection
        counted.statements += not statement.startswith(("BEGIN", "PRAGMA"))
        connection.connection.driver_connection.set_progress_handler(step, _STRIDE)

    def ended(connection: Any, *_more: object) -> None:  # noqa: ANN401
        connection.connection.driver_connection.set_progress_handler(None, 0)

    event.listen(Engine, "before_cursor_execute", begun)
    event.listen(Engine, "commit", ended)
    event.listen(Engine, "rollback", ended)
    try:
        yield counted
    finally:
        event.remove(Engine, "before_cursor_execute", begun)
        event.remove(Engine, "commit", ended)
        event.remove(Engine, "rollback", ended)
