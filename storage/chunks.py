"""Long writing in short transactions, so that nobody waits long for the write lock."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from storage.engine import writing
from storage.steps import Step, quiet

T = TypeVar("T")
ROWS = 250
"""Of a chunk at most: some 10 ms of the write lock, and what the disk takes to make it safe."""
LEAST = 50
LOCK_SECONDS = 0.035
"""A chunk that took longer is followed by a smaller one: none is to take more than 50 ms."""
BREATH_SECONDS = 0.002


def write(
    engine: Engine,
    items: Sequence[T],
    verb: Callable[[Session, Sequence[T]], None],
    step: Step = quiet,
    rows: int = ROWS,
) -> None:
    """Call `verb` on chunks of the items, at most `rows` each, every one in a transaction of its
    own.

    Between two the lock stays free for as long as it was held: SQLite's waiting is not fair, and
    who polls for the lock needs a gap to meet.
    """
    size, done, least = rows, 0, min(LEAST, max(1, rows // 5))
    while done < len(items):
        step(done, len(items))
        chunk = items[done : done + size]
        with writing(engine) as session:
            began = time.monotonic()
            verb(session, chunk)
        took = time.monotonic() - began
        done += len(chunk)
        size = max(least, size // 2) if took > LOCK_SECONDS else min(rows, size + least)
        time.sleep(max(BREATH_SECONDS, took))
    step(done, len(items))
