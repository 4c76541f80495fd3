"""Work in the background goes behind what a person waits for."""

import os
from contextlib import suppress

POLITE = 10
"""Added to the niceness: of a core that both want, a page gets nine tenths."""
_LOWEST = 19


def behind(group: int) -> None:
    """Let a group of processes go behind this one, where it still runs."""
    with suppress(ProcessLookupError):
        os.setpriority(
            os.PRIO_PGRP, group, min(os.getpriority(os.PRIO_PROCESS, 0) + POLITE, _LOWEST)
        )
