"""Fixtures that all tests share, and how many processes run them."""

import os

from tests.support.browser_fixture import browser
from tests.support.ui import engine, migrated, open_page, own_main

__all__ = ["browser", "engine", "migrated", "open_page", "own_main"]


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a third of the time, tests wait for servers and browsers."""
    return (os.cpu_count() or 1) + 1
