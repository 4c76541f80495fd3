"""How long a test waits for something that another process does."""

import time
from collections.abc import Callable

PATIENCE = 240.0
"""Seconds. A busy machine is no fault, so what takes longer than this hangs."""


def until(done: Callable[[], object], alive: Callable[[], object] = lambda: True) -> None:
    """Wait until something is done, as long as that which does it lives."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert alive(), "It ended before it was done."
        assert time.monotonic() < end, f"Not done within {PATIENCE:.0f} s."
        time.sleep(0.02)
