"""Fixtures that all tests share."""

from tests.browser_fixture import browser
from tests.ui import engine, migrated, open_page, own_main

__all__ = ["browser", "engine", "migrated", "open_page", "own_main"]
