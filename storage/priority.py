"""Work in the background goes behind what a person waits for."""

import os
from contextlib import suppress

POLITE = 10
"""Added to the niceness: of a core that both want, a page gets nine tenths."""
HOLDING = 3
"""The same for work that takes the write lock again and again: whoever holds it while others have
the processor keeps them all waiting."""
_LOWEST = 19


def behind(group: int, by: int = POLITE) -> None:
    """Let a group of processes go behind this one, where it still runs."""
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, group, min(os.getpriority(os.PRIO_PROCESS, 0) + by, _LOWEST))
